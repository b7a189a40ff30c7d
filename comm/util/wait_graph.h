// Who is it that everybody waits for?
//
// A rank waits for a peer, which may itself wait for another, and so on: around the ring, across
// the mesh, for a message that was never sent. Whoever reports the nearest one names the wrong
// rank. So the chain is followed to its end:
//
//     rank 3 ──waits for──▶ rank 2 ──waits for──▶ rank 1, which waits for nobody
//
// Rank 1 is late: busy, stopped, or somewhere else in its program. If the chain has no end, it is a
// circle, and then nobody is late: the ranks on it wait for each other and will for ever.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "comm/util/function_ref.h"

namespace ringside {

// Whom a rank waits for; none if it waits for nobody, or if that cannot be seen.
using WaitsFor = FunctionRef<std::optional<int>(int)>;

struct RootCause {
  // The ranks that wait, from the one that asks on. In a circle only those that are on it.
  std::vector<int> waiting;
  // The one at the end; none in a circle.
  std::optional<int> late;
};

inline RootCause root_cause(int asking, WaitsFor waits_for) {
  std::vector<int> waiting;
  for (int rank = asking;;) {
    const auto seen = std::find(waiting.begin(), waiting.end(), rank);
    if (seen != waiting.end()) return {{seen, waiting.end()}, std::nullopt};
    const std::optional<int> next = waits_for(rank);
    if (!next) return {waiting, rank};
    waiting.push_back(rank);
    rank = *next;
  }
}

// Who is to tell a person: of those who wait for the late one itself the lowest; of a circle the
// lowest on it. All ranks that look come to the same answer, so it is told once.
inline int teller(const RootCause& found, int size, WaitsFor waits_for) {
  if (!found.late) return *std::min_element(found.waiting.begin(), found.waiting.end());
  for (int rank = 0; rank < size; ++rank)
    if (waits_for(rank) == found.late) return rank;
  return *found.late;
}

}  // namespace ringside
