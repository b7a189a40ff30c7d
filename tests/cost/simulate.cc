// The simulator against the formulas of the literature. On a machine that has only a latency α and
// a bandwidth B, with slots for everything, the price of each algorithm is known in closed form
// (docs/07-algorithms.md, and the papers named in comm/algorithms/ring.h); the executor, which
// executes the texts, must give exactly that.
#include <cmath>
#include <string>
#include <vector>

#include "comm/algorithms/ring.h"
#include "comm/cost/predict.h"
#include "comm/error.h"
#include "tests/cost/machines.h"
#include "tests/support/test.h"
#include "tests/verify/algorithms.h"

namespace ringside {
namespace {

using namespace test::clock;

double formula_ns(Kind kind, Algorithm algorithm, int ranks) {
  const double n = ranks;
  const double wire_ns = static_cast<double>(bytes_for(ranks)) / kBandwidth_gbs;  // of all S
  const double part = (n - 1) / n * wire_ns;
  switch (kind) {
    case Kind::all_reduce:
      if (algorithm == Algorithm::one_shot) return kLatency_ns + (n - 1) * wire_ns;
      if (algorithm == Algorithm::two_shot) return 2 * kLatency_ns + 2 * part;
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

// The formula's terms for messages of `bytes`.
double hop_ns(std::size_t bytes) {
  return kLatency_ns + static_cast<double>(bytes) / kBandwidth_gbs;
}

// A text of one's own, with the sizes of an all_reduce.
Prediction price_text(const Machine& machine, int ranks, const SimulatedAlgorithm& text) {
  const Question like{Kind::all_reduce, Algorithm::ring, bytes_for(ranks), ranks, 1};
  return predict(machine, simulated_call(machine, like), text);
}

struct LongerRing : Ring {
  int steps() const { return Ring::steps() + 1; }
};
struct ShorterRing : Ring {
  int steps() const { return Ring::steps() - 1; }
};
struct TiredRing : Ring {  // of which rank 1 goes home early
  int steps() const { return Ring::steps() - (rank == 1 ? 1 : 0); }
};

template <class MutantRing>
void mutant_all_reduce(ClockWindow& executor, const Ring& ring) {
  all_reduce(executor, MutantRing{ring.rank, ring.size});
}

}  // namespace

RINGSIDE_TEST(clock, prices_are_the_formulas_for_2_to_64_ranks) {
  for (int ranks = 2; ranks <= 64; ++ranks)
    for (const Kind kind : test::kSpecified)
      for (const Algorithm algorithm :
           {Algorithm::ring, Algorithm::one_shot, Algorithm::two_shot}) {
        if (algorithm != Algorithm::ring && kind != Kind::all_reduce) continue;
        const Question question{kind, algorithm, bytes_for(ranks), ranks, 1};
        const Prediction it = predict(pure(ranks), question);
        CHECK_EQ(it.why, "");
        check_close(t, it.time_ns, formula_ns(kind, algorithm, ranks),
                    text("%s, %s, %d ranks", name_of(kind), name_of(algorithm), ranks));
      }
}

// On one host all its steps take alike. Where groups are hosts, fewer messages in a row cross
// between them than on the ring, and fewer bytes.
RINGSIDE_TEST(clock, hierarchical_pays_for_few_steps_between_hosts) {
  Question question{Kind::all_reduce, Algorithm::hierarchical, 0, 0, 1};
  for (const int ranks : {1, 2, 3, 8})
    for (const int groups : {2, 5}) {
      question.ranks = ranks * groups;
      question.bytes = bytes_for(question.ranks);
      question.group_ranks = ranks;
      const int steps = 2 * ((ranks - 1) * groups + groups - 1);
      check_close(t, predict(pure(question.ranks), question).time_ns, steps * hop_ns(4096),
                  text("%d groups of %d", groups, ranks));
    }
  Machine hosts = pure(8);
  hosts.hosts = 4;
  hosts.joins_hosts = true;
  hosts.between_hosts = {50'000, 10};
  question = {Kind::all_reduce, Algorithm::hierarchical, bytes_for(32), 32, 1};
  question.group_ranks = 8;
  const double ring_ns = price_of(hosts, Kind::all_reduce, 32).time_ns;
  const double in_groups_ns = predict(hosts, question).time_ns;
  CHECK_MSG(1.2 * in_groups_ns < ring_ns, "%.0f ns and %.0f by the ring", in_groups_ns, ring_ns);
  question.group_ranks = 5;
  CHECK_EQ(cannot_predict(hosts, question), "32 ranks cannot be cut into groups of 5");
}

RINGSIDE_TEST(clock, a_thousand_ranks_and_any_window_of_their_programs) {
  const Prediction all = price_of(pure(1024), Kind::all_reduce, 1024);
  check_close(t, all.time_ns, formula_ns(Kind::all_reduce, Algorithm::ring, 1024), "1024 ranks");
  CHECK_EQ(all.messages, 2u * 1024 * 1023);
  const Question question{Kind::reduce, Algorithm::ring, 5 * bytes_for(9), 9, 3};
  Machine machine = pure(9, 2);
  machine.ring.slot_bytes = machine.mesh.slot_bytes = 4096;  // five slices
  SimulatedCall call = simulated_call(machine, question);
  CHECK_EQ(call.slices, 5u);
  const Prediction whole = predict(machine, call, simulated_algorithm(question));
  for (const std::size_t words : {1, 2, 7, 16}) {
    call.window_words = words;
    const Prediction part = predict(machine, call, simulated_algorithm(question));
    CHECK_EQ(part.time_ns, whole.time_ns);
    CHECK_EQ(part.words, whole.words);
    CHECK_EQ(part.messages, whole.messages);
  }
}

// What a window stands on: the words of one slice are those of all.
RINGSIDE_TEST(clock, the_slices_of_every_text_are_alike) {
  const auto check = [&](const std::vector<Program>& one, const std::vector<Program>& three) {
    for (std::size_t rank = 0; rank < one.size(); ++rank) {
      Program repeated;
      for (std::size_t slice = 0; slice < 3; ++slice)
        for (Step step : one[rank]) {
          step.slice = slice;
          repeated.push_back(step);
        }
      CHECK_EQ(test::show(three[rank]), test::show(repeated));
    }
  };
  for (const int size : {1, 2, 5}) {
    for (const Kind kind : test::kSpecified)
      check(test::programs_of(kind, size, 1), test::programs_of(kind, size, 3));
    check(test::two_shot_programs(size, 1), test::two_shot_programs(size, 3));
  }
}

// Slices of a two-shot follow one another: k of them take k times as long. With one slot each step
// but the first waits besides until its peers have heard that the step before has been read.
RINGSIDE_TEST(clock, slices_of_a_two_shot) {
  constexpr std::size_t kSlice = 4096;
  for (const int ranks : {2, 3, 8})
    for (const int slices : {1, 2, 10})
      for (const int slots : {1, 4}) {
        Machine machine = pure(ranks);
        machine.mesh.slot_bytes = kSlice;
        machine.mesh.slots = slots;
        const std::size_t bytes = kSlice * static_cast<std::size_t>(slices * ranks);
        const Question question{Kind::all_reduce, Algorithm::two_shot, bytes, ranks, 1};
        const Prediction it = predict(machine, question);
        const double a_slice_ns = 2 * kLatency_ns + 2 * (ranks - 1) * kSlice / kBandwidth_gbs;
        const int credits = slots == 1 ? 2 * slices - 1 : 0;
        check_close(t, it.time_ns, slices * a_slice_ns + credits * kLatency_ns,
                    text("%d ranks, %d slices, %d slots", ranks, slices, slots));
        CHECK_EQ(it.messages, static_cast<std::size_t>(2 * ranks * (ranks - 1) * slices));
      }
}

// A chain is a pipeline: k slices take k − 1 message times more than one, and not k times as long.
RINGSIDE_TEST(clock, slices_of_a_broadcast_follow_each_other) {
  constexpr std::size_t kSlice = 4096;
  for (const int ranks : {2, 3, 8})
    for (const int slices : {1, 2, 10}) {
      Machine machine = pure(ranks);
      machine.ring.slot_bytes = kSlice;
      const Question question{Kind::broadcast, Algorithm::ring,
                              static_cast<std::size_t>(slices) * kSlice, ranks, 1};
      const double expected_ns =
          (ranks - 1) * hop_ns(kSlice) + (slices - 1) * kSlice / kBandwidth_gbs;
      check_close(t, predict(machine, question).time_ns, expected_ns,
                  text("%d ranks, %d slices", ranks, slices));
    }
}

// With one slot each message waits until the one before it has been read and its credit has come
// back; with enough of them, for nothing but the port.
RINGSIDE_TEST(clock, too_few_slots_cost_the_way_of_the_credit) {
  constexpr std::size_t kSlice = 4096, kSlices = 10;
  const auto time_ns = [&](int slots) {
    Machine machine = pure(2, slots);
    machine.ring.slot_bytes = kSlice;
    return predict(machine, Question{Kind::broadcast, Algorithm::ring, kSlices * kSlice, 2, 1})
        .time_ns;
  };
  check_close(t, time_ns(1), kSlices * hop_ns(kSlice) + (kSlices - 1) * kLatency_ns, "one slot");
  CHECK(time_ns(2) < time_ns(1));
  CHECK(time_ns(4) < time_ns(2));
  check_close(t, time_ns(10), hop_ns(kSlice) + (kSlices - 1) * kSlice / kBandwidth_gbs,
              "ten slots");
}

RINGSIDE_TEST(clock, stores_are_the_senders_work) {
  const double all_gather_ns = price_of(stores(2), Kind::all_gather, 2).time_ns;
  // keep, copy into the slot, the flag, copy out of it
  check_close(t, all_gather_ns, 3 * kCopy_ns + kLatency_ns, "all_gather");
  // Of three ranks the sum in the middle is computed straight into the neighbour's slot.
  const double reduce_scatter_ns = price_of(stores(3), Kind::reduce_scatter, 3).time_ns;
  check_close(t, reduce_scatter_ns, kCopy_ns + 2 * (kLatency_ns + kReduce_ns), "reduce_scatter");
  // With one slot there is no room for it yet: it waits in scratch memory for its credit, and is
  // copied then.
  const double one_slot_ns = price_of(stores(3, 1), Kind::reduce_scatter, 3).time_ns;
  check_close(t, one_slot_ns, reduce_scatter_ns + kLatency_ns + kCopy_ns,
              "reduce_scatter, one slot");
  // What fits into its cell is not copied there.
  const Question small{Kind::all_gather, Algorithm::ring, 2 * 56, 2, 1};
  const Question larger{Kind::all_gather, Algorithm::ring, 2 * 60, 2, 1};
  check_close(t, predict(stores(2), small).time_ns, 2 * 56 / 8.0 + kLatency_ns, "in a cell");
  check_close(t, predict(stores(2), larger).time_ns, 3 * 60 / 8.0 + kLatency_ns, "in a slot");
}

// Rank 2 reads its first message, and the credit for it is back (copy, flag, copy, flag: 3024 ns),
// while rank 1 adds (from 1512 to 3560 ns). Like the host executor, rank 1 chose scratch memory
// before it added, and so it copies.
RINGSIDE_TEST(clock, room_that_comes_while_a_rank_adds_comes_too_late) {
  const auto chain = [](ClockWindow& executor, const Ring& ring) {
    const Piece own{Place::input, ring.rank}, sum{Place::partial, 0};
    if (ring.rank == 0) executor.send(ring.right(), own, 0);
    if (ring.rank == 1) {
      executor.exchange_reduce(ring.right(), own, ring.left(), sum, 0);
      executor.send(ring.right(), sum, 0);
    }
    if (ring.rank == 2)
      for (const int chunk : {1, 0}) executor.receive(ring.left(), {Place::output, chunk}, 0);
  };
  const double sum_ns = kCopy_ns + kLatency_ns + kReduce_ns;
  check_close(t, price_text(stores(3, 2), 3, chain).time_ns, sum_ns + kLatency_ns + kCopy_ns,
              "two slots");
  check_close(t, price_text(stores(3, 1), 3, chain).time_ns,
              sum_ns + kCopy_ns + kLatency_ns + kCopy_ns, "one slot");
}

RINGSIDE_TEST(clock, work_is_paid_once_a_call_and_at_both_ends_of_a_message) {
  Machine machine = stores(2);
  const double before_ns = price_of(machine, Kind::all_reduce, 2).time_ns;
  machine.call_ns = 300;
  machine.message_ns = 50;
  machine.slot_ns = 7;
  check_close(t, price_of(machine, Kind::all_reduce, 2).time_ns, before_ns + 300 + 4 * 50 + 2 * 7,
              "two messages each way");
  // Two ranks take turns on one core: their work takes twice as long, the flags do not.
  machine.cores_per_host = 1;
  const double flags_ns = 2 * kLatency_ns;
  check_close(t, price_of(machine, Kind::all_reduce, 2).time_ns,
              2 * (before_ns - flags_ns + 300 + 4 * 50 + 2 * 7) + flags_ns, "on one core");
}

// Root 0 of 2 hosts with 2 ranks each: rank 1 is reached by its own port, 2 and 3 share the host's.
RINGSIDE_TEST(clock, ranks_of_a_host_share_its_way_out) {
  Machine machine = pure(2);
  machine.hosts = 2;
  machine.joins_hosts = true;
  machine.between_hosts = {5000, 1};
  const double part_ns = 4096 / 1.0;
  check_close(t, price_of(machine, Kind::scatter, 4).time_ns, 5000 + 2 * part_ns, "scatter");
  check_close(t, price_of(machine, Kind::broadcast, 4).time_ns,
              2 * hop_ns(bytes_for(4)) + 5000 + 4 * part_ns, "broadcast: 0-1, 1-2, 2-3");
  // Three hosts of one rank: to two of them by one way out, from two of them by one way in.
  machine.hosts = 3;
  machine.ranks_per_host = 1;
  for (const Kind kind : {Kind::scatter, Kind::gather})
    check_close(t, price_of(machine, kind, 3).time_ns, 5000 + 2 * part_ns, name_of(kind));
}

// In a loop a call may begin before the one before it has ended everywhere.
RINGSIDE_TEST(clock, a_loop_of_calls) {
  const double once_ns = price_of(pure(4), Kind::all_reduce, 4).time_ns;
  check_close(t, price_of(pure(4), Kind::all_reduce, 4, 8).time_ns, once_ns, "all_reduce");
  const double chain_ns = price_of(pure(4), Kind::broadcast, 4).time_ns;
  CHECK(price_of(pure(4), Kind::broadcast, 4, 8).time_ns < chain_ns / 2);
}

// Does it see the text at all? A step more or less is that much dearer or cheaper.
RINGSIDE_TEST(clock_mutants, a_step_more_and_a_step_less) {
  const double right_ns = price_of(pure(5), Kind::all_reduce, 5).time_ns;
  check_close(t, price_text(pure(5), 5, mutant_all_reduce<LongerRing>).time_ns,
              right_ns + 2 * hop_ns(4096), "a step more in each half");
  check_close(t, price_text(pure(5), 5, mutant_all_reduce<ShorterRing>).time_ns,
              right_ns - 2 * hop_ns(4096), "a step less in each half");
}

RINGSIDE_TEST(clock_mutants, what_never_ends_is_reported) {
  // The ranks behind it still get what was sent before.
  CHECK_EQ(price_text(pure(4), 4, mutant_all_reduce<TiredRing>).why,
           "deadlock: rank 2 waits for rank 1 to send, which has ended");
  const auto send_then_receive = [](ClockWindow& executor, const Ring& ring) {
    for (int i = 0; i < 3; ++i) executor.send(ring.right(), {Place::output, ring.rank}, 0);
    for (int i = 0; i < 3; ++i) executor.receive(ring.left(), {Place::output, ring.left().rank}, 0);
  };
  CHECK_EQ(price_text(pure(3, 2), 3, send_then_receive).why,
           "deadlock: rank 0 waits for rank 1 to make room, rank 1 waits for rank 2 to make room, "
           "and rank 2 waits for rank 0 to make room");
  CHECK_EQ(price_text(pure(3, 3), 3, send_then_receive).why, "");
}

RINGSIDE_TEST(clock, what_has_no_price_is_refused) {
  const auto refused = [&](const Question& question, const char* part) {
    try {
      predict(pure(8), question);
      t.fail(__FILE__, __LINE__, std::string("not refused: ") + part);
    } catch (const Error& error) {
      CHECK(error.fault() == Fault::usage);
      CHECK_MSG(std::string(error.what()).find(part) != std::string::npos, "%s", error.what());
    }
  };
  refused({.ranks = 5000}, "5000 ranks cannot be priced");
  refused({.ranks = 9}, "no link between hosts");
  refused({.algorithm = Algorithm::one_shot, .bytes = std::size_t{2} << 20}, "at most a slot");
}

}  // namespace ringside
