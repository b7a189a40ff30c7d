// kernel_bench: the kernels of kernels/, against what the hardware allows.
//
// On a GPU, or with --host their twins on one core of the CPU. Each row of the table is compared
// with a bound that is measured in the same run: a copy by the system, or the library's matrix
// product.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "comm/error.h"
#include "tools/kernel_suite/backend.h"
#include "tools/kernel_suite/options.h"
#include "tools/kernel_suite/table.h"
#include "tools/support/run_ranks.h"
#if defined(RINGSIDE_HAVE_CUDA)
#include "kernels/cuda/launch.h"
#endif

namespace {

using namespace ringside;
using namespace ringside::tools;

constexpr const char* kTool = "kernel_bench";
constexpr int kNoGpu = 3;

class Bench {
 public:
  Bench(KernelSide& side, const KernelOptions& options) : side_(side), options_(options) {}

  std::vector<KernelRow> run() {
    side_.make_buffers(buffer_bytes());
    show(kernel_head(side_, options_));
    for (const DType dtype : options_.dtypes) {
      side_.fill(dtype);
      measure_elementwise(dtype);
      if (wants(Kernel::gemm)) measure_products(dtype);
    }
    return rows_;
  }

 private:
  bool wants(Kernel kernel) const {
    return std::count(options_.kernels.begin(), options_.kernels.end(), kernel) > 0;
  }

  // Floats for as many elements as the narrowest type has in the largest array.
  std::size_t buffer_bytes() const {
    std::size_t each = 4;
    for (const DType dtype : options_.dtypes) each = std::min(each, bytes_of(dtype));
    std::size_t bytes = wants_arrays() ? options_.end_bytes / each * 4 : 0;
    if (wants(Kernel::gemm))
      for (const std::size_t n : options_.products) bytes = std::max(bytes, n * n * 4);
    return bytes;
  }
  bool wants_arrays() const { return options_.kernels != std::vector<Kernel>{Kernel::gemm}; }

  void show(const std::string& words) const {
    if (options_.json) return;
    std::fputs(words.c_str(), stdout);
    std::fflush(stdout);
  }

  // Measures a call, and returns its rate.
  double measure(const KernelCall& call, std::size_t size_bytes, double work, double lower_bound) {
    KernelRow row{call, size_bytes, side_.time_us(call, options_), 0, 0};
    row.rate = row.time_us.median > 0 ? work / row.time_us.median / 1e3 : 0;
    row.of_lower_bound = lower_bound > 0 ? row.rate / lower_bound : 0;
    show(kernel_row(side_, row));
    rows_.push_back(row);
    return row.rate;
  }

  void measure_elementwise(DType dtype) {
    if (!wants_arrays()) return;
    for (std::size_t bytes = options_.begin_bytes; bytes <= options_.end_bytes;
         bytes *= options_.factor) {
      const std::size_t count = bytes / bytes_of(dtype) / kBiasColumns * kBiasColumns;
      KernelCall call{Kernel::library_copy, dtype, count, {}};
      const std::size_t size_bytes = count * bytes_of(dtype);
      const double lower_bound = measure(call, size_bytes, bytes_moved(call), 0);
      for (const Kernel kernel : options_.kernels) {
        if (is_product(kernel)) continue;
        call.kernel = kernel;
        measure(call, size_bytes, bytes_moved(call), lower_bound);
      }
    }
  }

  void measure_products(DType dtype) {
    for (const std::size_t n : options_.products)
      for (const GemmForm form : kAllGemmForms) {
        KernelCall call{Kernel::library_gemm, dtype, 0, {}};
        call.product.form = form;
        call.product.m = call.product.n = call.product.k = n;
        call.product.in = call.product.out = dtype;
        const double work =
            2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
        const std::size_t size_bytes = n * n * bytes_of(dtype);
        const double lower_bound =
            side_.has_library_gemm(call.product) ? measure(call, size_bytes, work, 0) : 0;
        call.kernel = Kernel::gemm;
        measure(call, size_bytes, work, lower_bound);
      }
  }

  KernelSide& side_;
  const KernelOptions& options_;
  std::vector<KernelRow> rows_;
};

int bench_on(KernelSide& side, const KernelOptions& options) {
  const std::vector<KernelRow> rows = Bench(side, options).run();
  if (options.json) std::fputs(kernel_json(side, options, rows).c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

int no_gpu(const std::string& why) {
  std::fprintf(stderr, "%s: %s; --host measures the same kernels' twins on the CPU\n", kTool,
               why.c_str());
  return kNoGpu;
}

int bench(const KernelOptions& options) {
  if (options.host) return bench_on(*cpu_side(), options);
#if defined(RINGSIDE_HAVE_CUDA)
  if (const std::string why = cuda::why_no_device(); !why.empty()) return no_gpu(why);
  return bench_on(*cuda_side(), options);
#else
  return no_gpu("this build has no CUDA");
#endif
}

}  // namespace

int main(int argc, char** argv) {
  KernelOptions options;
  try {
    options = parse_kernel_options(argc, argv);
    if (options.request != Request::none)
      return print_once(kTool, answer(options.request, kTool, kernel_help));
    return bench(options);
  } catch (const Error& error) {
    return refuse(kTool, error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", kTool, error.what());
    return 1;
  }
}
