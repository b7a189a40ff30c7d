// The hierarchical all-reduce (comm/algorithms/hierarchical.h), proved for 1 to 8 groups of 1 to 8
// ranks, and what the proof must refute in algorithms that are almost it.
#include <cstddef>
#include <string>
#include <vector>

#include "comm/algorithms/hierarchical.h"
#include "tests/support/test.h"
#include "tests/verify/algorithms.h"

namespace ringside {
namespace {

std::vector<Program> hierarchical_programs(int ranks, int groups, std::size_t slices) {
  return record_all(ranks * groups, slices, [&](Recorder& executor, const Ring& ring) {
    all_reduce_hierarchical(executor, Groups{ring, ranks});
  });
}

void check_holds(test::Context& t, int ranks, int groups, ProofRules rules) {
  constexpr std::size_t kSlices = 2;
  rules.group_ranks = ranks;
  const Proof proof = test::check_holds(
      t, Kind::all_reduce, hierarchical_programs(ranks, groups, kSlices), kSlices, rules);
  const int steps = Groups{{0, ranks * groups}, ranks}.steps();
  CHECK_EQ(steps, 2 * ((ranks - 1) * groups + groups - 1));
  CHECK_EQ(proof.messages, static_cast<std::size_t>(ranks * groups * steps) * kSlices);
}

// The rings that a rank is on, one of them wrong.
Proof prove_mutant(PartialRing (*inside)(const Groups&, int), PartialRing (*across)(const Groups&),
                   Place own) {
  const auto programs = record_all(4, 1, [&](Recorder& executor, const Ring& ring) {
    const Groups groups{ring, 2};
    for (int g = 0; g < 2; ++g) reduce_slice(executor, inside(groups, g), 0, Place::output);
    reduce_slice(executor, across(groups), 0, Place::output, false, own);
    executor.post_op(Piece{Place::output, across(groups).chunk_of(groups.group())}, 0);
    all_gather_slice(executor, across(groups), 0);
    for (int g = 0; g < 2; ++g) all_gather_slice(executor, inside(groups, g), 0);
  });
  return prove(programs, Kind::all_reduce, 1, {.slots = 2, .group_ranks = 2});
}

PartialRing true_inside(const Groups& groups, int of) { return groups.inside(of); }
PartialRing true_across(const Groups& groups) { return groups.across(); }

}  // namespace

RINGSIDE_TEST(proof, hierarchical_for_1_to_8_groups_of_1_to_8_ranks) {
  for (int ranks = 1; ranks <= 8; ++ranks)
    for (int groups = 1; groups <= 8 && ranks * groups <= test::kMostProvedRanks; ++groups)
      for (const bool in_place : {false, true}) {
        check_holds(t, ranks, groups, {.slots = 1, .in_place = in_place, .turns = Turns::eager});
        check_holds(t, ranks, groups, {.slots = 3, .in_place = in_place, .exposes = true});
      }
}

RINGSIDE_TEST(proof, hierarchical_holds_whoever_runs_first) {
  for (int ranks = 1; ranks <= 4; ++ranks)
    for (int groups = 1; groups <= 4; ++groups)
      for (const Turns turns : {Turns::round_robin, Turns::eager, Turns::eager_down, Turns::random})
        for (int slots = 0; slots <= 3; ++slots)
          for (const bool exposes : {false, true}) {
            ProofRules rules{.slots = slots, .in_place = true, .turns = turns, .exposes = exposes};
            check_holds(t, ranks, groups, rules);
            rules.in_order = true;
            if (slots >= 2) check_holds(t, ranks, groups, rules);
          }
}

// Its fold is stated, and is neither the ring's nor that of other groups.
RINGSIDE_TEST(proof, hierarchical_adds_sums_of_groups) {
  const auto programs = hierarchical_programs(2, 2, 1);
  CHECK_EQ(prove(programs, Kind::all_reduce, 1, {}).why,
           std::string("rank 0 ends with chunk 0 folded as [3 2 (1 0)]; [1 2 3 0] was promised"));
  CHECK_EQ(prove(programs, Kind::all_reduce, 1, {.group_ranks = 4}).why,
           std::string("rank 0 ends with chunk 0 folded as [3 2 (1 0)]; [1 2 3 0] was promised"));
  CHECK(prove(programs, Kind::all_reduce, 1, {.group_ranks = 2}).holds);
}

RINGSIDE_TEST(proof, hierarchical_with_one_group_or_groups_of_one_is_a_ring) {
  for (const int ranks : {1, 5})
    test::check_holds(t, Kind::all_reduce, hierarchical_programs(ranks, 6 - ranks, 1), 1,
                      {.slots = 2});
}

RINGSIDE_TEST(proof_mutants, hierarchical_mistakes_are_named) {
  CHECK(prove_mutant(true_inside, true_across, Place::output).holds);
  // Across, each rank adds its own input in place of its group's sum.
  CHECK_EQ(prove_mutant(true_inside, true_across, Place::input).why,
           std::string("rank 0 ends with chunk 0 folded as [2 0]; [3 2 (1 0)] was promised"));
  // Inside, a rank takes the group after its own for its own.
  const auto other_group = [](const Groups& groups, int of) {
    PartialRing ring = groups.inside(of);
    ring.first_rank = (ring.first_rank + 2) % 4;
    return ring;
  };
  CHECK(!prove_mutant(other_group, true_across, Place::output).holds);
  // Across, the chunks of another position.
  const auto other_chunks = [](const Groups& groups) {
    PartialRing ring = groups.across();
    ring.first_chunk = 2 - ring.first_chunk;
    return ring;
  };
  CHECK_EQ(prove_mutant(true_inside, other_chunks, Place::output).why,
           std::string("rank 0 sends chunk 3, which it does not have"));
}

}  // namespace ringside
