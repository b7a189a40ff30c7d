// Which rank's failure is the cause, when several fail almost at once?
//
// The first that is seen to end need not be the first that failed: a rank that is killed closes its
// connections a moment before it counts as ended, and a quick peer may notice, report it and be
// gone by then. So the decision waits a moment, and a rank that was killed by a signal weighs more
// than one that gave up by itself.
#pragma once

#include <optional>

#include "comm/util/deadline.h"
#include "tools/launcher/rank_process.h"

namespace ringside::tools {

class FirstFailure {
 public:
  // A rank that has ended badly, in the order in which they are seen. Does nothing once it is
  // decided.
  void consider(const RankProcess& rank) {
    if (decided_ || (suspect_ != nullptr && (suspect_->was_killed() || !rank.was_killed()))) return;
    if (suspect_ == nullptr) due_ = Deadline::after_seconds(kMoment_s);
    suspect_ = &rank;
  }

  bool has_suspect() const { return suspect_ != nullptr; }

  // When to come back, while there is a suspect and nothing is decided yet.
  std::optional<Deadline> due() const { return decided_ ? std::nullopt : due_; }

  // The rank to blame, once: when the moment is over, or at once if no rank is left that might be.
  const RankProcess* decide(bool all_have_ended) {
    if (decided_ || suspect_ == nullptr || !(all_have_ended || due_->passed())) return nullptr;
    decided_ = true;
    return suspect_;
  }

 private:
  static constexpr double kMoment_s = 0.1;
  const RankProcess* suspect_ = nullptr;
  std::optional<Deadline> due_;
  bool decided_ = false;
};

}  // namespace ringside::tools
