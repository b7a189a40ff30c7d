// The kernels' CPU twins, timed on one core, with memcpy and OpenBLAS as baselines.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "comm/error.h"
#include "comm/util/meminfo.h"
#include "kernels/loops.h"
#include "tools/kernel_suite/backend.h"
#include "tools/measure/host_info.h"
#if defined(RINGSIDE_HAVE_OPENBLAS)
#include <cblas.h>
#endif

namespace ringside::tools {
namespace {

using std::chrono::steady_clock;

// Larger than what one core can keep of a shared last cache.
constexpr std::size_t kClearBytes = std::size_t{64} << 20;
constexpr double kWarmSample_us = 500;

class CpuSide : public KernelSide {
 public:
  std::string name() const override { return "cpu"; }
  std::string words() const override {
    return this_machine().cpu + ", one core, " + ringside::name_of(best_isa());
  }
  const char* library_copy() const override { return "memcpy"; }

#if defined(RINGSIDE_HAVE_OPENBLAS)
  std::string library_gemm() const override { return "OpenBLAS"; }
  bool has_library_gemm(const Gemm& it) const override { return it.in == DType::f32; }
#else
  std::string library_gemm() const override { return ""; }
  bool has_library_gemm(const Gemm&) const override { return false; }
#endif

  void make_buffers(std::size_t bytes_each) override {
    const std::size_t wanted = 5 * bytes_each + kClearBytes;
    if (wanted > available_bytes())
      throw Error(Fault::usage, text("these sizes need %zu MiB of memory, and %zu MiB are free",
                                     wanted >> 20, available_bytes() >> 20));
    for (auto& buffer : buffers_) buffer.resize(bytes_each);
    clear_.resize(kClearBytes);
  }

  void fill(DType dtype) override {
    for (int i = 0; i < 5; ++i)
      fill_buffer(buffers_[i].data(), buffers_[i].size(), i < 2 ? dtype : DType::f32);
  }

  Quartiles time_us(const KernelCall& call, const KernelOptions& options) override {
    auto start = steady_clock::now();
    run(call);  // the first call of all: pages, branch predictors, the choice of a build
    const double once_us = us_since(start);
    const int calls =
        options.warm ? static_cast<int>(std::clamp(kWarmSample_us / once_us, 1.0, 1000.0)) : 1;
    std::vector<double> times;
    for (int sample = 0; sample < options.samples; ++sample) {
      if (!options.warm)
        for (std::size_t i = 0; i < clear_.size(); i += 64) clear_[i] ^= std::byte{1};
      start = steady_clock::now();
      for (int i = 0; i < calls; ++i) run(call);
      times.push_back(us_since(start) / calls);
    }
    return quartiles_of(std::move(times));
  }

 private:
  void* at(int buffer) { return buffers_[buffer].data(); }

  void run(const KernelCall& it) {
    const std::size_t bytes = it.count * bytes_of(it.dtype);
    switch (it.kernel) {
      case Kernel::library_copy:
        std::memcpy(at(2), at(0), bytes);
        return;
      case Kernel::copy:
        return copy_bytes_streaming(at(2), at(0), bytes);
      case Kernel::reduce:
        return reduce_loop(it.dtype, Reduction::sum)(at(2), at(0), at(1), it.count);
      case Kernel::divide:
        return divide_loop(it.dtype)(at(1), it.count, 1);
      case Kernel::library_gemm:
        return run_library_gemm(it.product);
      default:
        return run_kernel(it, {at(0), at(1), at(2), at(3), at(4)});
    }
  }

#if defined(RINGSIDE_HAVE_OPENBLAS)
  void run_library_gemm(const Gemm& product) {
    const Gemm it = checked(product);
    const auto floats = [&](int buffer) { return static_cast<float*>(at(buffer)); };
    const auto as_int = [](std::size_t value) { return static_cast<int>(value); };
    openblas_set_num_threads(1);
    cblas_sgemm(CblasRowMajor, it.form == GemmForm::tn ? CblasTrans : CblasNoTrans,
                it.form == GemmForm::nt ? CblasTrans : CblasNoTrans, as_int(it.m), as_int(it.n),
                as_int(it.k), 1, floats(0), as_int(it.pitch_a), floats(1), as_int(it.pitch_b), 0,
                floats(2), as_int(it.pitch_c));
  }
#else
  void run_library_gemm(const Gemm&) {}
#endif

  std::vector<std::byte> buffers_[5];
  std::vector<std::byte> clear_;
};

}  // namespace

std::unique_ptr<KernelSide> cpu_side() { return std::make_unique<CpuSide>(); }

void fill_buffer(std::byte* to, std::size_t bytes, DType dtype) {
  // Odd steps, so that no power of two repeats the pattern; exact in all three types.
  std::uint32_t state = 1;
  const auto next = [&state] {
    state = state * 1664525u + 1013904223u;
    return 0.25f + static_cast<float>(state >> 25) * (0.75f / 128);
  };
  const std::size_t each = bytes_of(dtype);
  for (std::size_t i = 0; i + each <= bytes; i += each) {
    const float value = next();
    const std::uint32_t bits = dtype == DType::f32   ? bits_of(value)
                               : dtype == DType::f16 ? to_f16(value).bits
                                                     : to_bf16(value).bits;
    std::memcpy(to + i, &bits, each);
  }
}

}  // namespace ringside::tools
