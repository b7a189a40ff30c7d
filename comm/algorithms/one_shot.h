// All-reduce in one step, for small messages: everybody sends everybody everything.
//
//     rank 0   x₀ ──▶ 1, 2          each rank then has x₀ x₁ x₂ in its own slots and adds up
//     rank 1   x₁ ──▶ 2, 0          each chunk itself, in the order in which the ring would:
//     rank 2   x₂ ──▶ 0, 1          chunk c is ((x₍c+1₎ + x₍c+2₎) + …) + x₍c₎
//
// The ring takes 2(n−1) messages one after another, and each waits for the one before. Here n−1
// messages leave at once and nobody waits for more than one of them: about α instead of 2(n−1)α.
// The price is (n−1)·S bytes into each rank instead of 2(n−1)/n·S, and n−1 times the additions. So
// it is for messages whose bytes cost nothing next to α; one_shot_pays_up_to() says up to where.
//
// Each rank reduces every chunk in the ring's rotated order, so the bits are the ring's: choosing
// this algorithm changes when a result is there and never what it is.
//
// Its primitives, for messages of at most a slot:
//
//    executor.send_input(peer)               sends this rank's whole input to a peer
//    executor.wait_input(rank)               waits until the rank's whole input can be read, where
//                                            it lies; the own one is set aside where the output is
//                                            about to cover it
//    executor.reduce_input(chunk, from, k)   adds rank `from`'s chunk as the k-th contribution to
//                                            output `chunk`
//    executor.release_inputs()               everything has been read; the slots may be written
//                                            again
//
// Everybody sends before anybody waits for an input, so a message needs a slot to wait in: unlike
// the ring this would not work by rendezvous, and the prover says so. And everybody waits for all
// inputs before the first addition, as in place the first sums already cover the own input.
#pragma once

#include <cstddef>

#include "comm/algorithms/ring.h"

namespace ringside {

// Up to so many bytes one step of (n−1)·S bytes is faster than 2(n−1) steps of S/n.
constexpr std::size_t one_shot_pays_up_to(int size) {
  return (std::size_t{64} << 10) / static_cast<std::size_t>(size);
}

template <class Executor, class Ring>
RINGSIDE_HD void all_reduce_one_shot(Executor& executor, const Ring& ring) {
  for (int k = 1; k < ring.size; ++k) executor.send_input(ring.after(ring.rank, k));
  for (int k = 1; k <= ring.size; ++k) executor.wait_input(ring.after(ring.rank, k));
  if (ring.steps() == 0) executor.copy_input(ring.rank, 0);
  for (int chunk = 0; chunk < ring.size; ++chunk) {
    for (int k = 1; k <= ring.size; ++k) executor.reduce_input(chunk, ring.after(chunk, k), k);
    executor.post_op(Piece{Place::output, chunk}, 0);
  }
  executor.release_inputs();
}

}  // namespace ringside
