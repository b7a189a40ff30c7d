// Beyond the ring: operations in which every rank talks to every other, or all to one, over a
// channel of its own between each ordered pair of ranks (the mesh).
//
// What each costs, for n ranks and S bytes that a rank has in all (α a message, B a link's
// bytes/s):
//
//    gather, scatter    (n−1)α at the root, (n−1)/n·S through it
//    all_to_all         (n−1)α, (n−1)/n·S out of each rank and into it
//    reduce             2(n−1)α, (n−1)/n·S on the ring, then (n−1)/n·S into the root
#pragma once

#include <cstddef>

#include "comm/algorithms/ring.h"

namespace ringside {

// Chunk p of the root's output is rank p's input.
template <class Executor, class Ring>
RINGSIDE_HD void gather(Executor& executor, const Ring& ring, int root) {
  for (std::size_t slice = 0; slice < executor.slices(); ++slice) {
    if (ring.rank != root) {
      executor.send(ring.peer(root), Piece{Place::input, ring.rank}, slice);
      continue;
    }
    executor.copy_input(root, slice);
    for (int k = 1; k < ring.size; ++k) {
      const int peer = ring.after(root, k);
      executor.receive(ring.peer(peer), Piece{Place::output, peer, true}, slice);
    }
  }
}

// The other way: rank p's output is chunk p of the root's input.
template <class Executor, class Ring>
RINGSIDE_HD void scatter(Executor& executor, const Ring& ring, int root) {
  for (std::size_t slice = 0; slice < executor.slices(); ++slice) {
    if (ring.rank != root) {
      executor.receive(ring.peer(root), Piece{Place::output, ring.rank, true}, slice);
      continue;
    }
    executor.copy_input(root, slice);
    for (int k = 1; k < ring.size; ++k) {
      const int peer = ring.after(root, k);
      executor.send(ring.peer(peer), Piece{Place::input, peer}, slice);
    }
  }
}

// Chunk q of rank p's input becomes chunk p of rank q's output: a transposition of blocks. In step
// k everybody sends k ranks to the right and receives from k ranks to the left, so no two ranks
// send to the same one at a time.
template <class Executor, class Ring>
RINGSIDE_HD void all_to_all(Executor& executor, const Ring& ring) {
  for (std::size_t slice = 0; slice < executor.slices(); ++slice) {
    executor.copy_input(ring.rank, slice);
    for (int k = 1; k < ring.size; ++k) {
      const int to = ring.after(ring.rank, k);
      const int from = ring.after(ring.rank, ring.size - k);
      executor.exchange(ring.peer(to), Piece{Place::input, to}, ring.peer(from),
                        Piece{Place::output, from, true}, slice);
    }
  }
}

// Reduce = reduce-scatter + gather: the same order of additions as all_reduce, so the same bits.
// Only the root has an output; the others hold their finished chunk in scratch until it is sent.
template <class Executor, class Ring>
RINGSIDE_HD void reduce(Executor& executor, const Ring& ring, int root) {
  const Place mine = ring.rank == root ? Place::output : Place::scratch;
  for (std::size_t slice = 0; slice < executor.slices(); ++slice) {
    reduce_scatter_slice(executor, ring, slice, mine, mine == Place::output);
    if (ring.rank != root) {
      executor.send(ring.peer(root), Piece{Place::scratch, ring.rank}, slice);
      continue;
    }
    for (int k = 1; k < ring.size; ++k) {
      const int peer = ring.after(root, k);
      executor.receive(ring.peer(peer), Piece{Place::output, peer, true}, slice);
    }
  }
}

}  // namespace ringside
