// A block of a GPU's threads, as the device executor wants one (comm/device/kernel/executor.h).
#pragma once

#include "comm/device/kernel/args.h"
#include "comm/device/kernel/executor.h"

namespace ringside {

class GpuBlock {
 public:
  // What the block shares. Two places for what the leader broadcasts: a thread that is slow to read
  // one is not overtaken, as the other is written next, and before the one after that all have met.
  struct Shared {
    LeaderResult results[2];
    DeviceProgress progress[kMostDeviceRanks];
  };

  __device__ explicit GpuBlock(Shared& shared) : shared_(shared) {}

  __host__ __device__ std::size_t index() const {
#if defined(__CUDA_ARCH__)
    return blockIdx.x;
#else
    return 0;
#endif
  }
  __host__ __device__ std::size_t count() const {
#if defined(__CUDA_ARCH__)
    return gridDim.x;
#else
    return 1;
#endif
  }

  template <class F>
  __host__ __device__ LeaderResult broadcast(const F& f) {
#if defined(__CUDA_ARCH__)
    LeaderResult& result = shared_.results[turn_];
    turn_ = 1 - turn_;
    if (threadIdx.x == 0) result = f();
    __syncthreads();
    return result;
#else
    return f();
#endif
  }
  template <class F>
  __host__ __device__ void leader(const F& f) {
#if defined(__CUDA_ARCH__)
    if (threadIdx.x == 0) f();
#endif
  }
  template <class F>
  __host__ __device__ void together(const F& f) {
#if defined(__CUDA_ARCH__)
    f(threadIdx.x, blockDim.x);
    __syncthreads();
#endif
  }
  __host__ __device__ DeviceProgress& progress(int peer) { return shared_.progress[peer]; }
  __host__ __device__ void relax() {}

 private:
  Shared& shared_;
  int turn_ = 0;
};

}  // namespace ringside
