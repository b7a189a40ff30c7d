// Which rank's failure is the cause, when several fail almost at once?
//
// The first that is seen to end need not be the first that failed: a rank that is killed closes its
// connections a moment before it counts as ended, and a quick peer may notice, say so and be gone
// by then. So the verdict waits a moment, and a rank that was killed by a signal weighs more than
// one that gave up by itself.
#pragma once

#include <optional>

#include "comm/util/deadline.h"
#include "tools/launcher/rank_process.h"

namespace ringside::tools {

class Verdict {
 public:
  // A rank that has ended badly, in the order in which they are seen. Does nothing once passed.
  void consider(const RankProcess& rank) {
    if (passed_ || (root_causes_ != nullptr && (root_causes_->was_killed() || !rank.was_killed())))
      return;
    if (root_causes_ == nullptr) due_ = Deadline::after_seconds(kMoment_s);
    root_causes_ = &rank;
  }

  bool has_suspect() const { return root_causes_ != nullptr; }

  // When to come back, while there is a suspect and no verdict yet.
  std::optional<Deadline> due() const { return passed_ ? std::nullopt : due_; }

  // The rank to blame, once: when the moment is over, or at once if nobody is left who might be.
  const RankProcess* pass(bool all_have_ended) {
    if (passed_ || root_causes_ == nullptr || !(all_have_ended || due_->passed())) return nullptr;
    passed_ = true;
    return root_causes_;
  }

 private:
  static constexpr double kMoment_s = 0.1;
  const RankProcess* root_causes_ = nullptr;
  std::optional<Deadline> due_;
  bool passed_ = false;
};

}  // namespace ringside::tools
