// This machine as the simulator sees it: measured by the ranks that are there, and calibrated.
//
//   measured by the probe     the latency of a flag, the rates of copying and adding (probe.h)
//   calibrated on real calls  three times that the probe cannot see: of a call, a message, a slot
//                             (comm/cost/machine.h)
//
// The calibration runs a few short collectives of two sizes, one that travels in cells and one in
// slots, in both algorithms of all_reduce and in all_gather; and looks for the three times, none
// negative, with which the simulator's predictions come nearest: least squares of predicted /
// measured − 1. The sizes are odd ones, so that what is predicted afterwards was not calibrated on.
//
// What is timed is a loop of calls, as programs make them; and so is what is predicted (Question's
// `calls`). Each time is the median of several rounds, and a round takes all sizes and algorithms
// one after another, so that a machine that changes changes for all of them.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "comm/bootstrap/bootstrap.h"
#include "comm/cost/machine.h"
#include "comm/cost/predict.h"
#include "comm/options.h"
#include "tools/limits/probe.h"

namespace ringside::tools {

// Everything here is timed in a loop, and predicted as a call in a loop of so many.
inline constexpr int kLoopCalls = 8;

// One call, as it was measured and as it was predicted.
struct Measured {
  Question question;
  double measured_us = 0;
  double predicted_us = 0;
  bool calibrated = false;  // it was one of those that the machine was calibrated on
};

// predicted / measured − 1.
inline double residual(const Measured& it) { return it.predicted_us / it.measured_us - 1; }

struct Calibration {
  ringside::Machine machine;
  MachineProbe probe;
  std::vector<Measured> calls;  // those calibrated on, then those that were asked for
};

// What is to be predicted and measured on a machine with these slots; the same on all ranks.
using Asked = std::function<std::vector<Question>(const ringside::Machine& slots)>;

// Collective: probes, times its own calls and those that are asked for, and calibrates on rank 0.
// The probe is every rank's, the rest only rank 0's. `probe_bytes`: of the largest copy that is
// probed, if that is more than what is asked for needs. Throws Error.
Calibration calibrate(Bootstrap& bootstrap, const Options& options, const Asked& asked,
                      std::size_t probe_bytes = 0);

// The pure part: `machine` with the three times that suit `calls` best.
ringside::Machine calibrated(ringside::Machine machine, const std::vector<Measured>& calls);

}  // namespace ringside::tools
