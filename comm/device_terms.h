// What the ranks' devices allow, worked out from what all have told: a pure function, so all ranks
// come to the same.
#pragma once

#include <string>
#include <vector>

#include "comm/device.h"
#include "comm/options.h"

namespace ringside {

// What the ranks' devices allow, the same on all ranks.
struct DeviceTerms {
  LaneChoice best = LaneChoice::host;  // never automatic
  std::string why;                     // "all ranks are threads of one process"
  int blocks = 0;                      // of each rank's kernel
  bool all_lend = false;               // every rank reads every other's buffers where they lie
};

// Of what a device can have resident the kernels of a communicator's ranks take at most three
// quarters, so that others' can run beside them.
constexpr int resident_share(int resident_blocks, int ranks) {
  return resident_blocks * 3 / 4 / ranks;
}
// More blocks than this move no more bytes on an H200, by design; not measured yet.
inline constexpr int kMostBlocks = 64;

DeviceTerms terms_of(const std::vector<DeviceFacts>& everyone);

}  // namespace ringside
