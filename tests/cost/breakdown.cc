// The simulator's bills, the paths of bytes, and what is exposed: against what a hand calculates.
#include <cmath>
#include <utility>
#include <vector>

#include "comm/cost/predict.h"
#include "tests/cost/machines.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test::clock;

// The same where every message that can be exposed is.
Prediction zero_copy_price(const Machine& machine, Question question) {
  question.zero_copy_from_bytes = 57;
  return predict(machine, question);
}

}  // namespace

RINGSIDE_TEST(cost_breakdown, what_is_lent_is_read_where_it_lies) {
  const Question gather{Kind::all_gather, Algorithm::ring, bytes_for(2), 2, 1};
  // the flag, the copy; and the flag back, as an owner's call ends when he knows of it: meanwhile
  // he keeps his own part
  check_close(t, zero_copy_price(stores(2), gather).time_ns, kCopy_ns + 2 * kLatency_ns,
              "all_gather");
  Question below = gather;
  below.zero_copy_from_bytes = 4097;
  CHECK_EQ(predict(stores(2), below).time_ns, price_of(stores(2), Kind::all_gather, 2).time_ns);
  // Sums on their way are not exposed, and the way of the credit is hidden behind the second
  // addition.
  const Question scatter{Kind::reduce_scatter, Algorithm::ring, bytes_for(3), 3, 1};
  check_close(t, zero_copy_price(stores(3), scatter).time_ns, 2 * (kLatency_ns + kReduce_ns),
              "reduce_scatter");
  // A wire cannot be read through.
  CHECK_EQ(zero_copy_price(pure(3), scatter).time_ns, predict(pure(3), scatter).time_ns);
  // The machine adds from buffers at another rate than from slots.
  Machine near = stores(2, 1);
  near.reduce = {{4096, 4.0}, {8192, 1.0}};  // one slot of 4096 bytes, buffers of 6144 in the mean
  const Question two{Kind::reduce_scatter, Algorithm::ring, bytes_for(2), 2, 1};
  const double buffer_ns = 4096 / rate_at(near.reduce, 6144);
  check_close(t, zero_copy_price(near, two).time_ns, 2 * kLatency_ns + buffer_ns, "all in buffers");
  check_close(t, predict(near, two).time_ns,
              kCopy_ns + kLatency_ns + (4096 / 4.0 + 2 * buffer_ns) / 3, "one in a slot");
  // And copies.
  near.copy = {{4096, 8.0}, {8192, 2.0}};
  const double copy_ns = 4096 / rate_at(near.copy, 6144);
  check_close(t, zero_copy_price(near, gather).time_ns,
              copy_ns + std::max(copy_ns, kLatency_ns) + kLatency_ns, "copies");
}

RINGSIDE_TEST(cost_breakdown, a_one_shot_exposes_out_of_place) {
  const Question question{Kind::all_reduce, Algorithm::one_shot, bytes_for(2), 2, 1, 57};
  SimulatedCall call = simulated_call(stores(2), question);
  check_close(t, predict(stores(2), call, simulated_algorithm(question)).time_ns,
              2 * kLatency_ns + 2 * kReduce_ns, "out of place");
  call.in_place = true;
  check_close(t, predict(stores(2), call, simulated_algorithm(question)).time_ns,
              2 * kCopy_ns + kLatency_ns + 2 * kReduce_ns, "in place");
}

// A two-shot exposes in place as well, and half a buffer is added, not all: in slices of any
// length. The call ends when the last zero-copy messages are known to have been read.
RINGSIDE_TEST(cost_breakdown, a_two_shot_exposes_in_place_too) {
  const Question question{Kind::all_reduce, Algorithm::two_shot, bytes_for(2), 2, 1, 57};
  for (const std::size_t slot_bytes : {bytes_for(2), bytes_for(2) / 8}) {
    Machine machine = stores(2);
    machine.mesh.slot_bytes = slot_bytes;
    SimulatedCall call = simulated_call(machine, question);
    for (const bool in_place : {false, true}) {
      call.in_place = in_place;
      const Prediction it = predict(machine, call, simulated_algorithm(question));
      CHECK_EQ(it.sent[static_cast<std::size_t>(Path::exposed)].bytes, bytes_for(2));
      const double slices = static_cast<double>(call.slices);
      check_close(t, it.time_ns, (2 * slices + 1) * kLatency_ns + kReduce_ns + kCopy_ns, "exposed");
    }
  }
}

// Four slots give their credit back in pairs, but not that of an exposed message. So the fifth
// leaves when the first has been read.
RINGSIDE_TEST(cost_breakdown, credit_of_the_lent_comes_alone) {
  Machine machine = stores(2);
  machine.ring.slot_bytes = 4096;
  const Question five{Kind::broadcast, Algorithm::ring, 5 * 4096, 2, 1};
  check_close(t, zero_copy_price(machine, five).time_ns, 4 * kLatency_ns + 2 * kCopy_ns,
              "five slices");
  // In a loop each call waits for its own readers.
  Question loop{Kind::broadcast, Algorithm::ring, 4096, 2, 8};
  check_close(t, zero_copy_price(machine, loop).time_ns, 2 * kLatency_ns + kCopy_ns, "a loop");
}

RINGSIDE_TEST(cost_breakdown, a_bill_is_that_of_the_longest_way) {
  const auto check_breakdown = [&](const Prediction& predict,
                                   const std::vector<std::pair<CostTerm, double>>& is) {
    double sum = 0;
    CostBreakdown expected = {};
    for (const auto& [term, ns] : is) at(expected, term) = ns, sum += ns;
    for (std::size_t term = 0; term < kCostTerms; ++term)
      CHECK_MSG(std::abs(predict.breakdown[term] - expected[term]) < 1e-6,
                "term %zu: %.3f and not %.3f", term, predict.breakdown[term], expected[term]);
    check_close(t, predict.time_ns, sum, "sum");
  };
  Machine machine = stores(2);
  machine.call_ns = 300;
  machine.message_ns = 50;
  machine.slot_ns = 7;
  const Question gather{Kind::all_gather, Algorithm::ring, bytes_for(2), 2, 1};
  check_breakdown(predict(machine, gather), {{CostTerm::call, 300},
                                             {CostTerm::ends, 100},
                                             {CostTerm::lines, 7},
                                             {CostTerm::flags, kLatency_ns},
                                             {CostTerm::into_slots, kCopy_ns},
                                             {CostTerm::from_slots, kCopy_ns},
                                             {CostTerm::own_part, kCopy_ns}});
  check_breakdown(zero_copy_price(machine, gather), {{CostTerm::call, 300},
                                                     {CostTerm::ends, 100},
                                                     {CostTerm::lines, 7},
                                                     {CostTerm::flags, kLatency_ns},
                                                     {CostTerm::credits, kLatency_ns},
                                                     {CostTerm::from_slots, kCopy_ns}});
  // In a loop too, where the second half of the calls is what counts.
  const Prediction loop = price_of(stores(3), Kind::reduce_scatter, 3, 8);
  check_breakdown(loop, {{CostTerm::flags, 2 * kLatency_ns},
                         {CostTerm::into_slots, kCopy_ns},
                         {CostTerm::additions, 2 * kReduce_ns}});
  // Two messages from rank 0 share its port; only one of them has to wait for it.
  const Question scatter{Kind::scatter, Algorithm::ring, bytes_for(3), 3, 1};
  check_breakdown(predict(pure(3), scatter),
                  {{CostTerm::flags, kLatency_ns}, {CostTerm::wires, 2 * 4096 / kBandwidth_gbs}});
}

RINGSIDE_TEST(cost_breakdown, how_the_bytes_travel_is_counted) {
  const auto bytes_of = [](const Prediction& predict, Path path) {
    return predict.sent[static_cast<std::size_t>(path)].bytes;
  };
  const Question question{Kind::all_reduce, Algorithm::ring, bytes_for(3), 3, 8};
  const Prediction plain = predict(stores(3), question),
                   exposed = zero_copy_price(stores(3), question);
  CHECK_EQ(bytes_of(plain, Path::slot), 3u * 4096);
  CHECK_EQ(bytes_of(plain, Path::sum), 4096u);
  CHECK_EQ(bytes_of(exposed, Path::exposed), 3u * 4096);
  CHECK_EQ(bytes_of(exposed, Path::slot), 0u);
  CHECK_EQ(plain.busiest_bytes, 4u * 4096);
  const Question small{Kind::all_reduce, Algorithm::ring, 3 * 8, 3, 1, 1};
  CHECK_EQ(bytes_of(predict(stores(3), small), Path::cell), 4u * 8);
  // The root of a gather sends nothing and receives everything.
  CHECK_EQ(price_of(stores(3), Kind::gather, 3).busiest_bytes, 2u * 4096);
}

// An owner whose message nobody reads waits for ever.
RINGSIDE_TEST(cost_breakdown_mutants, what_is_exposed_and_never_read_is_reported) {
  const Question like{Kind::all_reduce, Algorithm::ring, bytes_for(2), 2, 1, 57};
  const auto send_only = [](ClockWindow& executor, const Ring& ring) {
    executor.send(ring.right(), {Place::input, ring.rank}, 0);
  };
  const auto one_sends = [](ClockWindow& executor, const Ring& ring) {
    if (ring.rank == 0) executor.send(ring.right(), {Place::input, 0}, 0);
  };
  CHECK_EQ(
      predict(stores(2), simulated_call(stores(2), like), send_only).why,
      "deadlock: rank 0 waits for rank 1 to read what it was exposed, and rank 1 waits for rank "
      "0 to read what it was exposed");
  CHECK_EQ(predict(stores(2), simulated_call(stores(2), like), one_sends).why,
           "deadlock: rank 0 waits for rank 1 to read what it was exposed, which has ended");
}

}  // namespace ringside
