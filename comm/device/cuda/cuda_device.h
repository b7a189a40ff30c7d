// A GPU as comm/device/device.h wants it: CUDA's runtime for memory, streams and events, the
// driver's stream memory operations for flags, and our kernels.
//
// Memory reaches a peer in one of three ways: as it is (a thread of this process, the same GPU), as
// it is with peer access switched on (a thread of this process, another GPU), or by a CUDA IPC
// handle (another process of this host).
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "comm/device/device.h"

namespace ringside {

class CudaDevice : public Device {
 public:
  // The calling thread's current device. Throws cuda::CudaError.
  CudaDevice();
  ~CudaDevice() override;

  DeviceFacts facts() override;
  bool owns(const void* address) override;

  unsigned char* allocate(std::size_t bytes) override;
  void free(unsigned char* memory) noexcept override;
  DeviceHandle share(unsigned char* memory) override;
  unsigned char* open(const DeviceFacts& owner, const DeviceHandle& handle) override;
  void close(const DeviceFacts& owner, unsigned char* memory) noexcept override;
  bool lets_read(const DeviceFacts& reader) override;
  DeviceErrorFlags* make_error_flags() override;
  void free_error_flags(DeviceErrorFlags* error_flags) noexcept override;

  Stream make_stream() override;
  void end_stream(Stream stream) noexcept override;
  Event make_event() override;
  void end_event(Event event) noexcept override;
  void record(Event event, Stream stream) override;
  void wait_for(Stream stream, Event event) override;
  bool is_blocking(Stream stream) override;
  void wait_for_default(Stream stream) override;
  bool is_done(Event event) override;

  void copy(Stream stream, void* to, const void* from, std::size_t bytes) override;
  void reduce(Stream stream, DType dtype, Reduction reduction, void* out, const void* a,
              const void* b, std::size_t count) override;
  void divide(Stream stream, DType dtype, void* inout, std::size_t count, int divisor) override;
  void signal(Stream stream, DeviceCell* cell, std::uint64_t bits) override;
  void await(Stream stream, const DeviceCell* cell, std::uint64_t bits,
             const DeviceErrorFlags* error_flags) override;
  void check(Stream stream, const DeviceCell* cell, std::uint32_t fingerprint, int from,
             DeviceErrorFlags* error_flags) override;
  void launch(Stream stream, const DeviceCall& call, int blocks) override;

  void settle_default() override;
  void read(void* to_host, const void* from, std::size_t bytes) override;
  void write(void* to, const void* from_host, std::size_t bytes) override;

 private:
  void probe_flags();
  void copy_beside(void* to, const void* from, std::size_t bytes);

  int ordinal_ = 0;
  cudaStream_t overlap_ = nullptr;  // for what must not wait for any other stream
  cudaEvent_t default_mark_ = nullptr;
  // The driver's, if the device has them and they have been seen to work here.
  decltype(&cuStreamWriteValue64) write_value_ = nullptr;
  decltype(&cuStreamWaitValue64) wait_value_ = nullptr;
  unsigned wait_flags_ = CU_STREAM_WAIT_VALUE_GEQ;
};

}  // namespace ringside
