// The one-shot all-reduce (comm/algorithms/one_shot.h), proved for 1 to 64 ranks, and what the
// proof must refute in texts that are almost it.
//
// Its promise is the ring's: the same claim, so the same order of additions, chunk by chunk.
#include <cstddef>
#include <string>
#include <vector>

#include "tests/support/test.h"
#include "tests/verify/algorithms.h"

namespace ringside {
namespace {

using test::check_violation;
using test::kMostProvedRanks;
using test::one_shot_programs;

constexpr int kSize = 4;

void check_holds(test::Context& t, const std::vector<Program>& programs, const ProofRules& rules) {
  const std::size_t n = programs.size();
  const Proof proof = test::check_holds(t, Kind::all_reduce, programs, 1, rules);
  CHECK_EQ(proof.messages, n * (n - 1));
  CHECK_EQ(proof.longest_chain, n == 1 ? 0u : 1u);
}

// all_reduce_one_shot's text, with two of its parts in other hands. Eagerly, rank 3 is the first
// that has everything, and so the first to go wrong.
template <class Look, class Fold>
Proof prove_algorithm(bool in_place, const Look& look, const Fold& fold) {
  const auto text = [&](Recorder& executor, const Ring& ring) {
    for (int k = 1; k < ring.size; ++k) executor.send_input(ring.after(ring.rank, k));
    look(executor, ring);
    for (int chunk = 0; chunk < ring.size; ++chunk) {
      fold(executor, ring, chunk);
      executor.post_op(Piece{Place::output, chunk}, 0);
    }
    executor.release_inputs();
  };
  return prove(record_all(kSize, 1, text), Kind::all_reduce, 1,
               {.in_place = in_place, .turns = Turns::eager});
}

void look_at_all(Recorder& executor, const Ring& ring) {
  for (int k = 1; k <= ring.size; ++k) executor.wait_input(ring.after(ring.rank, k));
}
void fold_all(Recorder& executor, const Ring& ring, int chunk) {
  for (int k = 1; k <= ring.size; ++k) executor.reduce_input(chunk, ring.after(chunk, k), k);
}

}  // namespace

RINGSIDE_TEST(proof, one_shot_for_1_to_64_ranks) {
  for (int size = 1; size <= kMostProvedRanks; ++size) {
    const std::vector<Program> programs = one_shot_programs(size);
    const int slots = 1 + size % 3;
    check_holds(t, programs, {.slots = slots, .in_place = true, .turns = Turns::eager});
    check_holds(t, programs, {.slots = slots, .in_place = false});
    check_holds(t, programs, {.slots = slots, .turns = Turns::eager, .exposes = true});
  }
}

RINGSIDE_TEST(proof, one_shot_holds_whoever_runs_first) {
  for (int size = 1; size <= 16; ++size)
    for (int slots = 1; slots <= 4; ++slots)
      for (const bool in_place : {false, true})
        for (const bool exposes : {false, true})
          for (const ProofRules& rules :
               test::in_every_order({.slots = slots, .in_place = in_place, .exposes = exposes}))
            check_holds(t, one_shot_programs(size), rules);
}

// A message waits for nobody, and then each rank has 1 step where the ring has 2(n−1). What it
// pays: n−1 whole inputs out of each rank instead of 2(n−1)/n of one.
RINGSIDE_TEST(proof, one_shot_trades_bytes_for_steps) {
  for (const int size : {2, 3, 4, 8, 64}) {
    const auto n = static_cast<std::size_t>(size);
    const Proof ring =
        prove(test::programs_of(Kind::all_reduce, size, 1), Kind::all_reduce, 1, {.slots = 4});
    const Proof one_shot = prove(one_shot_programs(size), Kind::all_reduce, 1, {.slots = 4});
    CHECK_EQ(ring.longest_chain, 2 * (n - 1));
    CHECK_EQ(one_shot.longest_chain, 1u);
    CHECK_EQ(ring.messages, 2 * n * (n - 1));
    CHECK_EQ(one_shot.messages, n * (n - 1));
  }
}

// Two calls one after another through one slot: the second show waits until the first has been
// looked away from.
RINGSIDE_TEST(proof, one_shot_twice_needs_no_second_slot) {
  const auto twice = record_all(kSize, 1, [](Recorder& executor, const Ring& ring) {
    all_reduce_one_shot(executor, ring);
    all_reduce_one_shot(executor, ring);
  });
  for (const Turns turns : {Turns::round_robin, Turns::eager, Turns::eager_down}) {
    // Out of place both read the same input, so the second writes what the first has written.
    CHECK(prove(twice, Kind::all_reduce, 1, {.turns = turns}).holds);
    const Proof careless =
        prove(twice, Kind::all_reduce, 1, {.turns = turns, .ignore_credit = true});
    CHECK(turns == Turns::round_robin || !careless.holds);
  }
}

RINGSIDE_TEST(proof, one_shot_of_three_ranks_in_words) {
  const Program program = record(1, [](auto& executor) {
    all_reduce_one_shot(executor, Ring{0, 3});
  });
  CHECK_EQ(test::show(Program(program.begin(), program.begin() + 9)),
           "send_input: to 1; slice 0\n"
           "send_input: to 2; slice 0\n"
           "wait_input: from 1; slice 0\n"
           "wait_input: from 2; slice 0\n"
           "wait_input: from 0; slice 0\n"
           "reduce_input: from 1, receive output 0; slice 0\n"
           "reduce_input: from 2, receive output 0; slice 0\n"
           "reduce_input: from 0, receive output 0; slice 0\n"
           "post_op: receive output 0; slice 0\n");
}

// Everybody sends before anybody receives: with nowhere for a message to wait, that is a wait
// cycle.
RINGSIDE_TEST(proof_mutants, one_shot_by_rendezvous_deadlocks) {
  check_violation(t, prove(one_shot_programs(kSize), Kind::all_reduce, 1, {.slots = 0}),
                  test::kNobodyReceives);
  for (int size = 2; size <= kMostProvedRanks; size *= 2)
    CHECK(!prove(one_shot_programs(size), Kind::all_reduce, 1, {.slots = 0}).holds);
}

RINGSIDE_TEST(proof_mutants, one_shot_in_rank_order_has_other_bits) {
  const auto in_rank_order = [](Recorder& executor, const Ring& ring, int chunk) {
    for (int k = 1; k <= ring.size; ++k) executor.reduce_input(chunk, k - 1, k);
  };
  for (const bool in_place : {false, true})
    check_violation(t, prove_algorithm(in_place, look_at_all, in_rank_order),
                    "rank 0 ends with chunk 0 folded as [0 1 2 3]; [1 2 3 0] was promised");
}

RINGSIDE_TEST(proof_mutants, one_shot_that_folds_twice_is_shown) {
  const auto twice = [](Recorder& executor, const Ring& ring, int chunk) {
    fold_all(executor, ring, chunk);
    executor.reduce_input(chunk, ring.after(chunk, 2), ring.size + 1);
  };
  check_violation(t, prove_algorithm(false, look_at_all, twice),
                  "rank 0 ends with chunk 0 folded as [1 2 3 0 2]; [1 2 3 0] was promised");
}

RINGSIDE_TEST(proof_mutants, one_shot_that_leaves_one_out_is_shown) {
  const auto all_but_one = [](Recorder& executor, const Ring& ring, int chunk) {
    for (int k = 1; k < ring.size; ++k) executor.reduce_input(chunk, ring.after(chunk, k), k);
  };
  check_violation(t, prove_algorithm(false, look_at_all, all_but_one),
                  "rank 0 ends with chunk 0 folded as [1 2 3]; [1 2 3 0] was promised");
}

// The average would be divided before the last number is in it: the history alone looks right.
RINGSIDE_TEST(proof_mutants, one_shot_that_finishes_early_is_named) {
  const auto early = [](Recorder& executor, const Ring& ring, int chunk) {
    for (int k = 1; k <= ring.size; ++k) {
      if (k == ring.size) executor.post_op(Piece{Place::output, chunk}, 0);
      executor.reduce_input(chunk, ring.after(chunk, k), k);
    }
  };
  check_violation(t, prove_algorithm(false, look_at_all, early),
                  "rank 3 adds to chunk 0, which is finished");
}

RINGSIDE_TEST(proof_mutants, a_forgotten_look_is_named) {
  const auto forgetful = [](Recorder& executor, const Ring& ring) {
    for (int k = 1; k <= ring.size; ++k)
      if (k != 2) executor.wait_input(ring.after(ring.rank, k));
  };
  check_violation(t, prove_algorithm(false, forgetful, fold_all),
                  "rank 3 folds rank 1's chunk 0 without having looked at it");
  const auto not_at_itself = [](Recorder& executor, const Ring& ring) {
    for (int k = 1; k < ring.size; ++k) executor.wait_input(ring.after(ring.rank, k));
  };
  check_violation(t, prove_algorithm(false, not_at_itself, fold_all),
                  "rank 3 folds rank 3's chunk 0 without having looked at it");
}

RINGSIDE_TEST(proof_mutants, who_looks_away_too_early_reads_what_is_gone) {
  const auto look_and_away = [](Recorder& executor, const Ring& ring) {
    look_at_all(executor, ring);
    executor.release_inputs();
  };
  check_violation(t, prove_algorithm(false, look_and_away, fold_all),
                  "rank 3 folds rank 1's chunk 0 after it has looked away");
}

// In place, the first sums cover the own input. Rank 0 adds itself last to chunk 0, so a copy that
// is made only then holds the sum of the others. (HostExecutor once did just that; two ranks, and
// all others of three, still got the right sum.)
RINGSIDE_TEST(proof_mutants, the_own_input_is_set_aside_before_the_first_fold) {
  const auto looks_at_itself_late = [](Recorder& executor, const Ring& ring, int chunk) {
    for (int k = 1; k <= ring.size; ++k) {
      const int from = ring.after(chunk, k);
      if (chunk == 0 && from == ring.rank) executor.wait_input(ring.rank);
      executor.reduce_input(chunk, from, k);
    }
  };
  const auto at_the_others = [](Recorder& executor, const Ring& ring) {
    for (int k = 1; k < ring.size; ++k) executor.wait_input(ring.after(ring.rank, k));
  };
  CHECK(prove_algorithm(false, at_the_others, looks_at_itself_late).holds);
  check_violation(t, prove_algorithm(true, at_the_others, looks_at_itself_late),
                  "rank 0 ends with chunk 0 folded as [1 2 3 (1 2 3)]; [1 2 3 0] was promised");
}

}  // namespace ringside
