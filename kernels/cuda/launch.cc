// Sizes of grids, and the one place where kernels are launched.
#include "kernels/cuda/launch.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <stdexcept>

#include "kernels/cuda/cuda_check.h"

namespace ringside::cuda {

std::string why_no_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return "";
  const cudaError_t why = status == cudaSuccess ? cudaErrorNoDevice : status;
  const std::string sentence = cuda_sentence(why, "looking for a GPU");
  cudaGetLastError();
  return sentence;
}

std::size_t multiprocessors() {
  int device = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  // Asked once for each device. Two threads that ask at once get the same answer.
  static std::array<std::atomic<int>, 64> known{};
  const auto index = static_cast<std::size_t>(device);
  int count = index < known.size() ? known[index].load(std::memory_order_relaxed) : 0;
  if (count == 0) {
    check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device),
               "counting multiprocessors");
    if (index < known.size()) known[index].store(count, std::memory_order_relaxed);
  }
  return static_cast<std::size_t>(count);
}

unsigned blocks_for(std::size_t tiles, const Launch& launch) {
  std::size_t most = multiprocessors() * kBlocksPerMultiprocessor;
  if (launch.blocks_max > 0) most = std::min(most, static_cast<std::size_t>(launch.blocks_max));
  return static_cast<unsigned>(std::clamp(tiles, std::size_t{1}, most));
}

void launch_kernel(const void* kernel, dim3 grid, dim3 block, void** arguments,
                   const Launch& launch, const char* what) {
  if (launch.stream == nullptr || launch.stream == cudaStreamLegacy)
    throw std::invalid_argument(std::string(what) +
                                " wants a stream of its own: the default stream waits for all "
                                "others");
  check_cuda(cudaLaunchKernel(kernel, grid, block, arguments, 0, launch.stream), what);
}

void load_kernel(const void* kernel) {
  cudaFuncAttributes ignored;
  check_cuda(cudaFuncGetAttributes(&ignored, kernel), "loading a kernel");
}

}  // namespace ringside::cuda
