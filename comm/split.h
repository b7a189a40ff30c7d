// A bootstrap for some of a communicator's ranks: they exchange their few bytes by messages.
#pragma once

#include <utility>
#include <vector>

#include "comm/bootstrap/bootstrap.h"
#include "comm/communicator.h"

namespace ringside {

// Which ranks of the parent form this rank's group: those of its color, ordered by key and then by
// rank. Collective. Empty for a negative color.
std::vector<int> group_of(Communicator& parent, int color, int key);

class SplitBootstrap : public Bootstrap {
 public:
  // `ranks`: the members as the parent numbers them, in their new order; this rank is among them.
  SplitBootstrap(Communicator& parent, std::vector<int> ranks);

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(ranks_.size()); }
  const char* name() const override { return "split"; }

  // The parent's own deadline holds: its messages know no other.
  void all_gather_bytes(const void* mine, std::size_t bytes, void* all, Deadline deadline) override;

 private:
  Communicator& parent_;
  std::vector<int> ranks_;
  int rank_ = 0;
};

}  // namespace ringside
