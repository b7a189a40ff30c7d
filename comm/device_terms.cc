// Who shares a device with whom, and whether their kernels can run at once.
#include "comm/device_terms.h"

#include <algorithm>

#include "comm/error.h"

namespace ringside {
namespace {

bool one_device(const DeviceFacts& a, const DeviceFacts& b) { return a.uuid == b.uuid; }

}  // namespace

DeviceTerms terms_of(const std::vector<DeviceFacts>& everyone) {
  DeviceTerms terms;
  if (everyone.size() > std::size_t{kMostDeviceRanks}) {
    terms.why = text("more than %d ranks", kMostDeviceRanks);
    return terms;
  }
  terms.blocks = kMostBlocks;
  bool several_processes = false;
  for (const DeviceFacts& it : everyone) {
    if (!it.present) {
      terms.why = "not every rank has made a device current";
      return terms;
    }
    int sharing = 0;
    for (const DeviceFacts& other : everyone) {
      if (!one_device(it, other)) continue;
      ++sharing;
      several_processes |= it.process != other.process && !it.shared_by_processes;
    }
    terms.blocks = std::min(terms.blocks, resident_share(it.resident_blocks, sharing));
  }
  terms.best = LaneChoice::stream;
  if (several_processes) {
    terms.why = "several processes share a device without MPS, so their kernels take turns";
  } else if (terms.blocks < 1) {
    terms.why = "too many ranks share a device for all their kernels to run at once";
  } else {
    terms.best = LaneChoice::device;
    terms.why = "the kernels of all ranks run at once";
  }
  terms.blocks = std::max(terms.blocks, 1);
  return terms;
}

}  // namespace ringside
