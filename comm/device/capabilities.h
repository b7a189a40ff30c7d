// What the ranks' devices allow, worked out from what each rank knows of its own: a pure function,
// so all ranks come to the same result.
#pragma once

#include <string>
#include <vector>

#include "comm/device/device.h"
#include "comm/options.h"

namespace ringside {

// What the ranks' devices allow, the same on all ranks.
struct DeviceCapabilities {
  ExecutorChoice executor = ExecutorChoice::host;  // never automatic
  std::string why;                                 // "the kernels of all ranks run at once"
  int blocks = 0;                                  // of each rank's kernel
  bool all_expose = false;  // every rank reads every other's buffers in place
};

// Of what a device can have resident the kernels of a communicator's ranks take at most three
// quarters, so that others' can run beside them.
constexpr int resident_share(int resident_blocks, int ranks) {
  return resident_blocks * 3 / 4 / ranks;
}
// More blocks than this move no more bytes on an H200, by design; not measured yet.
inline constexpr int kMostBlocks = 64;

// Ranks that are threads of one process and share a device have streams on which they wait for each
// other. CUDA maps streams to hardware queues ("connections", 8 unless the program says otherwise);
// of two on one queue the second waits for the first, and then such a wait is for ever. A rank has
// one stream of its own on the device executor and two on the stream executor, and its caller's.
constexpr int streams_needed(ExecutorChoice executor, int ranks) {
  if (ranks < 2 || executor == ExecutorChoice::host) return 0;
  return (executor == ExecutorChoice::device ? 2 : 3) * ranks + 1;
}

// `wanted`: the executor that was chosen by hand, or automatic.
DeviceCapabilities capabilities_of(const std::vector<DeviceFacts>& everyone, ExecutorChoice wanted);

}  // namespace ringside
