// The options of tools/kernel_bench, and what --help says of them.
#include "tools/kernel_suite/options.h"

#include <algorithm>

#include "comm/options.h"

namespace ringside::tools {
namespace {

constexpr std::array kTypes = {DType::f32, DType::bf16, DType::f16};

std::vector<OptionRow> options_of(KernelOptions& it) {
  const auto add_products = [&it](const char* option, const std::string& value) {
    for (const std::string& word : split_at_commas(value))
      it.products.push_back(read_number(option, word, 1, 65'536));
  };
  return {
      {"What is measured"},
      {"--kernel", "NAME[,NAME…]", list_choices(kBenchKernels, "all") + " (all)",
       to_several(it.kernels, kBenchKernels)},
      {"-d, --datatype", "TYPE[,TYPE…]", "f32, bf16, f16 or all (f32,bf16)",
       to_several(it.dtypes, kTypes)},
      {"-b, --minbytes", "SIZE", "first size of one array (1M; with --host 64K)",
       to_bytes(it.begin_bytes)},
      {"-e, --maxbytes", "SIZE", "last size (256M; with --host 16M)", to_bytes(it.end_bytes)},
      {"-f, --stepfactor", "FACTOR", "each size is the one before times FACTOR (4; with --host 16)",
       to_number(it.factor, 2, 1 << 20)},
      {"--gemm", "N[,N…]", "products of N × N matrices (1024,4096; with --host 256,512)",
       add_products},
      {"-n, --samples", "SAMPLES", "the time of a row is their median (15)",
       to_number(it.samples, 1, 10'000)},
      {"--warm", "", "do not clear the last cache between calls", to_true(it.warm)},
      {"--blocks", "N", "at most N blocks in the grid of an element-wise kernel",
       to_number(it.blocks, 1, 1'000'000)},
      {"--tf32", "", "cuBLAS may take f32 factors to tensor cores", to_true(it.tf32)},
      {"--host", "", "on the CPU", to_true(it.host)},
      {"--json", "", "one JSON object, for machines", to_true(it.json)},
      help_row(it.request),
      version_row(it.request),
  };
}

}  // namespace

const char* name_of(Kernel kernel) {
  constexpr const char* kNames[] = {"library_copy", "copy",          "reduce",      "divide",
                                    "gelu",         "gelu_gradient", "bias_gelu",   "bias_gradient",
                                    "adamw",        "gemm",          "library_gemm"};
  return kNames[static_cast<int>(kernel)];
}

KernelOptions parse_kernel_options(int argc, char** argv) {
  KernelOptions it;
  read_options(argc, argv, options_of(it));
  if (it.request != Request::none) return it;
  Options::from_environment().check();  // RINGSIDE_ISA
  if (it.host && (it.blocks > 0 || it.tf32))
    throw Error(Fault::usage, "--blocks and --tf32 are for a GPU; leave them out, or --host");
  if (it.begin_bytes == 0) it.begin_bytes = std::size_t{it.host ? 64u : 1024u} << 10;
  if (it.end_bytes == 0)
    it.end_bytes = std::max(it.begin_bytes, std::size_t{it.host ? 16u : 256u} << 20);
  if (it.factor == 0) it.factor = it.host ? 16 : 4;
  if (it.products.empty())
    it.products =
        it.host ? std::vector<std::size_t>{256, 512} : std::vector<std::size_t>{1024, 4096};
  if (it.begin_bytes < 4096 || it.begin_bytes > it.end_bytes || it.end_bytes > std::size_t{8} << 30)
    throw Error(Fault::usage, text("sizes run from -b to -e, at least 4K and at most 8G; %zu to "
                                   "%zu do not",
                                   it.begin_bytes, it.end_bytes));
  return it;
}

std::string kernel_help() {
  KernelOptions unused;
  return R"(kernel_bench: how near the kernels are to what the hardware can do.

  ./tools/kernel_bench                            all kernels on the GPU
  ./tools/kernel_bench --host                     their twins on one core of the CPU
  ./tools/kernel_bench --kernel reduce -b 256M    one kernel, one size and up
  ./tools/kernel_bench --kernel reduce --blocks 132    on few blocks: what is left to others?
  ./tools/kernel_bench --kernel gemm --gemm 4096,8192 -d bf16
)" + options_help(options_of(unused)) +
         R"(
How to read it. An element-wise kernel does next to no arithmetic: its time is the time of the
bytes that it moves, and those are counted as it must move them, once each:

  copy, divide, gelu     2 arrays (read one, write one)
  reduce, gelu_gradient  3 arrays (read two, write one)
  bias_gelu              3 arrays (read x; write the sum, which the gradient wants, and the result)
  bias_gradient          1 array  (its result is one row)
  adamw                  weights and two moments, in f32, read and written; the gradient read; with
                         a 16-bit type a copy of the weights written too: 28 bytes an element

GB/s = those bytes / time. The bound is not the data sheet's figure, which no program reaches, but
a copy by the system (cudaMemcpyAsync, memcpy) of the same size, measured here and now: `of bound`.
On an H200 a data sheet says 4800 GB/s. Small arrays are limited by the launch, some 2 to 3 us.

A matrix product does 2·N³ operations; its bound is the library's product (cuBLAS, OpenBLAS), of
the same matrices. Ours adds in one fixed order, so it takes no tensor core; that is what
reproducible bits cost, and this shows how much.

Cold and warm. Between two calls other work has used the cache, in a training run as well; so by
default it is cleared before each call, and calls are timed one at a time. With --warm calls follow
one another, and arrays that fit into the cache (50 MB on an H200) are faster than memory.
On a GPU time is taken by events on the stream; as the clearing is still running when the call is
enqueued, the time of the launch itself is not in it.

Exit status: 0 done; 1 a kernel failed; 2 a bad option; 3 there is no GPU (try --host).
)";
}

}  // namespace ringside::tools
