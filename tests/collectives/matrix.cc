// The matrix: every collective × type × reduction × count × ranks × place × slots × memory, against
// the oracle, to the bit.
//
// Small counts go through the full product: that is where chunks are empty, ranks outnumber
// elements and a message fits its cell. Larger counts, which differ only in how many slices there
// are, meet every type and reduction, but take the other choices in turn.
#include <algorithm>
#include <array>
#include <numeric>

#include "tests/collectives/collective_case.h"
#include "tests/transport/network_transport.h"
#include "tools/support/faulty_transport.h"

using namespace ringside;
using namespace ringside::test;

namespace {

struct Shape {
  std::size_t slot_bytes;
  int slot_count;
  Algorithm algorithm = Algorithm::automatic;
  bool mapped = true;
  bool streams = false;  // whatever it is, also to peers
  Exposing exposing = Exposing::nothing;
};

std::vector<Shape> shapes() {
  const Options defaults;
  using enum Algorithm;
  std::vector<Shape> all = {{8, 1},
                            {64, 1, ring},
                            {64, 2, one_shot},
                            {64, 1, two_shot},
                            {256, 3, ring},
                            {4096, 4},
                            {defaults.slot_bytes, defaults.slot_count},
                            {64, 2, ring, false},
                            {256, 2, ring, true, true},
                            {256, 3, ring, true, false, Exposing::in_turn},
                            {64, 2, one_shot, true, false, Exposing::in_turn},
                            {256, 2, two_shot, true, true, Exposing::in_turn}};
  // The thread sanitizer makes all of this ten times slower; its interest is in who waits for whom.
  if (kUnderTsan || OverRig::routes())
    all = {
        {8, 1},         {64, 2, one_shot},    {64, 2, two_shot},
        {256, 3, ring}, {64, 2, ring, false}, {256, 2, automatic, true, false, Exposing::in_turn}};
  return all;
}

std::vector<std::size_t> small_counts(int ranks) {
  const auto n = static_cast<std::size_t>(ranks);
  std::vector<std::size_t> counts = {0, 1, n - 1, n, n + 1, 7};
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

std::vector<std::size_t> large_counts() {
  return kUnderTsan ? std::vector<std::size_t>{64, 203} : std::vector<std::size_t>{64, 1000, 4099};
}

// A list of cases that gives each new one another seed and another alignment.
class Cases {
 public:
  void add(const Operation& what, bool in_place, int receiver = 0) {
    const auto i = list.size();
    list.push_back({what, in_place, static_cast<int>(i / 2 % 4), receiver, i + 1, i % 5 == 3});
  }
  // In place and not, in turn.
  void add(const Operation& what) { add(what, list.size() % 2 == 0); }
  std::vector<Case> list;
};

void add_reductions(Cases& cases, int ranks, Kind kind) {
  for (const DType dtype : kAllDTypes)
    for (const Reduction reduction : kAllReductions) {
      for (const std::size_t count : small_counts(ranks))
        for (const bool in_place : {false, true})
          cases.add({kind, dtype, reduction, 0, count}, in_place);
      for (const std::size_t count : large_counts()) cases.add({kind, dtype, reduction, 0, count});
    }
}

// Few ranks try every root, many a root in turn.
std::vector<int> roots(const Cases& cases, int ranks) {
  if (ranks > 4) return {static_cast<int>(cases.list.size()) % ranks};
  std::vector<int> all;
  for (int root = 0; root < ranks; ++root) all.push_back(root);
  return all;
}

void add_rooted(Cases& cases, int ranks) {
  for (const DType dtype : kAllDTypes)
    for (const std::size_t count : small_counts(ranks))
      for (const bool in_place : {false, true}) {
        for (const Reduction reduction : kAllReductions)
          for (const int root : roots(cases, ranks))
            cases.add({Kind::reduce, dtype, reduction, root, count}, in_place);
        for (const Kind kind : {Kind::gather, Kind::scatter})
          for (const int root : roots(cases, ranks))
            cases.add({kind, dtype, Reduction::sum, root, count}, in_place);
      }
  for (const DType dtype : kAllDTypes)
    for (const std::size_t count : large_counts())
      for (const Kind kind : {Kind::reduce, Kind::gather, Kind::scatter}) {
        const std::size_t i = cases.list.size();
        const Reduction reduction = kAllReductions[i % kAllReductions.size()];
        const int root = static_cast<int>(i) % ranks;
        cases.add({kind, dtype, kind == Kind::reduce ? reduction : Reduction::sum, root, count});
      }
}

void add_all_to_all(Cases& cases, int ranks) {
  for (const DType dtype : kAllDTypes) {
    for (const std::size_t count : small_counts(ranks))
      cases.add({Kind::all_to_all, dtype, Reduction::sum, 0, count}, false);
    for (const std::size_t count : large_counts())
      cases.add({Kind::all_to_all, dtype, Reduction::sum, 0, count}, false);
  }
}

void add_movements(Cases& cases, int ranks) {
  for (const DType dtype : kAllDTypes) {
    for (const std::size_t count : small_counts(ranks)) {
      for (const bool in_place : {false, true})
        cases.add({Kind::all_gather, dtype, Reduction::sum, 0, count}, in_place);
      for (int root = 0; root < ranks; ++root)
        cases.add({Kind::broadcast, dtype, Reduction::sum, root, count});
    }
    for (const std::size_t count : large_counts()) {
      cases.add({Kind::all_gather, dtype, Reduction::sum, 0, count});
      const int root = static_cast<int>(cases.list.size()) % ranks;
      cases.add({Kind::broadcast, dtype, Reduction::sum, root, count});
    }
    cases.add(Operation{});  // a barrier
  }
}

// Counts of their own for each rank: some empty, one long, sums of every size.
std::vector<std::size_t> ragged_counts(int ranks, std::size_t variant) {
  std::vector<std::size_t> counts;
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(ranks); ++rank)
    counts.push_back(std::array{
        rank,          // 0 1 2 …
        rank % 2 * 7,  // every other one is empty
        rank == variant / 4 % static_cast<std::size_t>(ranks) ? std::size_t{613} : 1 + rank % 2,
        std::size_t{0},  // nobody has anything
    }[variant % 4]);
  return counts;
}

void add_ragged(Cases& cases, int ranks) {
  const auto add = [&](Kind kind, DType dtype, Reduction reduction, std::size_t variant,
                       bool in_place) {
    const std::vector<std::size_t> counts = ragged_counts(ranks, variant);
    const std::size_t sum = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
    cases.add({kind, dtype, reduction, 0, sum, layout_of(counts)}, in_place);
    cases.list.back().counts = counts;
  };
  for (const DType dtype : kAllDTypes)
    for (std::size_t variant = 0; variant < 8; ++variant)
      for (const bool in_place : {false, true}) {
        add(Kind::all_gather_v, dtype, Reduction::sum, variant, in_place);
        for (const Reduction reduction : kAllReductions)
          add(Kind::reduce_scatter_v, dtype, reduction, variant, in_place);
      }
}

void add_pairs(Cases& cases, int ranks) {
  for (int sender = 0; sender < ranks; ++sender)
    for (int receiver = 0; receiver < ranks; ++receiver) {
      if (sender == receiver) continue;
      for (const std::size_t count : {0, 1, 7, 64, 1000}) {
        const DType dtype = kAllDTypes[cases.list.size() % kAllDTypes.size()];
        cases.add({Kind::send_recv, dtype, Reduction::sum, sender, count}, false, receiver);
      }
    }
}

// How many messages a chunk takes. Thousands through one slot, each waited for, are slow on a
// machine with fewer processors than ranks, and show nothing that a hundred do not.
std::size_t slices_of(const Operation& what, int ranks, std::size_t slot_bytes) {
  const bool cut = what.kind == Kind::all_reduce || what.kind == Kind::reduce;
  const std::size_t bytes = what.count * bytes_of(what.dtype);
  return (cut ? bytes / static_cast<std::size_t>(ranks) : bytes) / slot_bytes;
}

// With `keep` only every so manieth case, others for each shape.
void run_matrix(Context& t, int ranks, std::size_t keep = 1) {
  Cases cases;
  add_reductions(cases, ranks, Kind::all_reduce);
  add_reductions(cases, ranks, Kind::reduce_scatter);
  add_movements(cases, ranks);
  add_rooted(cases, ranks);
  add_all_to_all(cases, ranks);
  add_ragged(cases, ranks);
  add_pairs(cases, ranks);
  const std::vector<Expectation> all = expect_all(cases.list, ranks);
  constexpr std::size_t kSlicesMax = 130;
  std::size_t next = 0;  // of those to keep
  for (const Shape& shape : shapes()) {
    std::vector<Case> chosen;
    std::vector<Expectation> expected;
    for (std::size_t i = next++ % keep; i < all.size(); i += keep) {
      if (slices_of(cases.list[i].what, ranks, shape.slot_bytes) > kSlicesMax) continue;
      chosen.push_back(cases.list[i]);
      expected.push_back(all[i]);
    }
    Options options = with_slots(shape.slot_bytes, shape.slot_count);
    options.algorithm = shape.algorithm;
    if (shape.streams) options.stream_from_bytes = 0, options.stores = StoreChoice::streaming;
    if (!shape.mapped) options.decorate = unmapped();
    // All that does not fit a cell is exposed.
    if (shape.exposing != Exposing::nothing) options.zero_copy_from_bytes = 1;
    run_cases(t, ranks, options, chosen, expected, shape.exposing);
  }
}

void run_over_network(Context& t, int ranks) {
  for (const NetworkRig& rig : rigs()) {
    OverRig over(rig);
    run_matrix(t, ranks, kUnderTsan ? 37 : 11);
  }
}

}  // namespace

// A test for each number of ranks, so that they may run side by side.
RINGSIDE_TEST(collectives, matrix_of_1_rank) { run_matrix(t, 1); }
RINGSIDE_TEST(collectives, matrix_of_2_ranks) { run_matrix(t, 2); }
RINGSIDE_TEST(collectives, matrix_of_3_ranks) { run_matrix(t, 3); }
RINGSIDE_TEST(collectives, matrix_of_4_ranks) { run_matrix(t, 4); }
RINGSIDE_TEST(collectives, matrix_of_5_ranks) { run_matrix(t, 5); }
RINGSIDE_TEST(collectives, matrix_of_6_ranks) {
  if (test::kSanitized) SKIP("sanitizers look at 1 to 5 ranks, and at 8");
  run_matrix(t, 6);
}
RINGSIDE_TEST(collectives, matrix_of_7_ranks) {
  if (test::kSanitized) SKIP("sanitizers look at 1 to 5 ranks, and at 8");
  run_matrix(t, 7);
}
RINGSIDE_TEST(collectives, matrix_of_8_ranks) { run_matrix(t, 8); }

// Transports by the pair: the network between all ranks, and beside shared memory.
RINGSIDE_TEST(network, matrix_of_2_ranks) { run_over_network(t, 2); }
RINGSIDE_TEST(network, matrix_of_3_ranks) { run_over_network(t, 3); }
RINGSIDE_TEST(network, matrix_of_4_ranks) { run_over_network(t, 4); }
RINGSIDE_TEST(network, matrix_of_5_ranks) { run_over_network(t, 5); }
