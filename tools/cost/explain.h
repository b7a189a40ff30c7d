// What a call is made of: how it is carried out and why so, and where its time goes.
//
// Three times of one call stand below one another:
//
//     lower bound   what flags and bytes must take here (lower_bound.h)
//     predicted     what this library's own algorithms take on this machine, by the simulator
//                   (comm/cost/simulate.h), with figures that were measured and calibrated here
//                   (calibrate.h)
//     measured      what it took (measure.h)
//
// The step from the first to the second is taken apart: the simulator keeps a cost breakdown of the
// longest way through the ranks (comm/cost/breakdown.h), the lower bound is a sum of three terms of
// the same kinds, and so each difference is one term's own. The step from the second to the third
// is what the model does not know: other lines that were stored to, ranks that do not begin
// together, noise. It is reported as it is, and called unexplained.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "comm/bootstrap/bootstrap.h"
#include "comm/communicator.h"
#include "comm/cost/simulate.h"
#include "comm/host/choice.h"
#include "tools/cost/calibrate.h"
#include "tools/limits/lower_bound.h"
#include "tools/support/call.h"

namespace ringside::tools {

struct Explanation {
  std::string algorithm;  // "ring", "one-shot", "chain", …
  std::string why;        // that one: a sentence without its full stop
  std::size_t size_bytes = 0;
  // How the buffer is cut.
  int chunks = 0;
  std::size_t longest_chunk_bytes = 0;
  std::size_t slices = 0;
  std::size_t slice_bytes = 0;  // that a message carries at most
  bool streams = false;         // results go past the caches
  // What the rank sends that sends the most (whether a sum finds a free slot in time to be computed
  // there is the simulator's word; the rest is the plan's); and what the busiest link carries, and
  // must at least.
  std::array<Traffic, kPaths> sent = {};
  std::size_t busiest_bytes = 0;
  double least_bytes = 0;
  const char* least = "";  // the same as a formula: "2(n-1)/n·S"
  // In ns, by term. `unpredicted` is the reason why there is no prediction; else it is empty.
  std::string unpredicted;
  CostBreakdown predicted = {};
  CostBreakdown lower_bound = {};
};

double total_us(const CostBreakdown& breakdown);

// The machine that calls are explained for.
struct Surroundings {
  HostSettings settings;
  ringside::Machine machine;  // as calibrated
  MachineProbe probe;         // for the lower bound
};

// The pure part. `at` is only looked up, not touched: whether it can be exposed.
Explanation explain(const Surroundings& here, const Operation& what, Sides at);

// Collective: probes and calibrates, with communicators of its own that no fault and no trace
// belongs to. The machine is rank 0's alone. `probe_bytes` as in calibrate.h. Throws Error{usage}
// with one rank, which has nothing to explain.
Surroundings look_around(Bootstrap& bootstrap, const Communicator& comm, std::size_t probe_bytes);

}  // namespace ringside::tools
