// How far apart the ranks' cores are, guessed from how long a flag takes between them.
//
// A virtual machine knows that it has two cores, and not where they are: they may be two threads
// of one core, two cores of one cache, or cores with a cache each, and the host may move them at
// any time. What a flag costs differs ten times over between these, and with it every small call.
// So a table of times states where the cores were, and whether that was the same at its end.
#pragma once

#include <string>

namespace ringside::tools {

struct CoreDistance {
  double below_ns;    // a flag takes
  const char* name;   // for machines
  const char* words;  // for people; empty: there is nothing to say
};

// What `flag_ns`, one way and the median of many, probably stands for. A guess: the thresholds are
// on a logarithmic scale between what was seen on Xeons (22, 58 and 250 ns), and another machine's
// cores may lie elsewhere.
const CoreDistance& core_distance(double flag_ns);

// Whether two flags, before and after something, are too different for one and the same place.
bool cores_moved(double before_ns, double after_ns);

// "flag latency 58 ns before, 250 ns after: the CPUs moved, measure again". Empty with one rank.
std::string flag_words(double before_ns, double after_ns);

}  // namespace ringside::tools
