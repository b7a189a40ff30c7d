// The two-shot all-reduce (comm/algorithms/two_shot.h), proved for 1 to 64 ranks, and what the
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
using test::two_shot_programs;

constexpr int kSize = 4;

void check_holds(test::Context& t, const std::vector<Program>& programs, std::size_t slices,
                 const ProofRules& rules) {
  const std::size_t n = programs.size();
  const Proof proof = test::check_holds(t, Kind::all_reduce, programs, slices, rules);
  CHECK_EQ(proof.messages, 2 * n * (n - 1) * slices);
}

// all_reduce_two_shot's parts, in its words, for texts that put them together otherwise.
void send_inputs(Recorder& executor, const Ring& ring, std::size_t slice) {
  for (int k = 1; k < ring.size; ++k) {
    const int peer = ring.after(ring.rank, k);
    executor.send({peer}, Piece{Place::input, peer}, slice);
  }
}
void look_at_all(Recorder& executor, const Ring& ring, std::size_t slice) {
  for (int k = 1; k <= ring.size; ++k)
    executor.wait_input(ring.after(ring.rank, k), ring.rank, slice);
}
void fold_all(Recorder& executor, const Ring& ring, std::size_t slice) {
  for (int k = 1; k <= ring.size; ++k)
    executor.reduce_input(ring.rank, ring.after(ring.rank, k), k, slice);
}
void finish(Recorder& executor, const Ring& ring, std::size_t slice) {
  executor.post_op(Piece{Place::output, ring.rank}, slice);
}
void look_away(Recorder& executor, const Ring&, std::size_t slice) {
  executor.release_inputs(slice);
}
void send_result(Recorder& executor, const Ring& ring, std::size_t slice) {
  for (int k = 1; k < ring.size; ++k)
    executor.send(ring.peer(ring.after(ring.rank, k)), Piece{Place::output, ring.rank}, slice);
}
void receive_results(Recorder& executor, const Ring& ring, std::size_t slice) {
  for (int k = 1; k < ring.size; ++k) {
    const int peer = ring.after(ring.rank, k);
    executor.receive({peer}, Piece{Place::output, peer}, slice);
  }
}

// A slice is all that is said. Eagerly, rank 3 is the first that has everything, and so the first
// to go wrong.
using Part = void (*)(Recorder& executor, const Ring& ring, std::size_t slice);
Proof prove_parts(const std::vector<Part>& parts, ProofRules rules = {.turns = Turns::eager},
                  std::size_t slices = 1) {
  const auto programs = record_all(kSize, slices, [&](Recorder& executor, const Ring& ring) {
    for (std::size_t slice = 0; slice < slices; ++slice)
      for (const Part part : parts) part(executor, ring, slice);
  });
  return prove(programs, Kind::all_reduce, slices, rules);
}

}  // namespace

RINGSIDE_TEST(proof, two_shot_for_1_to_64_ranks) {
  for (int size = 1; size <= kMostProvedRanks; ++size) {
    const std::vector<Program> programs = two_shot_programs(size, 2);
    for (int slots = 1; slots <= 3; ++slots)
      for (const bool in_place : {false, true})
        check_holds(t, programs, 2, {.slots = slots, .in_place = in_place, .exposes = slots != 2});
    check_holds(t, programs, 2, {.slots = 1, .in_place = true, .turns = Turns::eager});
  }
}

RINGSIDE_TEST(proof, two_shot_holds_whoever_runs_first) {
  for (int size = 1; size <= 16; ++size) {
    const auto slices = static_cast<std::size_t>(1 + size % 3);
    const std::vector<Program> programs = two_shot_programs(size, slices);
    for (int slots = 1; slots <= 4; ++slots)
      for (const bool in_place : {false, true})
        for (const bool exposes : {false, true}) {
          const ProofRules rules{.slots = slots, .in_place = in_place, .exposes = exposes};
          for (const ProofRules& it : test::in_every_order(rules))
            check_holds(t, programs, slices, it);
        }
  }
}

// Two messages one after another where the ring has 2(n−1), and not one message or byte more.
RINGSIDE_TEST(proof, two_shot_has_two_steps_and_the_rings_bytes) {
  for (const int size : {2, 3, 4, 8, 64}) {
    const auto n = static_cast<std::size_t>(size);
    const std::vector<Program> programs = two_shot_programs(size, 1);
    const Proof ring =
        prove(test::programs_of(Kind::all_reduce, size, 1), Kind::all_reduce, 1, {.slots = 4});
    const Proof two_shot = prove(programs, Kind::all_reduce, 1, {.slots = 4});
    CHECK_EQ(ring.longest_chain, 2 * (n - 1));
    CHECK_EQ(two_shot.longest_chain, 2u);
    CHECK_EQ(two_shot.messages, ring.messages);
    for (const Program& program : programs) {
      std::size_t pieces = 0;  // of S/n each
      for (const Step& step : program) pieces += step.send ? 1 : 0;
      CHECK_EQ(pieces, 2 * (n - 1));
    }
  }
}

RINGSIDE_TEST(proof, two_shot_of_three_ranks_in_words) {
  const Program program = record(1, [](auto& executor) {
    all_reduce_two_shot(executor, Ring{0, 3});
  });
  CHECK_EQ(test::show(program),
           "send: to 1, send input 1; slice 0\n"
           "send: to 2, send input 2; slice 0\n"
           "wait_input: from 1, receive input 0; slice 0\n"
           "wait_input: from 2, receive input 0; slice 0\n"
           "wait_input: from 0, receive input 0; slice 0\n"
           "reduce_input: from 1, receive output 0; slice 0\n"
           "reduce_input: from 2, receive output 0; slice 0\n"
           "reduce_input: from 0, receive output 0; slice 0\n"
           "post_op: receive output 0; slice 0\n"
           "release_inputs; slice 0\n"
           "send: to 1, send output 0; slice 0\n"
           "send: to 2, send output 0; slice 0\n"
           "receive: from 1, receive output 1; slice 0\n"
           "receive: from 2, receive output 2; slice 0\n");
}

// The parts above, put together as the text has them: what the mutants change is not broken by
// itself.
RINGSIDE_TEST(proof_mutants, two_shot_from_its_parts_holds) {
  for (const bool in_place : {false, true})
    for (const bool exposes : {false, true}) {
      const ProofRules rules{.in_place = in_place, .turns = Turns::eager, .exposes = exposes};
      const Proof proof = prove_parts(
          {send_inputs, look_at_all, fold_all, finish, look_away, send_result, receive_results},
          rules, 2);
      CHECK_MSG(proof.holds, "%s", proof.why.c_str());
    }
}

// Everybody sends before anybody looks: with nowhere for a message to wait, that is a wait cycle.
RINGSIDE_TEST(proof_mutants, two_shot_by_rendezvous_deadlocks) {
  check_violation(t, prove(two_shot_programs(kSize, 1), Kind::all_reduce, 1, {.slots = 0}),
                  test::kNobodyReceives);
  for (int size = 2; size <= kMostProvedRanks; size *= 2)
    CHECK(!prove(two_shot_programs(size, 1), Kind::all_reduce, 1, {.slots = 0}).holds);
}

RINGSIDE_TEST(proof_mutants, two_shot_in_rank_order_has_other_bits) {
  const Part fold_in_rank_order = [](Recorder& executor, const Ring& ring, std::size_t slice) {
    for (int k = 1; k <= ring.size; ++k) executor.reduce_input(ring.rank, k - 1, k, slice);
  };
  check_violation(t,
                  prove_parts({send_inputs, look_at_all, fold_in_rank_order, finish, look_away,
                               send_result, receive_results}),
                  "rank 0 ends with chunk 0 folded as [0 1 2 3]; [1 2 3 0] was promised");
}

// Who does not look away keeps the slots: with one slot step 2 has nowhere to go, and with more the
// first step's message is taken for the second's.
RINGSIDE_TEST(proof_mutants, two_shot_without_looking_away) {
  const std::vector<Part> stares = {send_inputs, look_at_all, fold_all,
                                    finish,      send_result, receive_results};
  check_violation(t, prove_parts(stares, {.slots = 1, .turns = Turns::eager}), test::kNoRoom);
  check_violation(t, prove_parts(stares, {.slots = 2, .turns = Turns::eager}),
                  "rank 3 expects chunk 0 of slice 0 and receives chunk 3 of slice 0");
}

RINGSIDE_TEST(proof_mutants, two_shot_that_looks_away_too_early) {
  check_violation(t,
                  prove_parts({send_inputs, look_at_all, look_away, fold_all, finish, send_result,
                               receive_results}),
                  "rank 3 folds rank 0's chunk 3 after it has looked away");
}

// Out of place the result is not there yet; in place there is something in its stead, the rank's
// own input, which travels and arrives as if it were a result.
RINGSIDE_TEST(proof_mutants, two_shot_that_sends_before_it_folds) {
  const std::vector<Part> hasty = {send_inputs, send_result, look_at_all,    fold_all,
                                   finish,      look_away,   receive_results};
  check_violation(t, prove_parts(hasty, {.slots = 2, .turns = Turns::eager}),
                  "rank 0 sends chunk 0, which it does not have");
  check_violation(t, prove_parts(hasty, {.slots = 2, .in_place = true, .turns = Turns::eager}),
                  "rank 0 ends with chunk 1 folded as [1]; [2 3 0 1] was promised");
}

// Why exposing in place is right: what rank r exposes to rank p is covered by rank p's result
// alone, and p sends that when he has read. Who reads once more after he has sent reads his own
// result: here rank 0, several times, until the others have it.
RINGSIDE_TEST(proof_mutants, two_shot_in_place_exposes_what_only_its_reader_overwrites) {
  // As a first contribution: that is read and not yet added to anything.
  const Part read_again = [](Recorder& executor, const Ring& ring, std::size_t slice) {
    for (int again = 0; ring.rank == 0 && again < 16; ++again)
      executor.reduce_input(0, 1, 1, slice);
  };
  const std::vector<Part> reads_again = {send_inputs, look_at_all, fold_all,  finish,
                                         send_result, read_again,  look_away, receive_results};
  for (const bool in_place : {false, true})
    CHECK(prove_parts(reads_again, {.slots = 2, .in_place = in_place}).holds);
  CHECK(prove_parts(reads_again, {.slots = 2, .exposes = true}).holds);
  check_violation(
      t, prove_parts(reads_again, {.slots = 2, .in_place = true, .exposes = true}),
      "rank 0 reads chunk 0 of slice 0 where rank 1 has exposed it, but there it has been "
      "written over");
}

// In place the first sum covers the own input, which is added last.
RINGSIDE_TEST(proof_mutants, two_shot_sets_its_own_input_aside_before_the_first_fold) {
  const Part look_at_the_others = [](Recorder& executor, const Ring& ring, std::size_t slice) {
    for (int k = 1; k < ring.size; ++k)
      executor.wait_input(ring.after(ring.rank, k), ring.rank, slice);
  };
  const Part fold_and_look = [](Recorder& executor, const Ring& ring, std::size_t slice) {
    for (int k = 1; k <= ring.size; ++k) {
      if (k == ring.size) executor.wait_input(ring.rank, ring.rank, slice);
      executor.reduce_input(ring.rank, ring.after(ring.rank, k), k, slice);
    }
  };
  const std::vector<Part> looks_at_itself_late = {send_inputs,    look_at_the_others, fold_and_look,
                                                  finish,         look_away,          send_result,
                                                  receive_results};
  CHECK(prove_parts(looks_at_itself_late).holds);
  check_violation(t, prove_parts(looks_at_itself_late, {.in_place = true, .turns = Turns::eager}),
                  "rank 0 ends with chunk 0 folded as [1 2 3 (1 2 3)]; [1 2 3 0] was promised");
}

RINGSIDE_TEST(proof_mutants, two_shot_of_another_chunk_than_it_looks_at) {
  const Part fold_another = [](Recorder& executor, const Ring& ring, std::size_t slice) {
    executor.reduce_input(ring.after(ring.rank, 1), ring.after(ring.rank, 1), 1, slice);
  };
  check_violation(t, prove_parts({send_inputs, look_at_all, fold_another}),
                  "rank 3 folds chunk 0 of slice 0, and of rank 0 it looks at chunk 3 of slice 0");
  const Part look_at_another = [](Recorder& executor, const Ring& ring, std::size_t slice) {
    const int wrong = ring.after(ring.rank, 1);
    executor.wait_input(wrong, wrong, slice);
  };
  check_violation(t, prove_parts({send_inputs, look_at_another}),
                  "rank 3 expects chunk 0 of slice 0 and receives chunk 3 of slice 0");
}

}  // namespace ringside
