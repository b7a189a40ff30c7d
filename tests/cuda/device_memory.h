// Memory of a GPU for tests: between guards, at any offset, poisoned, and freed when it goes.
#pragma once

#include <stdlib.h>

#include <cstddef>
#include <cstring>
#include <vector>

#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/launch.h"
#include "tests/support/test.h"

namespace ringside::test {

// Leaves the test where there is no GPU, and says why.
//
// Streams share a few hardware queues, 8 if nothing is said, and what is behind another stream's
// wait in the same queue waits, too: for ever, if it is what the wait is for. Ranks that are
// threads of one process have several streams each. (Read when CUDA starts, so it is set before.)
inline void need_device() {
  ::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
  const std::string why = cuda::why_no_device();
  if (!why.empty()) SKIP(why);
}

class Stream {
 public:
  Stream() {
    cuda::check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
  }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  operator cuda::Launch() const { return {stream_}; }
  cuda::Launch with_blocks(int most) const { return {stream_, most}; }
  void wait() const { cuda::check_cuda(cudaStreamSynchronize(stream_), "waiting for the kernel"); }

 private:
  cudaStream_t stream_ = nullptr;
};

class DeviceBytes {
 public:
  // `offset` bytes beyond a boundary of 256. Without data: poison.
  DeviceBytes(const void* data, std::size_t bytes, std::size_t offset)
      : begin_(kGuardBytes + offset),
        bytes_(bytes),
        host_(kGuardBytes * 2 + offset + bytes, kGuard) {
    if (data != nullptr && bytes != 0) std::memcpy(host_.data() + begin_, data, bytes);
    cuda::check_cuda(cudaMalloc(&device_, host_.size()), "memory for a test");
    cuda::check_cuda(cudaMemcpy(device_, host_.data(), host_.size(), cudaMemcpyHostToDevice),
                     "filling a test's memory");
  }
  template <class T>
  DeviceBytes(const std::vector<T>& data, std::size_t offset = 0)
      : DeviceBytes(data.data(), data.size() * sizeof(T), offset) {}
  ~DeviceBytes() { cudaFree(device_); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;

  void* data() const { return static_cast<unsigned char*>(device_) + begin_; }

  // What stands there now. Fails the test if a guard has been written to.
  template <class T>
  std::vector<T> fetch(Context& t) {
    cuda::check_cuda(cudaMemcpy(host_.data(), device_, host_.size(), cudaMemcpyDeviceToHost),
                     "fetching a result");
    for (std::size_t i = 0; i < host_.size(); ++i)
      if (i < begin_ || i >= begin_ + bytes_) CHECK_MSG(host_[i] == kGuard, "wrote beside it");
    std::vector<T> values(bytes_ / sizeof(T));
    if (bytes_ != 0) std::memcpy(values.data(), host_.data() + begin_, bytes_);
    return values;
  }

 private:
  static constexpr std::size_t kGuardBytes = 256;
  static constexpr unsigned char kGuard = 0xa5;
  std::size_t begin_, bytes_;
  std::vector<unsigned char> host_;
  void* device_ = nullptr;
};

}  // namespace ringside::test
