// One kernel for all collectives, types and reductions: what it does is in its argument. So there
// is one thing to load, and its code is some hundred KB and not as many kernels.
#include "comm/device/cuda/kernel.h"

#include "comm/device/cuda/gpu_block.h"
#include "kernels/cuda/cuda_check.h"

namespace ringside {
namespace {

__global__ void __launch_bounds__(kDeviceThreads, 1)
    device_call_kernel(const __grid_constant__ DeviceCall call) {
  __shared__ GpuBlock::Shared shared;
  DeviceProgress* const mine =
      call.progress + call.layout.connection(static_cast<int>(blockIdx.x), 0);
  for (int peer = static_cast<int>(threadIdx.x); peer < call.size; peer += kDeviceThreads)
    shared.progress[peer] = mine[peer];
  __syncthreads();
  GpuBlock block(shared);
  carry_out(call, block);
  __syncthreads();
  for (int peer = static_cast<int>(threadIdx.x); peer < call.size; peer += kDeviceThreads)
    mine[peer] = shared.progress[peer];
}

__global__ void check_kernel(const DeviceCell* cell, std::uint32_t fingerprint, int from,
                             DeviceErrorFlags* error_flags) {
  const std::uint32_t mark = device_fingerprint(load_acquire(&cell->bits));
  if (mark == fingerprint || load_word(&error_flags->abort) != 0) return;
  store_release(&error_flags->found, kErrorFound | static_cast<std::uint64_t>(from) << 32 | mark);
  while (load_word(&error_flags->abort) == 0) continue;
}

__global__ void signal_kernel(DeviceCell* cell, std::uint64_t bits) {
  __threadfence_system();
  store_release(&cell->bits, bits);
}

__global__ void await_kernel(const DeviceCell* cell, std::uint64_t bits,
                             const DeviceErrorFlags* error_flags) {
  for (;;) {
    for (int read = 0; read < 1024; ++read)
      if (static_cast<std::int64_t>(load_acquire(&cell->bits) - bits) >= 0) return;
    if (load_word(&error_flags->abort) != 0) return;
  }
}

template <class Kernel>
const void* address_of(Kernel* kernel) {
  return reinterpret_cast<const void*>(kernel);
}

}  // namespace

void launch_device_call(const DeviceCall& call, unsigned blocks, const cuda::Launch& launch) {
  void* arguments[] = {const_cast<DeviceCall*>(&call)};
  cuda::launch_kernel(reinterpret_cast<const void*>(&device_call_kernel), blocks, kDeviceThreads,
                      arguments, launch, "a collective's kernel");
}

void launch_check(const DeviceCell* cell, std::uint32_t fingerprint, int from,
                  DeviceErrorFlags* error_flags, const cuda::Launch& launch) {
  void* arguments[] = {&cell, &fingerprint, &from, &error_flags};
  cuda::launch_kernel(address_of(check_kernel), 1, 1, arguments, launch, "a check of a flag");
}

void launch_signal(DeviceCell* cell, std::uint64_t bits, const cuda::Launch& launch) {
  void* arguments[] = {&cell, &bits};
  cuda::launch_kernel(address_of(signal_kernel), 1, 1, arguments, launch, "a signal");
}

void launch_await(const DeviceCell* cell, std::uint64_t bits, const DeviceErrorFlags* error_flags,
                  const cuda::Launch& launch) {
  void* arguments[] = {&cell, &bits, &error_flags};
  cuda::launch_kernel(address_of(await_kernel), 1, 1, arguments, launch, "a wait for a signal");
}

int resident_blocks() {
  int each = 0;
  cuda::check_cuda(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(
          &each, reinterpret_cast<const void*>(&device_call_kernel), kDeviceThreads, 0),
      "asking how many blocks a multiprocessor can have");
  return each * static_cast<int>(cuda::multiprocessors());
}

void load_device_kernels() {
  cuda::load_kernel(reinterpret_cast<const void*>(&device_call_kernel));
  cuda::load_kernel(address_of(check_kernel));
  cuda::load_kernel(address_of(signal_kernel));
  cuda::load_kernel(address_of(await_kernel));
}

}  // namespace ringside
