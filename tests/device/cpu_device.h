// A device that the CPU emulates, so that everything above comm/device/device.h runs where there is
// no GPU: the stream executor and the device executor, with flags, credit, zero-copy messages,
// events, and the ends of waits.
//
//     memory    the host's; every address counts as the device's while a CpuDevice owns it
//     a stream  a thread that carries out what is enqueued on it, one after the other
//     an event  a number that a stream passes
//     a kernel  a thread for each block, all at once, in which one thread does the work of all of
//               the block's
//
// Ranks are threads of one process: each of them reaches the others' memory by its address.
#pragma once

#include <atomic>
#include <memory>

#include "comm/device/device.h"

namespace ringside::test {

struct CpuDeviceOptions {
  int resident_blocks = 12;        // for all ranks' kernels together (resident_share)
  unsigned threads_a_block = 5;    // no power of two: strides must make no difference
  bool several_processes = false;  // as if ranks were processes without MPS
  int connections = 32;
  bool is_blocking = false;               // what it answers for every stream
  bool no_way = false;                    // a peer's memory cannot be opened
  std::atomic<bool>* owns_all = nullptr;  // null: it owns every address
};

std::shared_ptr<Device> make_cpu_device(const CpuDeviceOptions& options = {});

// How many windows, streams, events and other things there are that nobody has given back.
int cpu_device_retired_windows();

}  // namespace ringside::test
