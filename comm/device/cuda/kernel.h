// The collectives' kernel: every algorithm, compiled once (comm/device/kernel/executor.h).
#pragma once

#include "comm/device/kernel/args.h"
#include "kernels/cuda/launch.h"

namespace ringside {

// Threads of a block. Enough to have a block's share of the memory's bandwidth under way.
inline constexpr unsigned kDeviceThreads = 512;

// Enqueues it. Every rank of the call must do so, and all kernels must be resident at once.
void launch_device_call(const DeviceCall& call, unsigned blocks, const cuda::Launch& launch);

// What Device::check promises.
void launch_check(const DeviceCell* cell, std::uint32_t fingerprint, int from,
                  DeviceErrorFlags* error_flags, const cuda::Launch& launch);

// The stream executor's flags where streams cannot write and wait themselves. The wait ends when
// the cell's sequence is there, or on the abort flag.
void launch_signal(DeviceCell* cell, std::uint64_t bits, const cuda::Launch& launch);
void launch_await(const DeviceCell* cell, std::uint64_t bits, const DeviceErrorFlags* error_flags,
                  const cuda::Launch& launch);

// How many blocks of it the current device can have resident.
int resident_blocks();

// Loads the code of all of them now: later that could wait for a kernel that waits for us.
void load_device_kernels();

}  // namespace ringside
