// The kernels on a GPU, timed by events on a stream of their own, with cudaMemcpyAsync and cuBLAS
// as baselines. Left out of a build without CUDA.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "comm/error.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/layers.h"
#include "kernels/cuda/loops.h"
#include "tools/kernel_suite/backend.h"
#include "tools/support/gpu.h"
#if defined(RINGSIDE_HAVE_CUBLAS)
#include "kernels/cuda/blas.h"
#endif

namespace ringside::tools {
namespace {

using cuda::check_cuda;

class Event {
 public:
  Event() { check_cuda(cudaEventCreate(&event_), "an event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(cudaStream_t stream) { check_cuda(cudaEventRecord(event_, stream), "an event"); }
  double us_since(const Event& start) const {
    check_cuda(cudaEventSynchronize(event_), "waiting for a kernel");
    float ms = 0;
    check_cuda(cudaEventElapsedTime(&ms, start.event_, event_), "reading the time");
    return static_cast<double>(ms) * 1e3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

constexpr double kWarmSample_us = 500;

class CudaSide : public KernelSide {
 public:
  CudaSide() {
    int device = 0;
    check_cuda(cudaGetDevice(&device), "cudaGetDevice");
    check_cuda(cudaGetDeviceProperties(&properties_, device), "asking what the device is");
#if defined(RINGSIDE_HAVE_CUBLAS)
    if (cuda::why_no_blas().empty()) blas_.emplace();
#endif
  }
  ~CudaSide() override {
    for (std::byte* it : buffers_) gpu_->free(it);
    gpu_->free(clear_);
  }
  CudaSide(const CudaSide&) = delete;
  CudaSide& operator=(const CudaSide&) = delete;

  std::string name() const override { return "cuda"; }
  std::string words() const override {
    return text("%s, %d multiprocessors, %zu MiB of L2", properties_.name,
                properties_.multiProcessorCount, l2_bytes() >> 20);
  }
  const char* library_copy() const override { return "cudaMemcpyAsync"; }

#if defined(RINGSIDE_HAVE_CUBLAS)
  std::string library_gemm() const override {
    return blas_ ? "cuBLAS " + blas_->version() : cuda::why_no_blas();
  }
  bool has_library_gemm(const Gemm&) const override { return blas_.has_value(); }
#else
  std::string library_gemm() const override { return "no cuBLAS in this build"; }
  bool has_library_gemm(const Gemm&) const override { return false; }
#endif

  void make_buffers(std::size_t bytes_each) override {
    bytes_each_ = bytes_each;
    for (std::byte*& it : buffers_) it = gpu_->allocate(bytes_each);
    clear_ = gpu_->allocate(clear_bytes());
  }

  void fill(DType dtype) override {
    std::vector<std::byte> pattern(bytes_each_);
    for (int i = 0; i < 5; ++i) {
      if (i == 0 || i == 2) fill_buffer(pattern.data(), pattern.size(), i < 2 ? dtype : DType::f32);
      gpu_->write(buffers_[static_cast<std::size_t>(i)], pattern.data(), pattern.size());
    }
  }

  Quartiles time_us(const KernelCall& call, const KernelOptions& options) override {
    for (int i = 0; i < 3; ++i) run(call, options);  // loads the code, raises the clocks
    const double once_us = sample_us(call, options, 1, false);
    const int calls =
        options.warm ? static_cast<int>(std::clamp(kWarmSample_us / once_us, 1.0, 1000.0)) : 1;
    std::vector<double> times;
    for (int i = 0; i < options.samples; ++i)
      times.push_back(sample_us(call, options, calls, !options.warm));
    return quartiles_of(std::move(times));
  }

 private:
  std::size_t l2_bytes() const { return static_cast<std::size_t>(properties_.l2CacheSize); }
  std::size_t clear_bytes() const { return 2 * std::max(l2_bytes(), std::size_t{1} << 20); }
  void* at(int buffer) const { return buffers_[static_cast<std::size_t>(buffer)]; }

  double sample_us(const KernelCall& call, const KernelOptions& options, int calls, bool clear) {
    if (clear) check_cuda(cudaMemsetAsync(clear_, 1, clear_bytes(), stream_), "clearing the cache");
    start_.record(stream_);
    for (int i = 0; i < calls; ++i) run(call, options);
    end_.record(stream_);
    return end_.us_since(start_) / calls;
  }

  void run(const KernelCall& it, const KernelOptions& options) {
    const cuda::Launch launch{stream_, options.blocks};
    const std::size_t bytes = it.count * bytes_of(it.dtype);
    switch (it.kernel) {
      case Kernel::library_copy:
        return check_cuda(cudaMemcpyAsync(at(2), at(0), bytes, cudaMemcpyDeviceToDevice, stream_),
                          "cudaMemcpyAsync");
      case Kernel::copy:
        return cuda::copy(at(2), at(0), bytes, launch);
      case Kernel::reduce:
        return cuda::reduce(it.dtype, Reduction::sum, at(2), at(0), at(1), it.count, launch);
      case Kernel::divide:
        return cuda::divide(it.dtype, at(1), it.count, 1, launch);
      case Kernel::library_gemm:
        return run_library_gemm(it.product, launch, options.tf32);
      default:
        return run_kernel(it, {at(0), at(1), at(2), at(3), at(4)}, launch);
    }
  }

#if defined(RINGSIDE_HAVE_CUBLAS)
  void run_library_gemm(const Gemm& it, const cuda::Launch& launch, bool tf32) {
    blas_->gemm(it, at(2), at(0), at(1), launch, tf32);
  }
  std::optional<cuda::Blas> blas_;
#else
  void run_library_gemm(const Gemm&, const cuda::Launch&, bool) {}
#endif

  const std::shared_ptr<Gpu> gpu_ = cuda_gpu(0);
  const cudaStream_t stream_ = static_cast<cudaStream_t>(gpu_->stream());
  cudaDeviceProp properties_{};
  std::size_t bytes_each_ = 0;
  std::array<std::byte*, 5> buffers_{};
  std::byte* clear_ = nullptr;
  Event start_, end_;
};

}  // namespace

std::unique_ptr<KernelSide> cuda_side() { return std::make_unique<CudaSide>(); }

}  // namespace ringside::tools
