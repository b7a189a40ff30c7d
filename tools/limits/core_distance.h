// How far apart the ranks' cores are, guessed from how long a flag takes between them.
//
// A virtual machine knows that it has two cores, and not where they are: they may be two threads
// of one core, two cores of one cache, or cores with a cache each, and the host may move them at
// any time. What a flag costs differs ten times over between these, and with it every small call.
// So a table of times states where the cores were, before and after, and a row during which they
// moved is measured again.
#pragma once

#include <functional>
#include <string>

namespace ringside::tools {

struct CoreDistance {
  double below_ns;    // a flag takes
  const char* name;   // for machines
  const char* words;  // for people; empty: there is nothing to say
};

// More than a flag takes between sockets, less than a turn of the scheduler: "in_turns".
inline constexpr double kTurn_ns = 2000;

// What `flag_ns`, one way and the median of many, probably stands for. A guess: the thresholds are
// on a logarithmic scale between what was seen on Xeons (22, 58 and 250 ns), and another machine's
// cores may lie elsewhere.
const CoreDistance& core_distance(double flag_ns);

// Whether two flags, before and after something, stand for two situations. In one situation a
// flag's time varies too, by which two of the cores they are and how fast these run at the moment.
bool cores_moved(double before_ns, double after_ns);

// "probably cores of one cache (a flag takes 58 ns)". Empty with one rank.
std::string cores_words(double flag_ns);

// How long a flag takes now. Collective; all ranks get the same.
using Flag = std::function<double()>;

// Where the cores were while something was measured, the last time.
struct Stand {
  double before_ns = 0, after_ns = 0;  // what a flag took
  int times = 1;                       // that it was measured
  bool moved() const { return cores_moved(before_ns, after_ns); }
  const char* cores() const { return moved() ? "moved" : core_distance(before_ns).name; }
};

inline constexpr int kMostTimes = 4;

// Calls `measure`, again while the cores move meanwhile, at most kMostTimes. Collective.
Stand measure_in_one_place(const Flag& flag, const std::function<void()>& measure);

}  // namespace ringside::tools
