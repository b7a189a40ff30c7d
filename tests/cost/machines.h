// Machines on which every price is known in closed form, for the tests of the simulator.
#pragma once

#include <cmath>
#include <string>

#include "comm/cost/predict.h"
#include "tests/support/test.h"

namespace ringside::test::clock {

inline constexpr double kLatency_ns = 1000;
inline constexpr double kBandwidth_gbs = 4;

// One host, wires, nothing else.
inline Machine pure(int ranks, int slots = 64) {
  Machine it;
  it.name = "pure";
  it.ranks_per_host = ranks;
  it.same_host = {kLatency_ns, kBandwidth_gbs};
  it.ring = it.mesh = {slots, std::size_t{1} << 20};
  return it;
}

// One slice, and chunks of equal length.
inline std::size_t bytes_for(int ranks) { return static_cast<std::size_t>(ranks) * 4096; }

inline void check_close(test::Context& t, double predict_ns, double expected_ns,
                        const std::string& what) {
  CHECK_MSG(std::abs(predict_ns - expected_ns) < 1e-9 * expected_ns, "%s: %.6f ns and not %.6f",
            what.c_str(), predict_ns, expected_ns);
}

// All ranks on one host that share memory.
inline Machine stores(int ranks, int slots = 4) {
  Machine it = pure(ranks, slots);
  it.same_host = {kLatency_ns, 0};
  it.copy = {{1, 8.0}};
  it.reduce = {{1, 2.0}};
  return it;
}
inline constexpr double kCopy_ns = 4096 / 8.0;  // of the 4096 bytes that bytes_for() gives a rank
inline constexpr double kReduce_ns = 4096 / 2.0;

inline Prediction price_of(const Machine& machine, Kind kind, int ranks, int calls = 1) {
  return predict(machine, Question{kind, Algorithm::ring, bytes_for(ranks), ranks, calls});
}

}  // namespace ringside::test::clock
