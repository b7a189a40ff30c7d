// The small worlds that the model checker goes through: which operations, on how many ranks and
// slots. The tests (tests/verify/model.cc) and the program that prints them
// (tests/programs/model_check.cc) share them.
#pragma once

#include <cstddef>
#include <vector>

#include "comm/verify/model/explore.h"
#include "tests/verify/algorithms.h"

namespace ringside::test {

using Operations = std::vector<std::vector<Program>>;

struct PairOfOperations {
  const char* name;
  Kind first;
  Kind second;
  // In the ring every rank waits for its left neighbour, and nobody gets far ahead. Down a chain
  // the root runs ahead until credit stops it: so there are more messages than slots.
  bool more_messages_than_slots = false;
};

inline constexpr PairOfOperations kPairs[] = {
    {"all_reduce, all_reduce", Kind::all_reduce, Kind::all_reduce},
    {"all_gather, reduce_scatter", Kind::all_gather, Kind::reduce_scatter},
    {"broadcast, broadcast", Kind::broadcast, Kind::broadcast, true},
};
inline constexpr const PairOfOperations& kChain = kPairs[2];

inline Operations operations_of(const PairOfOperations& pair, int ranks, int slots) {
  const std::size_t slices =
      pair.more_messages_than_slots ? static_cast<std::size_t>(slots) + 1 : 1;
  return {programs_of(pair.first, ranks, slices), programs_of(pair.second, ranks, slices)};
}

// The more ranks, the fewer slots: beyond these a world has millions of states.
inline bool is_too_large(int ranks, int slots) { return ranks + slots > 5; }

// The world in which a mistake is shown: two ranks, the first running ahead.
inline Exploration lesson_of(Bug bug, int slots, bool in_cells = false) {
  return explore(operations_of(kChain, 2, slots),
                 {.slots = slots, .in_cells = in_cells, .bug = bug});
}

}  // namespace ringside::test
