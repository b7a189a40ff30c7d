// How the host carries a plan out: by which algorithm, and cut into which messages.
//
// A pure function of the plan and of what all ranks agreed on at the start, so all ranks choose
// alike. Nothing here changes a bit of the result. --explain asks here, too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "comm/algorithms/ring.h"
#include "comm/host/plan.h"
#include "comm/options.h"

namespace ringside {

// The same on all ranks but for the own rank and the bounds for streaming and zero-copy.
struct HostSettings {
  Ring self{0, 1};
  std::size_t slot_bytes = 0;       // of the ring's channels
  std::size_t pair_slot_bytes = 0;  // of the mesh's
  Algorithm algorithm = Algorithm::automatic;
  std::size_t stream_from_bytes = SIZE_MAX;
  std::size_t zero_copy_from_bytes = SIZE_MAX;  // where ranks may expose at all
  int group_ranks = 0;                          // of hierarchical; 0 with any other
};

// `zero_copy_from_bytes`: the option, where ranks may expose.
HostSettings settings_from(const Ring& self, const Options& options, std::size_t pair_slot_bytes,
                           std::size_t zero_copy_from_bytes);

struct HostChoice {
  Algorithm algorithm{};        // never automatic
  std::size_t slice_count = 1;  // elements a message
  std::size_t slices = 1;       // of the longest chunk
  // What no step reads again goes past the caches: the buffers are larger than those.
  bool streams = false;
  // Pieces of so many bytes and more are exposed, if they lie in memory of which that can be said.
  std::size_t zero_copy_from_bytes = SIZE_MAX;
};

HostChoice choose(const HostSettings& settings, const Plan& plan);

// The algorithm alone.
Algorithm choose_algorithm(const HostSettings& settings, const Operation& what);

// Why this one, as a sentence without its full stop; it names the file where the algorithm stands.
std::string why(const HostSettings& settings, const Operation& what);

// Up to how many bytes an all_reduce takes one step; 0: none does.
std::size_t one_shot_most_bytes(const HostSettings& settings);
// From there up to how many bytes it takes two; 0: none does.
std::size_t two_shot_most_bytes(const HostSettings& settings);

// How many steps a slice takes on this rank, for sentences: "step 2 of 6".
int steps_of(const Operation& what, Algorithm algorithm, const Ring& self);

}  // namespace ringside
