// What the CUDA runtime refuses, in one sentence.
//
//     check_cuda(cudaMalloc(&memory, bytes), "cudaMalloc of the receive slots");
//
//     rank 3: cudaMalloc of the receive slots failed on device 1 (NVIDIA H200): out of memory
//     (cudaErrorMemoryAllocation); free memory on the device, or ask for less
//
// kernels/ knows no ranks: who speaks is told by whoever does.
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace ringside::cuda {

class CudaError : public std::runtime_error {
 public:
  CudaError(cudaError_t status, const std::string& sentence)
      : std::runtime_error(sentence), status_(status) {}
  cudaError_t status() const { return status_; }

 private:
  cudaError_t status_;
};

// The sentence for `status`, which is no success. `what` is what was tried, `who` begins the
// sentence ("rank 3"); empty: nobody.
std::string cuda_sentence(cudaError_t status, const std::string& what, const std::string& who = "");

[[noreturn]] void throw_cuda(cudaError_t status, const std::string& what, const std::string& who);

// `what` is a literal: a call that succeeds builds no string.
inline void check_cuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw_cuda(status, what, "");
}
inline void check_cuda(cudaError_t status, const char* what, const std::string& who) {
  if (status != cudaSuccess) throw_cuda(status, what, who);
}

}  // namespace ringside::cuda
