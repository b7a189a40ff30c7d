// The thresholds between the guesses, and the words for them.
#include "tools/limits/core_distance.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "comm/error.h"

namespace ringside::tools {
namespace {

constexpr CoreDistance kDistances[] = {
    {0, "none", ""},  // one rank: there is nobody to be far from
    // Two threads of one core share its first cache. Between 22 and 58.
    {36, "one_core", "probably two threads of one core"},
    {120, "one_cache", "probably cores of one cache"},  // between 58 and 250
    // Or a slow way to it.
    {kTurn_ns, "apart", "probably cores without a cache in common"},
    // A flag waits for a turn of the scheduler: more ranks than cores.
    {std::numeric_limits<double>::infinity(), "in_turns",
     "probably ranks that take turns on a core"},
};

// Situations differ twofold; a flag beside a threshold is now on this side of it, now on that.
constexpr double kMuch = 1.25;

}  // namespace

const CoreDistance& core_distance(double flag_ns) {
  return *std::find_if(
      std::begin(kDistances), std::end(kDistances) - 1,
      [&](const CoreDistance& it) { return flag_ns <= 0 || flag_ns < it.below_ns; });
}

bool cores_moved(double before_ns, double after_ns) {
  if (&core_distance(before_ns) == &core_distance(after_ns)) return false;
  const double change = after_ns / before_ns;
  return change > kMuch || change < 1 / kMuch;
}

std::string cores_words(double flag_ns) {
  const bool in_turns = flag_ns >= kTurn_ns;  // then it measures the scheduler
  return core_distance(flag_ns).words +
         (flag_ns <= 0 || in_turns ? "" : text(" (a flag takes %.0f ns)", flag_ns));
}

Stand measure_in_one_place(const Flag& flag, const std::function<void()>& measure) {
  Stand it{.after_ns = flag(), .times = 0};
  do {
    it.before_ns = it.after_ns;
    measure();
    it.after_ns = flag();
  } while (++it.times < kMostTimes && it.moved());
  return it;
}

}  // namespace ringside::tools
