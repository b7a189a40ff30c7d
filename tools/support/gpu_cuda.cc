// A CUDA GPU behind tools/support/gpu.h; left out of a build without CUDA.
//
// Everything goes over one stream of this object's own, never over the default stream, which would
// wait for kernels that wait for other ranks. What CUDA loads late (its copies' and memsets'
// kernels) is used once in the beginning: loading may wait for all kernels that run.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "comm/error.h"
#include "comm/transport/signal.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/loops.h"
#include "tools/support/gpu.h"

namespace ringside::tools {
namespace {

using cuda::check_cuda;

constexpr int kCopiesTimed = 20;  // one after the other, so that launches hide behind them
constexpr int kTries = 5;

class CudaGpu : public Gpu {
 public:
  explicit CudaGpu(int ordinal) {
    check_cuda(cudaSetDevice(ordinal), "cudaSetDevice");
    check_cuda(cudaFree(nullptr), "making the GPU current");  // a context, not only a number
    check_cuda(cudaGetDeviceProperties(&properties_, ordinal), "asking what the device is");
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
    check_cuda(cudaEventCreate(&begin_), "an event");
    check_cuda(cudaEventCreate(&end_), "an event");
    cuda::load_loops();
    constexpr std::size_t kBytes = 4096;
    std::byte* const memory = allocate(2 * kBytes);
    std::byte some[kBytes] = {};
    write(memory, some, kBytes);
    rewrite(memory, kBytes);
    check_cuda(cudaMemcpyAsync(memory + kBytes, memory, kBytes, cudaMemcpyDeviceToDevice, stream_),
               "cudaMemcpyAsync");
    read(some, memory, kBytes);
    free(memory);
  }
  ~CudaGpu() override {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
    cudaStreamDestroy(stream_);
  }
  CudaGpu(const CudaGpu&) = delete;
  CudaGpu& operator=(const CudaGpu&) = delete;

  std::string name() const override { return properties_.name; }
  std::array<unsigned char, 16> uuid() const override {
    std::array<unsigned char, 16> bytes;
    std::memcpy(bytes.data(), &properties_.uuid, bytes.size());
    return bytes;
  }
  std::size_t free_bytes() override {
    std::size_t free = 0, total = 0;
    check_cuda(cudaMemGetInfo(&free, &total), "asking how much memory is free");
    return free;
  }

  std::byte* allocate(std::size_t bytes) override {
    void* memory = nullptr;
    check_cuda(cudaMalloc(&memory, std::max(bytes, std::size_t{1})), "cudaMalloc of a buffer");
    set(static_cast<std::byte*>(memory), 0, bytes);
    return static_cast<std::byte*>(memory);
  }
  void free(std::byte* memory) noexcept override { cudaFree(memory); }

  void write(std::byte* to, const void* from_host, std::size_t bytes) override {
    if (bytes == 0) return;
    check_cuda(cudaMemcpyAsync(to, from_host, bytes, cudaMemcpyHostToDevice, stream_),
               "copying to the GPU");
    finish();
  }
  void read(void* to_host, const std::byte* from, std::size_t bytes) override {
    if (bytes == 0) return;
    check_cuda(cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, stream_),
               "copying from the GPU");
    finish();
  }
  void set(std::byte* at, unsigned char value, std::size_t bytes) override {
    if (bytes == 0) return;
    check_cuda(cudaMemsetAsync(at, value, bytes, stream_), "cudaMemsetAsync");
    finish();
  }
  // 0 and 1 in turns: the lowest bits of a number, so it stays about what it was.
  void rewrite(std::byte* at, std::size_t bytes) override {
    if (bytes == 0) return;
    turn_ ^= 1;
    check_cuda(
        cudaMemset2DAsync(at, kLineBytes, turn_, 1, (bytes + kLineBytes - 1) / kLineBytes, stream_),
        "cudaMemset2DAsync");
    finish();
  }

  double copy_us(std::size_t bytes) override {
    std::byte* const memory = allocate(2 * bytes);
    const auto ours = [&] { cuda::copy(memory + bytes, memory, bytes, {stream_}); };
    const auto cudas = [&] {
      check_cuda(cudaMemcpyAsync(memory + bytes, memory, bytes, cudaMemcpyDeviceToDevice, stream_),
                 "cudaMemcpyAsync");
    };
    double best_us = timed_us(ours);
    for (int i = 0; i < kTries; ++i) best_us = std::min({best_us, timed_us(ours), timed_us(cudas)});
    free(memory);
    return best_us;
  }

  void* stream() override { return stream_; }
  bool is_done() override {
    const cudaError_t status = cudaStreamQuery(stream_);
    if (status == cudaErrorNotReady) {
      cudaGetLastError();
      return false;
    }
    check_cuda(status, "a call on the GPU");
    return true;
  }

 private:
  void finish() { check_cuda(cudaStreamSynchronize(stream_), "waiting for the GPU"); }

  template <class Copy>
  double timed_us(const Copy& copy) {
    check_cuda(cudaEventRecord(begin_, stream_), "cudaEventRecord");
    for (int i = 0; i < kCopiesTimed; ++i) copy();
    check_cuda(cudaEventRecord(end_, stream_), "cudaEventRecord");
    finish();
    float ms = 0;
    check_cuda(cudaEventElapsedTime(&ms, begin_, end_), "reading the time");
    return static_cast<double>(ms) * 1e3 / kCopiesTimed;
  }

  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
  int turn_ = 0;
};

}  // namespace

std::shared_ptr<Gpu> cuda_gpu(int local_rank) {
  // Before CUDA starts: ranks that are threads need streams that do not stand behind each other
  // (comm/device/capabilities.h).
  static std::once_flag once;
  std::call_once(once, [] { ::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0); });
  const std::string why = cuda::why_no_device();
  if (!why.empty()) throw Error(Fault::usage, "there is no device memory: " + why);
  int count = 0;
  check_cuda(cudaGetDeviceCount(&count), "counting the GPUs");
  return std::make_shared<CudaGpu>(local_rank % count);
}

}  // namespace ringside::tools
