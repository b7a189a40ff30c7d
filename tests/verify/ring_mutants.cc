// Does the prover see anything? Here each thing that can be wrong with a ring is made wrong,
// one at a time, and must be refuted, by a sentence that names the cause and not just some
// consequence.
//
// Most mutants give the real templates of ring.h another Ring, whose arithmetic is off in one
// place; the others are texts of their own. Where a mistake can hide (on enough slots, out of
// place, under a lucky order of turns), the test also shows where it hides: the rules of a proof
// matter.
#include <cstddef>
#include <string>
#include <vector>

#include "tests/support/test.h"
#include "tests/verify/algorithms.h"

namespace ringside {
namespace {

using namespace test;

constexpr int kSize = 4;

// Each mutant ring inherits what is right and hides what it does otherwise.

// Everybody is one chunk further than the text: baidu-allreduce's ring, which ends a reduce-scatter
// with chunk r + 1 on rank r. A fine ring, but not the one that the rest of the text assumes.
struct ShiftedRing : Ring {
  int reduce_send(int step) const { return Ring::reduce_send(step - 1); }
  int reduce_receive(int step) const { return Ring::reduce_receive(step - 1); }
};

// One rank, in one step, sends another chunk than its neighbour expects.
struct SlippedRing : Ring {
  int gather_send(int step) const { return Ring::gather_send(rank == 2 && step == 1 ? 0 : step); }
};

// The all-gather starts with the chunk after the one that the rank owns.
struct EarlyGatherRing : Ring {
  int gather_send(int step) const { return Ring::gather_send(step - 1); }
  int gather_receive(int step) const { return Ring::gather_receive(step - 1); }
};

// One step too many: each chunk starts on its owner and comes all the way round to him again.
struct FullCircleRing : Ring {
  int steps() const { return size; }
  int reduce_send(int step) const { return Ring::reduce_send(step - 1); }
  int reduce_receive(int step) const { return Ring::reduce_receive(step - 1); }
};

// One rank goes home a step early.
struct ShortRing : Ring {
  int steps() const { return rank == 1 ? size - 2 : size - 1; }
};

Proof prove_send_then_receive(std::size_t slices, int slots) {
  return prove(record_all(kSize, slices, send_then_receive), Kind::all_gather, slices,
               {.slots = slots});
}

// all_reduce's text with `finishes` times the word finish.
std::vector<Program> all_reduce_finished(int finishes) {
  return record_all(kSize, 1, [&](Recorder& executor, const Ring& ring) {
    Program whole = record(1, [&](auto& recorder) { all_reduce(recorder, ring); });
    for (const Step& step : whole) {
      if (step.primitive == Primitive::exchange_reduce)
        executor.exchange_reduce(step.to, *step.send, step.from, *step.receive, step.slice);
      if (step.primitive == Primitive::exchange)
        executor.exchange(step.to, *step.send, step.from, *step.receive, step.slice);
      for (int i = 0; step.primitive == Primitive::post_op && i < finishes; ++i)
        executor.post_op(*step.receive, step.slice);
    }
  });
}

}  // namespace

// Seen only when somebody runs ahead: in the orderly round the ring keeps step, and the missing
// credit does no harm. So a proof is repeated under several orders (comm/verify/prove.h).
RINGSIDE_TEST(proof_mutants, a_sender_that_ignores_credit_overruns) {
  const auto programs = programs_of(Kind::all_reduce, kSize, 1);
  const auto without_credit = [&](Turns turns) {
    return prove(programs, Kind::all_reduce, 1, {.turns = turns, .ignore_credit = true});
  };
  check_violation(t, without_credit(Turns::eager),
                  "rank 1 overwrites a slot of rank 2 that still holds chunk 0, unread");
  CHECK(without_credit(Turns::round_robin).holds);
  CHECK(prove(programs, Kind::all_reduce, 1, {.turns = Turns::eager}).holds);

  // Down a chain nobody holds the sender back at all: any number of slots is overrun.
  for (const int slots : {1, 2, 3}) {
    const Proof chain = prove(programs_of(Kind::broadcast, kSize, 5), Kind::broadcast, 5,
                              {.slots = slots, .turns = Turns::eager, .ignore_credit = true});
    check_violation(t, chain,
                    "rank 0 overwrites a slot of rank 1 that still holds chunk 0, unread");
  }
}

RINGSIDE_TEST(proof_mutants, a_shifted_ring_ends_on_the_wrong_chunk) {
  const auto shifted = record_mutants<ShiftedRing>(
      kSize, 1, [](auto& executor, const auto& ring) { reduce_scatter(executor, ring); });
  check_violation(t, prove(shifted, Kind::reduce_scatter, 1, {}),
                  "rank 3 finishes chunk 3, which it does not have");
}

RINGSIDE_TEST(proof_mutants, a_wrong_chunk_in_one_step_is_named) {
  const auto slipped = record_mutants<SlippedRing>(
      kSize, 1, [](auto& executor, const auto& ring) { all_reduce(executor, ring); });
  check_violation(t, prove(slipped, Kind::all_reduce, 1, {}),
                  "rank 3 expects chunk 1 of slice 0 and receives chunk 2 of slice 0");
}

// Out of place the chunk is simply not there. In place there is something in its stead: the rank's
// own input, which travels and arrives as if it were a result.
RINGSIDE_TEST(proof_mutants, a_gather_one_chunk_off_sends_what_is_no_result) {
  const auto early = record_mutants<EarlyGatherRing>(
      kSize, 1, [](auto& executor, const auto& ring) { all_reduce(executor, ring); });
  check_violation(t, prove(early, Kind::all_reduce, 1, {}),
                  "rank 3 sends chunk 0, which it does not have");
  check_violation(t, prove(early, Kind::all_reduce, 1, {.in_place = true}),
                  "rank 0 ends with chunk 0 folded as [3]; [1 2 3 0] was promised");
}

RINGSIDE_TEST(proof_mutants, a_contribution_folded_twice_is_shown) {
  const auto twice = record_mutants<FullCircleRing>(
      kSize, 1, [](auto& executor, const auto& ring) { reduce_scatter(executor, ring); });
  check_violation(t, prove(twice, Kind::reduce_scatter, 1, {}),
                  "rank 0 ends with chunk 0 folded as [0 1 2 3 0]; [1 2 3 0] was promised");
}

RINGSIDE_TEST(proof_mutants, a_rank_that_stops_early_is_waited_for) {
  const auto early = record_mutants<ShortRing>(
      kSize, 1, [](auto& executor, const auto& ring) { all_gather(executor, ring); });
  check_violation(t, prove(early, Kind::all_gather, 1, {}),
                  "deadlock: rank 2 waits for rank 1 to send, which has ended");
}

RINGSIDE_TEST(proof_mutants, finish_is_said_exactly_once) {
  CHECK(prove(all_reduce_finished(1), Kind::all_reduce, 1, {}).holds);
  check_violation(t, prove(all_reduce_finished(0), Kind::all_reduce, 1, {}),
                  "rank 0 ends with chunk 0 not finished");
  check_violation(t, prove(all_reduce_finished(2), Kind::all_reduce, 1, {}),
                  "rank 3 finishes chunk 3 twice");
}

// Why the executor's main word is a joint one. All send before any receives: without slots nobody
// is ever taken from, and the wait cycle is printed. Slots hide it while a step's messages fit into
// them, which is why such a program passes its tests and hangs on the first long buffer.
RINGSIDE_TEST(proof_mutants, send_then_receive_deadlocks) {
  for (std::size_t slices = 1; slices <= 4; ++slices) {
    check_violation(t, prove_send_then_receive(slices, 0), test::kNobodyReceives);
    for (int slots = 1; slots <= 6; ++slots) {
      const Proof proof = prove_send_then_receive(slices, slots);
      if (slots >= static_cast<int>(slices)) {
        CHECK(proof.holds);
      } else {
        check_violation(t, proof, kNoRoom);
      }
    }
  }
}

// Nor do a few slots more always save it: of 10 slots each fifth message returns credit
// (protocol.h), so of 8 messages taken the sender knows of 5, and its next 8 do not fit. 8 slots
// would have done. The joint primitive does not care, as a rank that waits for room goes on
// receiving.
RINGSIDE_TEST(proof_mutants, credit_in_batches_makes_it_worse) {
  CHECK(prove_send_then_receive(8, 8).holds);
  check_violation(t, prove_send_then_receive(8, 10), kNoRoom);
  CHECK(prove_send_then_receive(8, 16).holds);
  CHECK(prove(programs_of(Kind::all_gather, kSize, 8), Kind::all_gather, 8, {.slots = 10}).holds);
}

// In place, input and output are one memory. Gathering into the output before the input has been
// reduced is right in two buffers, and in one it destroys what has not been added yet.
RINGSIDE_TEST(proof_mutants, output_written_before_input_is_read) {
  const auto gather_first = record_all(kSize, 1, [](Recorder& executor, const Ring& ring) {
    all_gather(executor, ring);
    reduce_scatter(executor, ring);
  });
  CHECK(prove(gather_first, Kind::reduce_scatter, 1, {.in_place = false}).holds);
  check_violation(t, prove(gather_first, Kind::reduce_scatter, 1, {.in_place = true}),
                  "rank 0 ends with chunk 0 folded as [0 0 0 0]; [1 2 3 0] was promised");
}

// A zero-copy message is read when it is taken and not when it is sent. The root of a broadcast,
// which waits for nobody, has returned by then if it does not wait for what it exposed.
RINGSIDE_TEST(proof_mutants, a_rank_that_leaves_before_its_zero_copy_messages_are_read) {
  const auto algorithms = programs_of(Kind::broadcast, kSize, 2);
  ProofRules rules{.slots = 3, .turns = Turns::eager, .leave_early = true};
  CHECK(prove(algorithms, Kind::broadcast, 2, rules).holds);
  rules.exposes = true;
  check_violation(
      t, prove(algorithms, Kind::broadcast, 2, rules),
      "rank 1 reads chunk 0 of slice 0 where rank 0 has exposed it, but there it has been "
      "written over");
  rules.leave_early = false;
  CHECK(prove(algorithms, Kind::broadcast, 2, rules).holds);
}

// In place a one-shot covers its input with sums while others are still reading it. So it sends a
// copy there, and the host executor does as well.
RINGSIDE_TEST(proof_mutants, a_one_shot_that_exposes_what_it_is_about_to_overwrite) {
  const auto algorithms = test::one_shot_programs(kSize);
  ProofRules rules{.slots = 1, .in_place = true, .exposes = true, .expose_in_place = true};
  check_violation(
      t, prove(algorithms, Kind::all_reduce, 1, rules),
      "rank 3 reads chunk 0 of slice 0 where rank 2 has exposed it, but there it has been "
      "written over");
  rules.in_place = false;
  CHECK(prove(algorithms, Kind::all_reduce, 1, rules).holds);
}

// Two ranks could change their parts in place, as a copy is on its way before the part is written
// over. Of zero-copy messages that is no longer true: what an algorithm may expose depends on its
// text.
RINGSIDE_TEST(proof_mutants, a_swap_in_place_needs_copies) {
  const auto algorithms = programs_of(Kind::all_to_all, 2, 1);
  CHECK(prove(algorithms, Kind::all_to_all, 1, {.slots = 1, .in_place = true}).holds);
  check_violation(
      t, prove(algorithms, Kind::all_to_all, 1, {.slots = 1, .in_place = true, .exposes = true}),
      "rank 0 reads chunk 0 of slice 0 where rank 1 has exposed it, but there it has been "
      "written over");
}

}  // namespace ringside
