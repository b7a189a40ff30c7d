// The ring. All-reduce = reduce-scatter + all-gather.
//
// n ranks sit in a circle. Each sends only to its right neighbour and receives only from its left
// one. The buffer is cut into n chunks. For n = 3, with a b c the contributions of rank 0 1 2 to a
// chunk:
//
//                   rank 0            rank 1            rank 2
//    chunk          0    1    2       0    1    2       0    1    2
//                   a    a    a       b    b    b       c    c    c
//
//    reduce-scatter: in step s, rank r sends chunk r−1−s to the right and adds its own
//    contribution to what it receives. Afterwards rank r owns chunk r.
//      step 0       ·    ·   ca       ab   ·    ·       ·   bc    ·
//      step 1     [bca]  ·    ·       ·  [cab]  ·       ·    ·  [abc]
//
//    all-gather: in step s, rank r sends chunk r−s to the right and keeps what it receives.
//      step 0      bca   ·  [abc]   [bca] cab   ·       ·  [cab] abc
//      step 1      bca [cab] abc     bca  cab [abc]   [bca] cab  abc
//
// In 2(n−1) steps each rank sends 2(n−1)/n of the buffer, and no algorithm whose links carry plain
// data sends less (Patarasuk & Yuan, JPDC 2009). The two halves have n−1 steps each.
//
// The order of additions: chunk c starts on rank c+1 and ends on rank c, so its value is the left
// fold ((x₍c+1₎ + x₍c+2₎) + …) + x₍c₎: the rotated order. It depends on c and n, on nothing else.
//
// The functions here say what one rank does, in the words of a Executor; who carries the words out
// is the executor's business: host_executor.h moves bytes, record_lane.h writes the words down,
// prover.h moves symbols.
//
//    executor.exchange_reduce(send, receive, slice)
//        sends one piece to the right while receiving another from the left; `receive` becomes
//        received + own input
//    executor.exchange(send, receive, slice)
//        the same; `receive` becomes what was received
//    executor.send(piece, slice), executor.receive(piece, slice)
//        one half alone
//    executor.finish(piece, slice)
//        the reduction of this piece is complete (AVG divides here)
//    executor.keep(chunk, slice)
//        output = own input: a contribution that does not travel
//
// Why one joint primitive and not a send and then a receive: slots are bounded. If every rank waits
// for its send to complete before it looks at what has come, all wait for each other and nobody
// makes room. (The prover shows this deadlock, tests/verify/ring_mutants.cc.) And only a joint
// primitive lets an executor fuse the two halves.
#pragma once

#include <cstddef>

#include "kernels/hd.h"

namespace ringside {

// Which chunk, when. Pure arithmetic; chunk numbers are taken modulo the ring's size.
struct Ring {
  int rank = 0;
  int size = 1;

  RINGSIDE_HD constexpr int steps() const { return size - 1; }
  RINGSIDE_HD constexpr int right() const { return wrap(rank + 1); }
  RINGSIDE_HD constexpr int left() const { return wrap(rank - 1); }
  RINGSIDE_HD constexpr int after(int position, int steps) const { return wrap(position + steps); }

  RINGSIDE_HD constexpr int reduce_send(int step) const { return wrap(rank - 1 - step); }
  RINGSIDE_HD constexpr int reduce_receive(int step) const { return wrap(rank - 2 - step); }
  RINGSIDE_HD constexpr int gather_send(int step) const { return wrap(rank - step); }
  RINGSIDE_HD constexpr int gather_receive(int step) const { return wrap(rank - 1 - step); }

 private:
  RINGSIDE_HD constexpr int wrap(int position) const { return (position % size + size) % size; }
};

// What is received in the last step of the reduce-scatter is the chunk that the rank owns.
static_assert(Ring{1, 3}.reduce_receive(Ring{1, 3}.steps() - 1) == 1);

// Where a piece of data is. `carry` is a partial sum on its way: it belongs to the executor, which
// may keep it wherever the next step finds it, even in the neighbour's slot. There is one at a
// time. `kept` is a finished sum that does not go on along the ring and has no place in this rank's
// output (mesh.h).
enum class Place : unsigned char { input, partial, output, scratch };

// A received piece `rests` if it is where it belongs and this rank does not read it again in the
// call. It says nothing about what is done, but an executor may keep such bytes out of its caches.
struct Piece {
  constexpr Piece() = default;
  RINGSIDE_HD constexpr Piece(Place where, int which, bool is_at_rest = false)
      : place(where), streaming(is_at_rest), chunk(which) {}

  Place place = Place::input;
  bool streaming = false;
  int chunk = 0;
};
static_assert(sizeof(Piece) == 8, "words pass it in a register");

// In a chunk's place: all of them, as one_shot.h shows them.
inline constexpr int kWholeInput = -1;

// One slice of a reduce-scatter: afterwards rank r's output chunk r holds every rank's
// contribution.
template <class Executor, class Ring>
RINGSIDE_HD void reduce_scatter_slice(Executor& executor, const Ring& ring, std::size_t slice,
                                      Place result = Place::output, bool streaming = false) {
  if (ring.steps() == 0) executor.copy_input(ring.rank, slice);
  for (int step = 0; step < ring.steps(); ++step) {
    const bool first = step == 0;
    const bool last = step == ring.steps() - 1;
    executor.exchange_reduce(
        Piece{first ? Place::input : Place::partial, ring.reduce_send(step)},
        Piece{last ? result : Place::partial, ring.reduce_receive(step), last && streaming}, slice);
  }
  executor.post_op(Piece{result, ring.rank}, slice);
}

// One slice of an all-gather: takes output chunk r of each rank r to the output of all.
template <class Executor, class Ring>
RINGSIDE_HD void all_gather_slice(Executor& executor, const Ring& ring, std::size_t slice) {
  for (int step = 0; step < ring.steps(); ++step)
    executor.exchange(Piece{Place::output, ring.gather_send(step)},
                      Piece{Place::output, ring.gather_receive(step), step == ring.steps() - 1},
                      slice);
}

template <class Executor, class Ring>
RINGSIDE_HD void reduce_scatter(Executor& executor, const Ring& ring) {
  for (std::size_t slice = 0; slice < executor.slices(); ++slice)
    reduce_scatter_slice(executor, ring, slice, Place::output, true);
}

template <class Executor, class Ring>
RINGSIDE_HD void all_gather(Executor& executor, const Ring& ring) {
  for (std::size_t slice = 0; slice < executor.slices(); ++slice) {
    executor.copy_input(ring.rank, slice);
    all_gather_slice(executor, ring, slice);
  }
}

// The sentence, as code.
template <class Executor, class Ring>
RINGSIDE_HD void all_reduce(Executor& executor, const Ring& ring) {
  for (std::size_t slice = 0; slice < executor.slices(); ++slice) {
    reduce_scatter_slice(executor, ring, slice);
    all_gather_slice(executor, ring, slice);
  }
}

// From the root to the right, rank by rank, up to the root's left neighbour. A chain, so nobody
// waits in a circle; slices follow each other along it, so a long buffer is on all links at once.
// The whole buffer is chunk 0.
template <class Executor, class Ring>
RINGSIDE_HD void broadcast(Executor& executor, const Ring& ring, int root) {
  const bool is_root = ring.rank == root;
  const bool passes_on = ring.steps() > 0 && ring.right() != root;
  for (std::size_t slice = 0; slice < executor.slices(); ++slice) {
    if (is_root)
      executor.copy_input(0, slice);
    else
      executor.receive(Piece{Place::output, 0, !passes_on}, slice);
    if (passes_on) executor.send(Piece{Place::output, 0}, slice);
  }
}

// Nobody leaves an all-gather before hearing of everyone else, even if there is nothing to gather.
template <class Executor, class Ring>
RINGSIDE_HD void barrier(Executor& executor, const Ring& ring) {
  all_gather(executor, ring);
}

}  // namespace ringside
