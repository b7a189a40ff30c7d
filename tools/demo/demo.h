// The lecture's demonstration (CS336, lecture 8): three collectives on a few numbers, before and
// after; the ring's steps as a picture; and the proof that one of them is the other two.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace ringside::tools {

// Collective. The words are complete on rank 0 and empty elsewhere. `right` states, on every rank,
// whether all values are what they must be.
struct Demo {
  std::string words;
  bool right = true;
};
Demo run_demo(Communicator& comm);

// A table, drawn from what the recorder wrote down: a line for each step, a column for each rank, a
// cell for each chunk. A cell shows how many ranks' contributions the rank's newest value of the
// chunk holds; brackets mark what has just been received.
std::string draw_all_reduce(int size);

// all_reduce(x) against all_gather(reduce_scatter(x)), bit for bit, for every type and reduction;
// collective.
struct Halves {
  std::size_t elements = 0;  // compared on each rank, over all types and reductions
  int types = 0;
  int reductions = 0;
  std::size_t different = 0;  // over all ranks
};
Halves compare_all_reduce(Communicator& comm);

}  // namespace ringside::tools
