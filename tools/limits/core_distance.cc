// The thresholds between the guesses, and the words for them.
#include "tools/limits/core_distance.h"

#include "comm/error.h"

namespace ringside::tools {
namespace {

constexpr double kOneCore_ns = 36;    // between 22 and 58
constexpr double kOneCache_ns = 120;  // between 58 and 250
constexpr double kApart_ns = 2000;    // more than between sockets, less than a turn takes

// Two probes of cores that stand still differ by a few per cent; cores that have moved, twofold.
constexpr double kMuch = 1.25;

}  // namespace

CoreDistance core_distance(double flag_ns) {
  if (flag_ns <= 0) return CoreDistance::none;
  if (flag_ns < kOneCore_ns) return CoreDistance::one_core;
  if (flag_ns < kOneCache_ns) return CoreDistance::one_cache;
  if (flag_ns < kApart_ns) return CoreDistance::apart;
  return CoreDistance::in_turns;
}

std::string words_of(CoreDistance distance) {
  constexpr const char* kWords[] = {
      "", "probably two threads of one core", "probably cores of one cache",
      "probably cores without a cache in common", "probably ranks that take turns on a core"};
  return kWords[static_cast<int>(distance)];
}

const char* name_of(CoreDistance distance) {
  constexpr const char* kNames[] = {"none", "one_core", "one_cache", "apart", "in_turns"};
  return kNames[static_cast<int>(distance)];
}

bool cores_moved(double before_ns, double after_ns) {
  if (before_ns <= 0 || after_ns <= 0) return false;
  // Of ranks that take turns a flag measures the scheduler, and that is never the same twice.
  if (core_distance(before_ns) == CoreDistance::in_turns &&
      core_distance(after_ns) == CoreDistance::in_turns)
    return false;
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
