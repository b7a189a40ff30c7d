// A GPU for the tests of device_rig.h: the first one that is visible, shared by all rank threads.
//
// Memory comes from cudaMalloc, before any communicator, and is filled and read on the default
// stream, as a program that knows of no streams would do it. The default stream does not wait for
// ringside's, which are non-blocking: a peer's kernel may be spinning meanwhile.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include "comm/device/device.h"
#include "comm/error.h"
#include "kernels/cuda/cuda_check.h"
#include "tests/cuda/device_memory.h"
#include "tests/device/rig.h"

namespace ringside::test {

// As a program does before it makes a communicator: on every thread.
inline void make_gpu_current() {
  cuda::check_cuda(cudaSetDevice(0), "cudaSetDevice");
  cuda::check_cuda(cudaFree(nullptr), "starting CUDA");
}

inline std::shared_ptr<Device> current_gpu() {
  make_gpu_current();
  return current_device();
}

class GpuMemory : public Elsewhere {
 public:
  explicit GpuMemory(std::size_t each_bytes = kRoomBytes) : each_bytes_(each_bytes) {
    for (void*& it : memory_)
      cuda::check_cuda(cudaMalloc(&it, each_bytes), "memory for a test's buffers");
  }
  ~GpuMemory() override {
    for (void* const it : memory_) cudaFree(it);
  }
  GpuMemory(const GpuMemory&) = delete;
  GpuMemory& operator=(const GpuMemory&) = delete;

  std::byte* room(int which, std::size_t bytes) override {
    if (bytes > each_bytes_)
      throw Error(Fault::usage, text("a test wants %zu bytes, and has %zu", bytes, each_bytes_));
    return static_cast<std::byte*>(memory_[which]);
  }
  // A copy from pageable memory may return before it has arrived.
  void write(std::byte* to, const std::byte* from_host, std::size_t bytes) override {
    cuda::check_cuda(cudaMemcpy(to, from_host, bytes, cudaMemcpyHostToDevice), "filling a buffer");
    cuda::check_cuda(cudaStreamSynchronize(cudaStreamLegacy), "filling a buffer");
  }
  void read(std::byte* to_host, const std::byte* from, std::size_t bytes) override {
    cuda::check_cuda(cudaMemcpy(to_host, from, bytes, cudaMemcpyDeviceToHost), "reading a buffer");
  }

 private:
  std::size_t each_bytes_;
  void* memory_[2] = {};
};

// Rank threads make the GPU current by Options::device; that a program needs only cudaSetDevice is
// the affair of the tests without a rig.
inline Rig gpu_rig(int most_ranks, std::size_t each_bytes = kRoomBytes) {
  need_device();
  make_gpu_current();
  const auto memory = std::make_shared<std::vector<std::unique_ptr<GpuMemory>>>();
  for (int rank = 0; rank < most_ranks; ++rank)
    memory->push_back(std::make_unique<GpuMemory>(each_bytes));
  Rig rig;
  rig.options = [](ExecutorChoice executor) {
    Options options = test_options();
    options.executor = executor;
    options.device_slot_bytes = 1024;
    options.stream_slot_bytes = 4096;
    options.device = current_gpu;
    return options;
  };
  rig.device = current_gpu;
  rig.memory = [memory](int rank) { return (*memory)[static_cast<std::size_t>(rank)].get(); };
  return rig;
}

}  // namespace ringside::test
