// Where a kernel is to run, and how much of the device it may take.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

namespace ringside::cuda {

// The device is the calling thread's current one, and the stream is one of its streams. It is never
// the default stream (null), which waits for all others: that is refused.
struct Launch {
  cudaStream_t stream;
  int blocks_max = 0;  // to leave multiprocessors to others; 0: as many as serve the speed
};

// Why there is no GPU to run on, as a sentence; empty where there is one.
std::string why_no_device();

// The multiprocessors of the current device.
std::size_t multiprocessors();

// The grid of a kernel that walks over `tiles` pieces of work with a stride of its grid: one block
// a piece, but not more than kBlocksPerMultiprocessor for each of the device's, nor than the caller
// allows; at least 1. Several times what is resident at once, so that a multiprocessor that is done
// early finds more to do.
inline constexpr std::size_t kBlocksPerMultiprocessor = 64;
unsigned blocks_for(std::size_t tiles, const Launch& launch);

// cudaLaunchKernel. Throws CudaError, or std::invalid_argument for the default stream.
void launch_kernel(const void* kernel, dim3 grid, dim3 block, void** arguments,
                   const Launch& launch, const char* what);

// Makes the runtime load the code of `kernel` now. Otherwise it is loaded at the first launch,
// which can wait for every kernel that is running: for ever, if one of those waits for this one.
void load_kernel(const void* kernel);

}  // namespace ringside::cuda
