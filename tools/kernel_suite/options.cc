// Reading the options of tools/kernel_bench, strictly.
#include "tools/kernel_suite/options.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "comm/error.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

constexpr std::array kTypes = {DType::f32, DType::bf16, DType::f16};

enum LongOption {
  kKernel = 256,
  kProducts,
  kBlocks,
  kHost,
  kWarm,
  kTf32,
  kJson,
  kHelp,
};

const option kLongOptions[] = {
    {"minbytes", required_argument, nullptr, 'b'},
    {"maxbytes", required_argument, nullptr, 'e'},
    {"stepfactor", required_argument, nullptr, 'f'},
    {"datatype", required_argument, nullptr, 'd'},
    {"samples", required_argument, nullptr, 'n'},
    {"kernel", required_argument, nullptr, kKernel},
    {"gemm", required_argument, nullptr, kProducts},
    {"blocks", required_argument, nullptr, kBlocks},
    {"host", no_argument, nullptr, kHost},
    {"warm", no_argument, nullptr, kWarm},
    {"tf32", no_argument, nullptr, kTf32},
    {"json", no_argument, nullptr, kJson},
    {"help", no_argument, nullptr, kHelp},
    {nullptr, 0, nullptr, 0},
};

std::vector<std::string> split_at_commas(const std::string& list) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    words.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

// One value or several with commas, or "all".
template <class List>
auto read_list(const char* option, const std::string& words, const List& all) {
  using T = typename List::value_type;
  if (words == "all") return std::vector<T>(all.begin(), all.end());
  std::vector<T> chosen;
  std::string names;
  for (const T value : all) names += std::string(name_of(value)) + ", ";
  for (const std::string& word : split_at_commas(words)) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](T value) { return word == name_of(value); });
    if (found == all.end())
      throw Error(Fault::usage, text("%s %s is not known; there are %sand all", option,
                                     word.c_str(), names.c_str()));
    chosen.push_back(*found);
  }
  return chosen;
}

void read_option(int letter, const char* value, KernelOptions& it) {
  switch (letter) {
    case 'b':
      it.begin_bytes = read_bytes("-b", value);
      break;
    case 'e':
      it.end_bytes = read_bytes("-e", value);
      break;
    case 'f':
      it.factor = read_number("-f", value, 2, 1 << 20);
      break;
    case 'd':
      it.dtypes = read_list("-d", value, kTypes);
      break;
    case 'n':
      it.samples = read_int("-n", value, 1, 10'000);
      break;
    case kKernel:
      it.kernels = read_list("--kernel", value, kBenchKernels);
      break;
    case kProducts:
      for (const std::string& word : split_at_commas(value))
        it.products.push_back(read_number("--gemm", word, 1, 65'536));
      break;
    case kBlocks:
      it.blocks = read_int("--blocks", value, 1, 1'000'000);
      break;
    case kHost:
      it.host = true;
      break;
    case kWarm:
      it.warm = true;
      break;
    case kTf32:
      it.tf32 = true;
      break;
    case kJson:
      it.json = true;
      break;
    default:
      it.help = true;
      break;
  }
}

}  // namespace

const char* name_of(Kernel kernel) {
  switch (kernel) {
    case Kernel::library_copy:
      return "library_copy";
    case Kernel::copy:
      return "copy";
    case Kernel::reduce:
      return "reduce";
    case Kernel::divide:
      return "divide";
    case Kernel::gelu:
      return "gelu";
    case Kernel::gelu_gradient:
      return "gelu_gradient";
    case Kernel::bias_gelu:
      return "bias_gelu";
    case Kernel::bias_gradient:
      return "bias_gradient";
    case Kernel::adamw:
      return "adamw";
    case Kernel::gemm:
      return "gemm";
    case Kernel::library_gemm:
      return "library_gemm";
  }
  return "?";
}

KernelOptions parse_kernel_options(int argc, char** argv) {
  KernelOptions it;
  const int rest =
      read_options(argc, argv, ":b:e:f:d:n:h", kLongOptions,
                   [&](int letter, const char* value) { read_option(letter, value, it); });
  refuse_rest(argc, argv, rest);
  if (it.help) return it;
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
  return R"(kernel_bench: how near the kernels are to what the hardware can do.

  ./tools/kernel_bench                            all kernels on the GPU
  ./tools/kernel_bench --host                     their twins on one core of the CPU
  ./tools/kernel_bench --kernel reduce -b 256M    one kernel, one size and up
  ./tools/kernel_bench --kernel reduce --blocks 132    on few blocks: what is left to others?
  ./tools/kernel_bench --kernel gemm --gemm 4096,8192 -d bf16

What is measured
  --kernel NAME[,NAME…]  copy reduce divide gelu gelu_gradient bias_gelu        all
                         bias_gradient adamw gemm
  -d TYPE[,TYPE…]        f32 bf16 f16, or all                                   f32,bf16
  -b SIZE                first size of one array                   1M, with --host 64K
  -e SIZE                last size                               256M, with --host 16M
  -f FACTOR              each size is the one before times FACTOR    4, with --host 16
  --gemm N[,N…]          products of N × N matrices        1024,4096; --host: 256,512
  -n SAMPLES             the time of a row is their median                      15
  --warm                 do not clear the last cache between calls
  --blocks N             at most N blocks in the grid of an element-wise kernel
  --tf32                 cuBLAS may take f32 factors to tensor cores
  --host                 on the CPU
  --json                 one JSON object, for machines
  --help                 this

How to read it. An element-wise kernel does next to no arithmetic: its time is the time of the
bytes that it moves, and those are counted as it must move them, once each:

  copy, divide, gelu     2 arrays (read one, write one)
  reduce, gelu_gradient  3 arrays (read two, write one)
  bias_gelu              3 arrays (read x; write the sum, which the gradient wants, and the result)
  bias_gradient          1 array  (its result is one row)
  adamw                  weights and two moments, in f32, read and written; the gradient read; with
                         a 16-bit type a copy of the weights written too: 28 bytes an element

GB/s = those bytes / time. The limit is not the data sheet's figure, which no program reaches, but
a copy by the system (cudaMemcpyAsync, memcpy) of the same size, measured here and now: `of limit`.
On an H200 a data sheet says 4800 GB/s. Small arrays are limited by the launch, some 2 to 3 us.

A matrix product does 2·N³ operations; its limit is the library's product (cuBLAS, OpenBLAS), of
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
