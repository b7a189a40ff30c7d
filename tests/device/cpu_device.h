// A device played by the CPU, so that everything above comm/device/device.h runs where there is no
// GPU: the stream executor and the device executor, with flags, credit, zero-copy messages, events,
// and the ends of waits.
//
//     memory    the host's; every address counts as the device's while a CpuDevice says so
//     a stream  a thread that takes its orders one after the other
//     an event  a number that a stream passes
//     a kernel  a thread for each block, all at once, in which one thread plays all of the block's
//
// Ranks are threads of one process: each of them reaches the others' memory by its address.
#pragma once

#include <atomic>
#include <memory>

#include "comm/device/device.h"

namespace ringside::test {

struct CpuDeviceOptions {
  int resident_blocks = 12;        // for all ranks' kernels together (resident_share)
  unsigned threads_a_block = 5;    // no power of two: strides must not show
  bool several_processes = false;  // says that ranks are processes without MPS
  int connections = 32;
  bool is_blocking = false;               // says so of every stream
  bool no_way = false;                    // a peer's memory cannot be opened
  std::atomic<bool>* owns_all = nullptr;  // null: it owns every address
};

std::shared_ptr<Device> make_cpu_device(const CpuDeviceOptions& options = {});

// How many windows, streams, events and other things there are that nobody has given back.
int cpu_device_retired_windows();

}  // namespace ringside::test
