// The sentence about a refusal by CUDA: what failed, where, why, and what to try.
#include "kernels/cuda/cuda_check.h"

namespace ringside::cuda {
namespace {

const char* what_to_try(cudaError_t status) {
  switch (status) {
    case cudaErrorInsufficientDriver:
      return "there is no driver, or it is older than the CUDA that ringside was built with";
    case cudaErrorNoDevice:
      return "no GPU is visible; look at nvidia-smi and at CUDA_VISIBLE_DEVICES";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorUnsupportedPtxVersion:
      return "this build has no code for this device; name it in CUDA_ARCH_FLAGS and build anew";
    case cudaErrorMemoryAllocation:
      return "free memory on the device, or ask for less";
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
      return "an earlier kernel went wrong; this process can no longer use the device";
    default:
      return nullptr;
  }
}

// The name costs a call that may itself fail; then the number must do.
std::string device_words() {
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return "";
  std::string words = " on device " + std::to_string(device);
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, device) == cudaSuccess)
    words += std::string(" (") + properties.name + ")";
  return words;
}

}  // namespace

std::string cuda_sentence(cudaError_t status, const std::string& what, const std::string& who) {
  const bool has_device = status != cudaErrorNoDevice && status != cudaErrorInsufficientDriver;
  std::string words = who.empty() ? "" : who + ": ";
  words += what + " failed" + (has_device ? device_words() : "") + ": ";
  words += std::string(cudaGetErrorString(status)) + " (" + cudaGetErrorName(status) + ")";
  if (const char* const advice = what_to_try(status)) words += std::string("; ") + advice;
  return words;
}

void throw_cuda(cudaError_t status, const std::string& what, const std::string& who) {
  const std::string sentence = cuda_sentence(status, what, who);
  cudaGetLastError();  // told once: it must not be found again by the next call
  throw CudaError(status, sentence);
}

}  // namespace ringside::cuda
