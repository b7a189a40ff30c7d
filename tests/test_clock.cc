// The clock lane against the formulas of the literature. On a machine that has only a latency α and
// a bandwidth B, with slots for everything, the price of each algorithm is known in closed form
// (docs/07-algorithms.md, and the papers named in comm/ring.h); the lane, which executes the
// texts, must give exactly that.
#include <cmath>
#include <string>
#include <vector>

#include "comm/clock_plan.h"
#include "comm/error.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

constexpr double kLatency_ns = 1000;
constexpr double kBandwidth_gbs = 4;

// One host, wires, nothing else.
Machine pure(int ranks, int slots = 64) {
  Machine it;
  it.name = "pure";
  it.ranks_per_host = ranks;
  it.same_host = {kLatency_ns, kBandwidth_gbs};
  it.ring = it.mesh = {slots, std::size_t{1} << 20};
  return it;
}

// One slice, and chunks of equal length.
std::size_t bytes_for(int ranks) { return static_cast<std::size_t>(ranks) * 4096; }

double formula_ns(Kind kind, Algorithm algorithm, int ranks) {
  const double n = ranks;
  const double wire_ns = static_cast<double>(bytes_for(ranks)) / kBandwidth_gbs;  // of all S
  const double part = (n - 1) / n * wire_ns;
  switch (kind) {
    case Kind::all_reduce:
      if (algorithm == Algorithm::one_shot) return kLatency_ns + (n - 1) * wire_ns;
      return 2 * (n - 1) * kLatency_ns + 2 * part;
    case Kind::reduce_scatter:
    case Kind::all_gather:
    case Kind::all_to_all:
      return (n - 1) * kLatency_ns + part;
    case Kind::broadcast:
      return (n - 1) * (kLatency_ns + wire_ns);
    case Kind::reduce:
      return n * kLatency_ns + 2 * part;
    default:  // gather, scatter: all messages are on their way at once, the root's port is shared
      return kLatency_ns + part;
  }
}

void check_close(test::Context& t, double price_ns, double expected_ns, const std::string& what) {
  CHECK_MSG(std::abs(price_ns - expected_ns) < 1e-9 * expected_ns, "%s: %.6f ns and not %.6f",
            what.c_str(), price_ns, expected_ns);
}

constexpr Kind kKinds[] = {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather,
                           Kind::broadcast,  Kind::reduce,         Kind::gather,
                           Kind::scatter,    Kind::all_to_all};

}  // namespace

RINGSIDE_TEST(clock, prices_are_the_formulas_for_2_to_64_ranks) {
  for (int ranks = 2; ranks <= 64; ++ranks)
    for (const Kind kind : kKinds)
      for (const Algorithm algorithm : {Algorithm::ring, Algorithm::one_shot}) {
        if (algorithm == Algorithm::one_shot && kind != Kind::all_reduce) continue;
        const Question question{kind, algorithm, bytes_for(ranks), ranks, 1};
        const Price it = price(pure(ranks), question);
        CHECK_EQ(it.why, "");
        check_close(t, it.time_ns, formula_ns(kind, algorithm, ranks),
                    text("%s, %s, %d ranks", name_of(kind), name_of(algorithm), ranks));
      }
}

}  // namespace ringside
