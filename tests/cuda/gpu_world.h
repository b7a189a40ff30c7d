// Ranks with a GPU each, or with one GPU for all of them, for tests of collectives on its memory.
//
// Where there is no GPU these tests are skipped; with RINGSIDE_TEST_GPU=played they run all the
// same, and the host plays the GPU (tests/device/cpu_device.h, host_gpu.h): that tests the tests.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "comm/communicator.h"
#include "kernels/cuda/launch.h"
#include "tests/collectives/collective_case.h"
#include "tests/device/cpu_device.h"
#include "tests/support/test.h"
#include "tests/tools/host_gpu.h"
#include "tools/support/gpu.h"

namespace ringside::test {

inline bool gpu_is_played() {
  const char* const word = std::getenv("RINGSIDE_TEST_GPU");
  return word != nullptr && std::strcmp(word, "played") == 0;
}

inline void need_gpu() {
  const std::string why = gpu_is_played() ? "" : cuda::why_no_device();
  if (!why.empty()) SKIP(why);
}

// Also for threads of the host's that only want to copy: the GPU is then current in them.
inline std::shared_ptr<tools::Gpu> gpu_of_rank(int rank) {
  if (gpu_is_played()) return std::make_shared<HostGpu>(HostGpuOptions{});
  return tools::cuda_gpu(rank);
}

inline Options gpu_options(ExecutorChoice executor) {
  Options options = test_options();
  options.executor = executor;
  if (gpu_is_played()) options.device = [] { return make_cpu_device(); };
  return options;
}

}  // namespace ringside::test
