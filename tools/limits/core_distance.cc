// The thresholds between the guesses, and the words for them.
#include "tools/limits/core_distance.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "comm/error.h"

namespace ringside::tools {
namespace {

constexpr double kTurn_ns = 2000;  // more than between sockets, less than a turn takes
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

// Two probes of cores that stand still differ by a few per cent; cores that have moved, twofold.
constexpr double kMuch = 1.25;

}  // namespace

const CoreDistance& core_distance(double flag_ns) {
  return *std::find_if(
      std::begin(kDistances), std::end(kDistances) - 1,
      [&](const CoreDistance& it) { return flag_ns <= 0 || flag_ns < it.below_ns; });
}

bool cores_moved(double before_ns, double after_ns) {
  if (before_ns <= 0 || after_ns <= 0) return false;
  // Of ranks that take turns a flag measures the scheduler, and that is never the same twice.
  if (std::min(before_ns, after_ns) >= kTurn_ns) return false;
  const double change = after_ns / before_ns;
  return change > kMuch || change < 1 / kMuch;
}

std::string flag_words(double before_ns, double after_ns) {
  if (before_ns <= 0 || after_ns <= 0) return "";
  return text("flag latency %.0f ns before, %.0f ns after: %s", before_ns, after_ns,
              cores_moved(before_ns, after_ns) ? "the CPUs moved, measure again"
                                               : "the CPUs stood where they were");
}

}  // namespace ringside::tools
