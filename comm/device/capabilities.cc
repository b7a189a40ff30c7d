// Who shares a device with whom, and whether their kernels can run at once.
#include "comm/device/capabilities.h"

#include <algorithm>

#include "comm/error.h"

namespace ringside {
namespace {

bool one_device(const DeviceFacts& a, const DeviceFacts& b) { return a.uuid == b.uuid; }

// Ranks of one process on one device: how many, and how many streams there are for them.
struct Crowd {
  int ranks = 0;
  int streams = 0;  // that are there already
};
Crowd crowd_of(const DeviceFacts& it, const std::vector<DeviceFacts>& everyone) {
  Crowd crowd;
  for (const DeviceFacts& other : everyone) {
    if (!one_device(it, other) || it.process != other.process) continue;
    ++crowd.ranks;
    crowd.streams = std::max(crowd.streams, other.streams);
  }
  return crowd;
}

DeviceTerms refused(const std::string& why) { return {LaneChoice::host, why, 1, false}; }

}  // namespace

DeviceTerms terms_of(const std::vector<DeviceFacts>& everyone, LaneChoice wanted) {
  if (everyone.size() > std::size_t{kMostDeviceRanks})
    return refused(text("there are more than %d ranks", kMostDeviceRanks));
  DeviceTerms terms{LaneChoice::device, "the kernels of all ranks run at once", kMostBlocks, false};
  bool take_turns = false;
  for (const DeviceFacts& it : everyone) {
    if (!it.present) return refused("not every rank has made a device current");
    int sharing = 0;
    for (const DeviceFacts& other : everyone) {
      if (!one_device(it, other)) continue;
      ++sharing;
      take_turns |= it.process != other.process && !it.shared_by_processes;
    }
    terms.blocks = std::min(terms.blocks, resident_share(it.resident_blocks, sharing));
  }
  if (take_turns) {
    terms.lane = LaneChoice::stream;
    terms.why = "several processes share a device without MPS, so their kernels take turns";
  } else if (terms.blocks < 1) {
    terms.lane = LaneChoice::stream;
    terms.why = "too many ranks share a device for all their kernels to run at once";
  }
  terms.blocks = std::max(terms.blocks, 1);
  if (wanted != LaneChoice::automatic && wanted < terms.lane) {
    terms.lane = wanted;
    terms.why = "RINGSIDE_LANE says so";
  }
  for (const DeviceFacts& it : everyone) {
    const Crowd crowd = crowd_of(it, everyone);
    const int needed = streams_needed(terms.lane, crowd.ranks) + crowd.streams;
    if (crowd.ranks > 1 && needed > it.connections)
      return refused(
          text("%d ranks of one process share a device and may need %d streams at once, and CUDA "
               "was told of %d; set CUDA_DEVICE_MAX_CONNECTIONS=32 before it starts",
               crowd.ranks, needed, it.connections));
  }
  return terms;
}

}  // namespace ringside
