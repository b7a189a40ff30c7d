// Who waits for whom, followed until a rank comes up again: that is the circle of a deadlock, as a
// sentence.
#pragma once

#include <string>
#include <vector>

#include "comm/error.h"

namespace ringside {

// What one rank waits for. A rank that has ended waits for nobody.
struct Wait {
  bool ended = false;
  int peer = 0;
  const char* for_what = "";  // the end of the sentence "rank 0 waits for rank 1 to …"
};

// `wait_of(rank)` for ranks 0 to size − 1, of which at least one has not ended.
template <class WaitOf>
std::string wait_cycle(int size, const WaitOf& wait_of) {
  std::string sentence = "deadlock:";
  std::vector<bool> seen(static_cast<std::size_t>(size));
  const auto was_seen = [&](int rank) { return seen[static_cast<std::size_t>(rank)]; };
  int rank = 0;
  while (wait_of(rank).ended) ++rank;
  while (!was_seen(rank)) {
    seen[static_cast<std::size_t>(rank)] = true;
    const Wait wait = wait_of(rank);
    if (wait.ended) return sentence + ", which has ended";
    const char* join = sentence.back() == ':' ? "" : (was_seen(wait.peer) ? ", and" : ",");
    sentence += text("%s rank %d waits for rank %d to %s", join, rank, wait.peer, wait.for_what);
    rank = wait.peer;
  }
  return sentence;
}

}  // namespace ringside
