// All-reduce over groups of ranks, where a message inside a group is cheap and one between groups
// is not: hosts of several ranks, say.
//
//     all-reduce = reduce-scatter inside groups + all-reduce across groups + all-gather inside
//
// n = m·G ranks are G groups of m: rank g·m + p is at position p of group g. The buffer is cut into
// n chunks, and rank g·m + p owns chunk p·G + g. For two groups of two, what rank 0 has to do with:
//
//     group 0           group 1           inside: ranks 0 and 1 sum up their group's part; rank 0
//     rank 0 ◀──▶ 1     rank 2 ◀──▶ 3     gets chunks 0 and 1, rank 1 gets chunks 2 and 3
//        ▲        ▲        ▲        ▲     across: ranks 0 and 2 all-reduce chunks 0 and 1
//        └────────┼────────┘        │     inside: ranks 0 and 1 exchange what they have
//                 └─────────────────┘
//
// Both kinds of ring are the functions of ring.h on a PartialRing. Inside, one ring at a time works
// on the m chunks g, G + g, 2G + g, …, for each g in turn.
//
// The order of additions is its own, so the bits are not the ring's. With x(h, i) the contribution
// of position i of group h, chunk c = p·G + g is
//
//     S(h) = ((x(h, p+1) + x(h, p+2)) + …) + x(h, p)           each group's sum, for every h
//     c    = ((S(g+1) + S(g+2)) + …) + S(g)                    their sum
//
// with positions taken modulo m and groups modulo G. It depends on c, m and G, on nothing else.
//
// What it costs: 2(m−1)G messages inside and 2(G−1) between groups, one after another, of S/n each.
// The ring has 2(n−1), about as many, of which some 2G cross between groups; and there all bytes
// cross at one rank of a group, 2(n−1)/n·S of them, while here every rank has a share of that.
#pragma once

#include <cstddef>

#include "comm/algorithms/ring.h"

namespace ringside {

// The rings that a rank is on.
struct Groups {
  Ring all;
  int ranks;  // of a group; a divisor of all.size

  RINGSIDE_HD constexpr int count() const { return all.size / ranks; }
  RINGSIDE_HD constexpr int position() const { return all.rank % ranks; }
  RINGSIDE_HD constexpr int group() const { return all.rank / ranks; }

  // This rank's group, for the chunks that the ranks of group `of` own in the end.
  RINGSIDE_HD constexpr PartialRing inside(int of) const {
    return {{position(), ranks}, group() * ranks, 1, of, count()};
  }
  // The ranks at this one's position, one of each group.
  RINGSIDE_HD constexpr PartialRing across() const {
    return {{group(), count()}, position(), ranks, position() * count(), 1};
  }
  // Of a slice.
  RINGSIDE_HD constexpr int steps() const {
    return 2 * (inside(0).steps() * count() + across().steps());
  }
};

template <class Executor>
RINGSIDE_HD void all_reduce_hierarchical(Executor& executor, const Groups& groups) {
  const PartialRing across = groups.across();
  const bool alone = groups.ranks == 1;
  for (std::size_t slice = 0; slice < executor.slices(); ++slice) {
    for (int g = 0; g < groups.count(); ++g) {
      if (alone) executor.copy_input(across.chunk_of(g), slice);
      reduce_slice(executor, groups.inside(g), slice, Place::output);
    }
    reduce_slice(executor, across, slice, Place::output, false, Place::output);
    executor.post_op(Piece{Place::output, across.chunk_of(across.rank)}, slice);
    all_gather_slice(executor, across, slice, alone);
    for (int g = 0; g < groups.count(); ++g) all_gather_slice(executor, groups.inside(g), slice);
  }
}

}  // namespace ringside
