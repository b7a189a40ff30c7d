// The algorithms' texts by number, for whoever has to say which one and cannot hand over a
// function: a plan (plan.h), and a kernel's argument (device_lane.h).
#pragma once

#include <cstdint>

#include "comm/mesh.h"
#include "comm/one_shot.h"
#include "comm/ring.h"
#include "comm/two_shot.h"
#include "kernels/hd.h"

namespace ringside {

enum class Text : std::uint8_t {
  all_reduce,
  all_reduce_one_shot,
  all_reduce_two_shot,
  reduce_scatter,
  all_gather,
  broadcast,
  barrier,
  reduce,
  gather,
  scatter,
  all_to_all,
};

// Reads one text aloud to a lane. `root` is for those texts that have one.
template <Text kText, class Lane, class Ring>
RINGSIDE_HD void read_text(Lane& lane, const Ring& ring, int root) {
  if constexpr (kText == Text::all_reduce) all_reduce(lane, ring);
  if constexpr (kText == Text::all_reduce_one_shot) all_reduce_one_shot(lane, ring);
  if constexpr (kText == Text::all_reduce_two_shot) all_reduce_two_shot(lane, ring);
  if constexpr (kText == Text::reduce_scatter) reduce_scatter(lane, ring);
  if constexpr (kText == Text::all_gather) all_gather(lane, ring);
  if constexpr (kText == Text::broadcast) broadcast(lane, ring, root);
  if constexpr (kText == Text::barrier) barrier(lane, ring);
  if constexpr (kText == Text::reduce) reduce(lane, ring, root);
  if constexpr (kText == Text::gather) gather(lane, ring, root);
  if constexpr (kText == Text::scatter) scatter(lane, ring, root);
  if constexpr (kText == Text::all_to_all) all_to_all(lane, ring);
}

}  // namespace ringside
