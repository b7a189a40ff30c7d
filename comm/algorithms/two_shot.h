// All-reduce in two steps, for messages between a one-shot's and a ring's.
//
//              step 1: chunk c to rank c         rank c reduces         step 2: to all
//     rank 0   a₀ a₁ a₂   ── a₁ ▶ 1, a₂ ▶ 2      b₀+c₀+a₀ = r₀   ──▶ 1, 2     r₀ r₁ r₂
//     rank 1   b₀ b₁ b₂   ── b₂ ▶ 2, b₀ ▶ 0      c₁+a₁+b₁ = r₁   ──▶ 2, 0     r₀ r₁ r₂
//     rank 2   c₀ c₁ c₂   ── c₀ ▶ 0, c₁ ▶ 1      a₂+b₂+c₂ = r₂   ──▶ 0, 1     r₀ r₁ r₂
//
// As on the ring, all-reduce = reduce-scatter + all-gather, with everybody talking to
// everybody in place of the ring: each half is one step and not n−1. It costs 2α + 2(n−1)/n·S: the
// ring's bytes, which are the fewest, and few waits. What it pays in their stead is memory traffic:
// on a ring a partial sum is computed straight into the neighbour's slot, and here n−2 more
// contributions of each chunk are copied before anybody adds them (unless they are exposed).
//
// Rank c adds its chunk in the ring's rotated order, ((x₍c+1₎ + x₍c+2₎) + …) + x₍c₎, so the bits
// are the ring's.
//
// Its primitives are send and receive, and those of one_shot.h for one piece in place of a whole
// input:
//
//    executor.wait_input(rank, chunk, slice)          waits until the piece of rank's input can be
//                                                     read, where it lies; the own one is set aside
//                                                     as there
//    executor.reduce_input(chunk, from, k, slice)     adds rank `from`'s piece as the k-th
//                                                     contribution
//    executor.release_inputs(slice)                   everything has been read; the slots may be
//                                                     written again
//
// In place, and exposed: rank r exposes its input chunk p to rank p, and in step 2 the finished
// chunk p is written there. Nobody reads what is gone: p sends that only after it has released what
// r exposed. So unlike a one-shot's, these zero-copy messages are right in place too; the prover
// says the same.
//
// As in a one-shot everybody sends before anybody waits for an input, so a message needs a slot to
// wait in. One is enough for any number of slices: step 2's message waits until step 1's has been
// released, for which nobody has to do anything in step 2, and so on from slice to slice.
#pragma once

#include <cstddef>

#include "comm/algorithms/ring.h"

namespace ringside {

// Up to so many bytes the two steps are faster than the ring's 2(n−1); 0: never, as of two ranks,
// whose ring has two steps too. Medians of 3 to 5 runs in turns, out of place, on 2 cores, in µs
// (RINGSIDE_ALGORITHM=ring|two-shot mpirun -n N ./tools/bench --op all_reduce -b 32K -e 256K):
//
//             3 ranks         4 ranks         6 ranks         8 ranks
//            ring   two      ring   two      ring   two      ring   two
//     32K    17.4  14.0      27.8  21.0      53.3  34.8      96.4  59.5
//     64K    27.1  22.6      44.1  40.7      70.8  54.2       131  95.1
//    128K    43.6  40.0      62.0  58.5      96.9  97.2       164   172
//    256K    71.8  75.6       127   107       171   198       336   361
//
// At 128K it is a draw. Buffers that are exposed (allocate.h) would go on winning, up to 8M with 4
// ranks; but whether a buffer can be exposed is each rank's own affair, and all must choose alike.
constexpr std::size_t two_shot_pays_up_to(int size) { return size < 3 ? 0 : std::size_t{64} << 10; }

template <class Executor, class Ring>
RINGSIDE_HD void all_reduce_two_shot(Executor& executor, const Ring& ring) {
  const int own = ring.rank;
  for (std::size_t slice = 0; slice < executor.slices(); ++slice) {
    for (int k = 1; k < ring.size; ++k)
      executor.send(ring.peer(ring.after(own, k)), Piece{Place::input, ring.after(own, k)}, slice);
    for (int k = 1; k <= ring.size; ++k) executor.wait_input(ring.after(own, k), own, slice);
    if (ring.steps() == 0) executor.copy_input(own, slice);
    for (int k = 1; k <= ring.size; ++k) executor.reduce_input(own, ring.after(own, k), k, slice);
    executor.post_op(Piece{Place::output, own}, slice);
    executor.release_inputs(slice);
    for (int k = 1; k < ring.size; ++k)
      executor.send(ring.peer(ring.after(own, k)), Piece{Place::output, own}, slice);
    for (int k = 1; k < ring.size; ++k) {
      const int peer = ring.after(own, k);
      executor.receive(ring.peer(peer), Piece{Place::output, peer, true}, slice);
    }
  }
}

}  // namespace ringside
