// The rule `in_order` (comm/verify/prove.h): all texts on an executor that does one thing after
// another, and computes a sum that goes on straight into its neighbour's slot. A device does.
//
// What is true of it: two slots are enough for every text. One is enough where no sum goes on along
// the ring: for all but all_reduce, reduce_scatter and reduce, and for those too on one or two
// ranks. From three ranks on they stop there, each waiting for its right neighbour to make room for
// a sum, while the message that he would have to read first lies in that very slot.
#include <cstddef>
#include <string>
#include <vector>

#include "tests/support/test.h"
#include "tests/verify/algorithms.h"

namespace ringside {
namespace {

using namespace test;

bool passes_sums_on(Kind kind) {
  return kind == Kind::all_reduce || kind == Kind::reduce_scatter || kind == Kind::reduce;
}

void check_in_order(test::Context& t, Kind kind, const std::vector<Program>& programs,
                    std::size_t slices, ProofRules rules) {
  rules.in_order = true;
  test::check_holds(t, kind, programs, slices, rules);
}

void check_orders(test::Context& t, Kind kind, const std::vector<Program>& programs,
                  std::size_t slices, int slots, int root = 0) {
  for (const int which : {0, 1, 2, 3}) {
    ProofRules rules{
        .slots = slots, .in_place = which % 2 == 1, .root = root, .exposes = which >= 2};
    if (rules.in_place && kind == Kind::all_to_all) continue;
    for (const Turns turns : {Turns::round_robin, Turns::eager, Turns::eager_down, Turns::random}) {
      rules.turns = turns;
      check_in_order(t, kind, programs, slices, rules);
    }
  }
}

}  // namespace

RINGSIDE_TEST(proof, in_order_two_slots_are_enough_for_1_to_64_ranks) {
  for (int size = 1; size <= kMostProvedRanks; ++size) {
    const int slots = 2 + size % 3;
    for (const Kind kind : kSpecified) {
      const int root = size / 2;
      const std::vector<Program> programs = programs_of(kind, size, 2, root);
      const ProofRules rules{.slots = 2, .turns = Turns::eager, .root = root};
      check_in_order(t, kind, programs, 2, rules);
      check_in_order(t, kind, programs, 2, {.slots = slots, .root = root, .exposes = true});
    }
    check_in_order(t, Kind::all_reduce, one_shot_programs(size), 1, {.slots = 2, .in_place = true});
    check_in_order(t, Kind::all_reduce, two_shot_programs(size, 2), 2,
                   {.slots = 2, .in_place = true, .exposes = true});
  }
}

RINGSIDE_TEST(proof, in_order_holds_whoever_runs_first) {
  for (int size = 1; size <= 12; ++size)
    for (int slots = 2; slots <= 5; ++slots) {
      const auto slices = static_cast<std::size_t>(1 + size % 3);
      for (const Kind kind : kSpecified)
        check_orders(t, kind, programs_of(kind, size, slices, size - 1), slices, slots, size - 1);
      check_orders(t, Kind::all_reduce, one_shot_programs(size), 1, slots);
      check_orders(t, Kind::all_reduce, two_shot_programs(size, slices), slices, slots);
    }
}

// Where no sum goes on, one slot is enough.
RINGSIDE_TEST(proof, in_order_one_slot_is_enough_where_no_sum_goes_on) {
  for (int size = 1; size <= 16; ++size) {
    for (const Kind kind : kSpecified)
      if (size <= 2 || !passes_sums_on(kind))
        check_orders(t, kind, programs_of(kind, size, 3), 3, 1);
    check_orders(t, Kind::all_reduce, one_shot_programs(size), 1, 1);
    check_orders(t, Kind::all_reduce, two_shot_programs(size, 3), 3, 1);
  }
}

RINGSIDE_TEST(proof_mutants, in_order_one_slot_deadlocks_where_a_sum_goes_on) {
  for (int size = 3; size <= kMostProvedRanks; ++size)
    for (const Kind kind : kSpecified) {
      if (!passes_sums_on(kind)) continue;
      const Proof proof =
          prove(programs_of(kind, size, 1), kind, 1, {.slots = 1, .in_order = true});
      CHECK_MSG(!proof.holds, "%s of %d ranks holds", name_of(kind), size);
    }
  const Proof proof = prove(programs_of(Kind::all_reduce, 3, 1), Kind::all_reduce, 1,
                            {.slots = 1, .in_order = true});
  CHECK_EQ(proof.why,
           std::string("deadlock: rank 0 waits for rank 1 to make room, rank 1 waits for rank 2 to "
                       "make room, and rank 2 waits for rank 0 to make room"));
  // An executor that does whatever can be done first has no such cycle.
  CHECK(prove(programs_of(Kind::all_reduce, 3, 1), Kind::all_reduce, 1, {.slots = 1}).holds);
}

}  // namespace ringside
