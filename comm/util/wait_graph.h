// Who waits for whom, and whom does everybody wait for?
//
// A rank waits for a peer, which may itself wait for another, and so on: around the ring, across
// the mesh, for a message that was never sent. Whoever reports the nearest one names the wrong
// rank. So the chain is followed to its end:
//
//     rank 3 ──waits for──▶ rank 2 ──waits for──▶ rank 1, which waits for nobody
//
// Rank 1 is the straggler: busy, stopped, or somewhere else in its program. A chain without an end
// is a wait cycle: there is no straggler, the ranks on it wait for each other for ever.
//
// Running ranks follow the chain when they report what they wait for (diagnostics/report.h); the
// prover, the simulator and the model checker do so when none of their ranks can go on
// (describe_deadlock()).
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "comm/error.h"
#include "comm/util/function_ref.h"

namespace ringside {

// Whom a rank waits for; none if it waits for nobody, or if that cannot be seen.
using WaitsFor = FunctionRef<std::optional<int>(int)>;

struct RootCause {
  // The ranks that wait, from the one that asks on. Of a wait cycle only those that are on it.
  std::vector<int> waiting;
  // The rank at the end; none if there is a wait cycle.
  std::optional<int> straggler;
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

// Which rank reports it: the lowest of those that wait for the straggler itself, or the lowest on
// the wait cycle. All ranks that look come to the same answer, so it is reported once.
inline int reporter(const RootCause& found, int size, WaitsFor waits_for) {
  if (!found.straggler) return *std::min_element(found.waiting.begin(), found.waiting.end());
  for (int rank = 0; rank < size; ++rank)
    if (waits_for(rank) == found.straggler) return rank;
  return *found.straggler;
}

// What a rank waits for where none can go on. A rank that has ended waits for nobody.
struct Wait {
  bool ended = false;
  int peer = 0;
  const char* for_what = "";  // the end of the sentence "rank 0 waits for rank 1 to …"
};

// The sentence about ranks from 0 on, of which at least one has not ended: the wait cycle, or
// the chain to a rank that has ended. `wait_of(rank)` gives a Wait.
template <class WaitOf>
std::string describe_deadlock(const WaitOf& wait_of) {
  int first = 0;
  while (wait_of(first).ended) ++first;
  const RootCause found = root_cause(first, [&](int rank) {
    const Wait wait = wait_of(rank);
    return wait.ended ? std::nullopt : std::optional(wait.peer);
  });
  std::string sentence = "deadlock:";
  for (const int rank : found.waiting) {
    const bool closes = !found.straggler && rank == found.waiting.back();
    const char* join = rank == found.waiting.front() ? "" : closes ? ", and" : ",";
    const Wait wait = wait_of(rank);
    sentence += text("%s rank %d waits for rank %d to %s", join, rank, wait.peer, wait.for_what);
  }
  return found.straggler ? sentence + ", which has ended" : sentence;
}

}  // namespace ringside
