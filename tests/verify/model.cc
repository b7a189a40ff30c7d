// The model checker: every interleaving of small worlds holds, every mistake made on purpose is
// found, and where the prover has something to say about the same question the two agree.
//
// How many states there are is printed by tests/programs/model_check.cc, with the time they take.
#include "comm/verify/model/explore.h"

#include <cstddef>
#include <string>
#include <vector>

#include "comm/error.h"
#include "tests/collectives/collective_case.h"
#include "tests/support/test.h"
#include "tests/verify/model_worlds.h"

namespace ringside {
namespace {

using test::kChain;
using test::kPairs;
using test::lesson_of;
using test::Operations;
using test::operations_of;
using test::PairOfOperations;
using test::programs_of;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSlow = true;
#else
constexpr bool kSlow = test::kUnderTsan;
#endif

ModelRules rules_of(int slots, Bug bug = Bug::none, bool in_cells = false) {
  return {.slots = slots, .in_cells = in_cells, .bug = bug};
}

bool is_too_large(int ranks, int slots) {
  return test::is_too_large(ranks, slots) || (kSlow && ranks > 2 && ranks + slots > 4);
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace

RINGSIDE_TEST(model, every_interleaving_of_2_to_4_ranks_holds) {
  for (const PairOfOperations& pair : kPairs)
    for (int ranks = 2; ranks <= kModelRanks; ++ranks)
      for (int slots = 1; slots <= kModelSlots; ++slots) {
        if (is_too_large(ranks, slots)) continue;
        const Exploration found = explore(operations_of(pair, ranks, slots), rules_of(slots));
        CHECK_MSG(found.holds, "%s, %d ranks, %d slots:\n%s", pair.name, ranks, slots,
                  joined(found.lesson).c_str());
        CHECK(found.why.empty() && found.lesson.empty() && found.states > 20);
      }
}

// Small messages travel in their cells, beside their flags.
RINGSIDE_TEST(model, messages_in_cells_hold) {
  for (const PairOfOperations& pair : kPairs)
    for (int ranks = 2; ranks <= kModelRanks; ++ranks)
      for (int slots = 1; slots <= kModelSlots; ++slots)
        if (!is_too_large(ranks, slots))
          CHECK(explore(operations_of(pair, ranks, slots), rules_of(slots, Bug::none, true)).holds);
}

// --- beside the prover ---

RINGSIDE_TEST(model, agrees_with_the_proof_where_it_holds) {
  for (const Kind kind :
       {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather, Kind::broadcast})
    for (int ranks = 2; ranks <= 3; ++ranks)
      for (std::size_t slices = 1; slices <= 2; ++slices)
        for (int slots = 1; slots <= 3; ++slots) {
          if (is_too_large(ranks, slots)) continue;
          const std::vector<Program> programs = programs_of(kind, ranks, slices);
          CHECK(prove(programs, kind, slices, {.slots = slots}).holds);
          CHECK(explore({programs}, rules_of(slots)).holds);
        }
}

RINGSIDE_TEST(model, agrees_with_the_proof_on_deadlocks) {
  for (int ranks = 2; ranks <= 3; ++ranks)
    for (std::size_t slices = 1; slices <= 3; ++slices)
      for (int slots = 1; slots <= 3; ++slots) {
        if (is_too_large(ranks, slots)) continue;
        const auto programs = record_all(ranks, slices, test::send_then_receive);
        const Proof proof = prove(programs, Kind::all_gather, slices, {.slots = slots});
        const Exploration found = explore({programs}, rules_of(slots));
        CHECK_EQ(found.holds, slices <= static_cast<std::size_t>(slots));
        CHECK_EQ(found.holds, proof.holds);
        CHECK_EQ(found.why, proof.why);
      }
}

// What the proof finds under some order of turns, the model finds among all of them.
RINGSIDE_TEST(model, finds_what_the_proof_finds_under_some_order) {
  for (const Kind kind : {Kind::all_reduce, Kind::all_gather, Kind::broadcast})
    for (int ranks = 2; ranks <= 4; ++ranks)
      for (int slots = 1; slots <= 3; ++slots) {
        if (is_too_large(ranks, slots)) continue;
        const auto programs = programs_of(kind, ranks, 4);
        bool proved = true;
        for (const Turns turns : {Turns::round_robin, Turns::eager, Turns::eager_down})
          proved &=
              prove(programs, kind, 4, {.slots = slots, .turns = turns, .ignore_credit = true})
                  .holds;
        const Exploration found = explore({programs}, rules_of(slots, Bug::ignore_credit));
        CHECK_MSG(found.holds == proved, "%d ranks, %d slots, claim %d: %s", ranks, slots,
                  static_cast<int>(kind), found.why.c_str());
      }
}

// On a ring each rank waits for its left neighbour, and so, all around the ring, for itself: nobody
// is more than a round ahead, and n slots are enough with no credit at all. With fewer it is
// needed.
RINGSIDE_TEST(model, a_ring_needs_credit_only_below_n_slots) {
  for (int ranks = 2; ranks <= 4; ++ranks)
    for (int slots = 1; slots <= 3; ++slots) {
      if (ranks == 4 ? slots > 1 : kSlow && ranks + slots > 5) continue;
      const Exploration found =
          explore({programs_of(Kind::all_reduce, ranks, 1)}, rules_of(slots, Bug::ignore_credit));
      CHECK_MSG(found.holds == (slots >= ranks), "%d ranks, %d slots: %s", ranks, slots,
                found.why.c_str());
    }
}

RINGSIDE_TEST(model, says_what_it_cannot_do) {
  const auto sentence = [](const Operations& operations, int slots) -> std::string {
    try {
      explore(operations, {.slots = slots});
    } catch (const Error& error) {
      return error.fault() == Fault::usage ? error.what() : "another fault";
    }
    return "";
  };
  const auto ring_of = [](int ranks) { return programs_of(Kind::all_gather, ranks, 1); };
  CHECK_EQ(sentence({ring_of(2)}, 4), "the model has 1 to 3 slots, not 4");
  CHECK_EQ(sentence({ring_of(5)}, 1), "the model has operations of 2 to 4 ranks");
  CHECK_EQ(sentence({ring_of(2), ring_of(3)}, 1), "the model has operations of 2 to 4 ranks");
  CHECK_EQ(sentence({}, 1), "the model has at least one operation");
  CHECK_EQ(sentence({programs_of(Kind::gather, 3, 1)}, 1),
           "the model knows the ring's primitives only");
}

// --- mistakes made on purpose ---

RINGSIDE_TEST(model_mutants, every_mistake_is_found) {
  for (const NamedBug& mistake : kBugs)
    for (int slots = 1; slots <= kModelSlots; ++slots)
      for (const bool in_cells : {false, true}) {
        const Exploration found = lesson_of(mistake.bug, slots, in_cells);
        CHECK_MSG(!found.holds, "%s, %d slots: nobody noticed", mistake.name, slots);
        for (int ranks = 2; ranks <= (kSlow ? 3 : 4); ++ranks)
          CHECK(!explore(operations_of(kChain, ranks, slots),
                         rules_of(slots, mistake.bug, in_cells))
                     .holds);
      }
}

RINGSIDE_TEST(model_mutants, each_mistake_is_named_by_its_harm) {
  const struct {
    Bug bug;
    int slots;
    const char* why;
  } kHarms[] = {
      {Bug::ignore_credit, 2,
       "rank 0 writes message 3 into slot 0 of rank 1, in which message 1 is not yet read"},
      {Bug::one_slot_too_many, 3,
       "rank 0 writes message 4 into slot 0 of rank 1, in which message 1 is not yet read"},
      {Bug::credit_too_high, 1, "rank 0 is given credit for message 2, and has sent 1 only"},
      {Bug::late_batch, 2,
       "deadlock: rank 0 waits for rank 1 to make room, and rank 1 waits for rank 0 to send"},
      {Bug::no_credit, 3,
       "deadlock: rank 0 waits for rank 1 to make room, and rank 1 waits for rank 0 to send"},
      {Bug::early_release, 2,
       "rank 0 writes message 3 into slot 0 of rank 1, in which message 1 is still being read"},
      {Bug::missing_release, 2, "rank 1 reads message 1 a second time, and takes it for message 2"},
      {Bug::signal_before_put, 1,
       "rank 1 reads a slot that nothing was written to, and takes it for message 1"},
      {Bug::no_sequence, 2, "rank 1 reads message 1 a second time, and takes it for message 3"},
  };
  static_assert(std::size(kHarms) == std::size(kBugs));
  for (const auto& harm : kHarms) CHECK_EQ(lesson_of(harm.bug, harm.slots).why, harm.why);
}

RINGSIDE_TEST(model_mutants, a_lesson_tells_every_step) {
  CHECK_EQ(joined(lesson_of(Bug::early_release, 1).lesson),
           "rank 0 sends message 1, for slot 0 of rank 1\n"
           "message 1 begins to be written into slot 0 of rank 1\n"
           "message 1 lies whole in slot 0 of rank 1\n"
           "rank 1 can see the flag of message 1\n"
           "rank 1 sees the flag of message 1, releases its slot and begins to read\n"
           "rank 0 can see credit for message 1\n"
           "rank 0 sends message 2, for slot 0 of rank 1\n"
           "rank 0 writes message 2 into slot 0 of rank 1, in which message 1 is still being "
           "read\n");
}

}  // namespace ringside
