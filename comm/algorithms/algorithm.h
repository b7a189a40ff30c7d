// The algorithms' texts by number, for whoever has to say which one and cannot hand over a
// function: a plan (plan.h), and a kernel's argument (device_lane.h).
#pragma once

#include <cstdint>

#include "comm/algorithms/mesh.h"
#include "comm/algorithms/one_shot.h"
#include "comm/algorithms/ring.h"
#include "comm/algorithms/two_shot.h"
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

// The texts that have the ring's words alone.
constexpr bool on_ring_only(Text text) {
  return text == Text::all_reduce || text == Text::reduce_scatter || text == Text::all_gather ||
         text == Text::broadcast || text == Text::barrier;
}

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

// The same, where the number is known only now; for lanes that have the ring's words alone.
template <class Lane, class Ring>
RINGSIDE_HD void read_ring_text(Text text, Lane& lane, const Ring& ring, int root) {
  if (text == Text::all_reduce) read_text<Text::all_reduce>(lane, ring, root);
  if (text == Text::reduce_scatter) read_text<Text::reduce_scatter>(lane, ring, root);
  if (text == Text::all_gather) read_text<Text::all_gather>(lane, ring, root);
  if (text == Text::broadcast) read_text<Text::broadcast>(lane, ring, root);
  if (text == Text::barrier) read_text<Text::barrier>(lane, ring, root);
}

// And for lanes that have them all.
template <class Lane, class Ring>
RINGSIDE_HD void read_any_text(Text text, Lane& lane, const Ring& ring, int root) {
  read_ring_text(text, lane, ring, root);
  if (text == Text::all_reduce_one_shot) read_text<Text::all_reduce_one_shot>(lane, ring, root);
  if (text == Text::all_reduce_two_shot) read_text<Text::all_reduce_two_shot>(lane, ring, root);
  if (text == Text::reduce) read_text<Text::reduce>(lane, ring, root);
  if (text == Text::gather) read_text<Text::gather>(lane, ring, root);
  if (text == Text::scatter) read_text<Text::scatter>(lane, ring, root);
  if (text == Text::all_to_all) read_text<Text::all_to_all>(lane, ring, root);
}

}  // namespace ringside
