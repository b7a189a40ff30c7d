// Which ranks share a device, and whether their kernels can run at once.
#include "comm/device/capabilities.h"

#include <algorithm>

#include "comm/error.h"

namespace ringside {
namespace {

bool one_device(const DeviceFacts& a, const DeviceFacts& b) { return a.uuid == b.uuid; }

// Ranks of one process on one device: how many, and how many streams there are for them.
struct Sharing {
  int ranks = 0;
  int streams = 0;  // that are there already
};
Sharing sharing_of(const DeviceFacts& it, const std::vector<DeviceFacts>& everyone) {
  Sharing sharing;
  for (const DeviceFacts& other : everyone) {
    if (!one_device(it, other) || it.process != other.process) continue;
    ++sharing.ranks;
    sharing.streams = std::max(sharing.streams, other.streams);
  }
  return sharing;
}

DeviceCapabilities refused(const std::string& why) { return {ExecutorChoice::host, why, 1, false}; }

}  // namespace

DeviceCapabilities capabilities_of(const std::vector<DeviceFacts>& everyone,
                                   ExecutorChoice wanted) {
  if (everyone.size() > std::size_t{kMostDeviceRanks})
    return refused(text("there are more than %d ranks", kMostDeviceRanks));
  DeviceCapabilities all{ExecutorChoice::device, "the kernels of all ranks run at once",
                         kMostBlocks, false};
  bool take_turns = false;
  for (const DeviceFacts& it : everyone) {
    if (!it.present) return refused("not every rank has made a device current");
    int sharing = 0;
    for (const DeviceFacts& other : everyone) {
      if (!one_device(it, other)) continue;
      ++sharing;
      take_turns |= it.process != other.process && !it.shared_by_processes;
    }
    all.blocks = std::min(all.blocks, resident_share(it.resident_blocks, sharing));
  }
  if (take_turns) {
    all.executor = ExecutorChoice::stream;
    all.why = "several processes share a device without MPS, so their kernels take turns";
  } else if (all.blocks < 1) {
    all.executor = ExecutorChoice::stream;
    all.why = "too many ranks share a device for all their kernels to run at once";
  }
  all.blocks = std::max(all.blocks, 1);
  if (wanted != ExecutorChoice::automatic && wanted < all.executor) {
    all.executor = wanted;
    all.why = "RINGSIDE_EXECUTOR says so";
  }
  for (const DeviceFacts& it : everyone) {
    const Sharing sharing = sharing_of(it, everyone);
    const int needed = streams_needed(all.executor, sharing.ranks) + sharing.streams;
    if (sharing.ranks > 1 && needed > it.connections)
      return refused(
          text("%d ranks of one process share a device and may need %d streams at once, and CUDA "
               "has %d; set CUDA_DEVICE_MAX_CONNECTIONS=32 before it starts",
               sharing.ranks, needed, it.connections));
  }
  return all;
}

}  // namespace ringside
