// The ring. All-reduce = reduce-scatter + all-gather.
//
// n ranks form a circle. Each sends only to its right neighbour and receives only from its left
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
//    all-gather: in step s, rank r sends chunk r−s to the right and stores what it receives.
//      step 0      bca   ·  [abc]   [bca] cab   ·       ·  [cab] abc
//      step 1      bca [cab] abc     bca  cab [abc]   [bca] cab  abc
//
// In 2(n−1) steps each rank sends 2(n−1)/n of the buffer, and no algorithm whose links carry plain
// data sends less (Patarasuk & Yuan, JPDC 2009). The two halves have n−1 steps each.
//
// The order of additions: chunk c starts on rank c+1 and ends on rank c, so its value is the left
// fold ((x₍c+1₎ + x₍c+2₎) + …) + x₍c₎: the rotated order. It depends on c and n, on nothing else.
//
// The functions here say what one rank does, as calls of an executor's primitives. How they are
// carried out is the executor's business: the host executor moves bytes (comm/host/executor.h), the
// recorder writes the calls down (program.h), and the prover moves symbols (comm/verify/prove.h).
//
//    executor.exchange_reduce(to, send, from, receive, slice, own)
//        sends one piece to a peer while receiving another from a peer; `receive` becomes received
//        + this rank's own part, which is in `own` (its input, unless said otherwise). A partial
//        sum that is received goes on to `to` in the next step
//    executor.exchange(to, send, from, receive, slice)
//        the same; `receive` becomes what was received
//    executor.send(to, piece, slice), executor.receive(from, piece, slice)
//        one half alone
//    executor.post_op(piece, slice)
//        the reduction of this piece is complete (AVG divides here)
//    executor.copy_input(chunk, slice)
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

// The kinds of channel that messages travel on (comm/peers/peers.h): from each rank to its right
// neighbour; for collectives, and for send and recv, between each ordered pair of ranks.
enum class Connection : unsigned char { ring, mesh, messages };

// Whom a primitive sends to or receives from, and on which channel.
struct Peer {
  int rank = -1;
  Connection connection = Connection::mesh;
};
static_assert(sizeof(Peer) == 8, "primitives pass it in a register");

// A ring is a value: an ordered list of ranks, and which chunk each of them owns. This is the ring
// of all ranks in their order, where position, rank and chunk are the same number. Its neighbours
// have channels of their own.
struct Ring {
  int rank = 0;  // this rank's position
  int size = 1;

  RINGSIDE_HD constexpr int steps() const { return size - 1; }
  RINGSIDE_HD constexpr int after(int position, int steps) const { return wrap(position + steps); }

  // From a position to its rank, and to its chunk.
  RINGSIDE_HD constexpr Peer right() const { return {after(rank, 1), Connection::ring}; }
  RINGSIDE_HD constexpr Peer left() const { return {after(rank, -1), Connection::ring}; }
  RINGSIDE_HD constexpr Peer peer(int position) const { return {position}; }
  RINGSIDE_HD constexpr int chunk_of(int position) const { return position; }

  // Which chunk, when.
  RINGSIDE_HD constexpr int reduce_send(int step) const { return wrap(rank - 1 - step); }
  RINGSIDE_HD constexpr int reduce_receive(int step) const { return wrap(rank - 2 - step); }
  RINGSIDE_HD constexpr int gather_send(int step) const { return wrap(rank - step); }
  RINGSIDE_HD constexpr int gather_receive(int step) const { return wrap(rank - 1 - step); }

 private:
  // Positions are at most a round off, and two divisions by a variable would cost 10 ns.
  RINGSIDE_HD constexpr int wrap(int position) const {
    while (position < 0) position += size;
    while (position >= size) position -= size;
    return position;
  }
};

// What is received in the last step of the reduce-scatter is the chunk that the rank owns.
static_assert(Ring{1, 3}.reduce_receive(Ring{1, 3}.steps() - 1) == 1);

// A ring of some of the ranks: position p is rank first_rank + p·rank_stride and owns chunk
// first_chunk + p·chunk_stride. Its messages travel on the mesh.
struct PartialRing : Ring {
  int first_rank = 0;
  int rank_stride = 1;
  int first_chunk = 0;
  int chunk_stride = 1;

  RINGSIDE_HD constexpr Peer peer(int position) const {
    return {first_rank + position * rank_stride};
  }
  RINGSIDE_HD constexpr int chunk_of(int position) const {
    return first_chunk + position * chunk_stride;
  }
  RINGSIDE_HD constexpr Peer right() const { return peer(after(rank, 1)); }
  RINGSIDE_HD constexpr Peer left() const { return peer(after(rank, -1)); }
  RINGSIDE_HD constexpr int reduce_send(int step) const {
    return chunk_of(Ring::reduce_send(step));
  }
  RINGSIDE_HD constexpr int reduce_receive(int step) const {
    return chunk_of(Ring::reduce_receive(step));
  }
  RINGSIDE_HD constexpr int gather_send(int step) const {
    return chunk_of(Ring::gather_send(step));
  }
  RINGSIDE_HD constexpr int gather_receive(int step) const {
    return chunk_of(Ring::gather_receive(step));
  }
};

// Where a piece of data is. `partial` is a partial sum on its way: it belongs to the executor,
// which may leave it wherever the next step finds it, even in the neighbour's slot. There is one at
// a time. `scratch` is a finished sum that does not go on along the ring and has no place in this
// rank's output (mesh.h).
enum class Place : unsigned char { input, partial, output, scratch };

// A received piece is `streaming` if it is where it belongs and this rank does not read it again in
// the call. It says nothing about what is done, but an executor may keep such bytes out of its
// caches.
struct Piece {
  constexpr Piece() = default;
  RINGSIDE_HD constexpr Piece(Place where, int which, bool is_streaming = false)
      : place(where), streaming(is_streaming), chunk(which) {}

  Place place = Place::input;
  bool streaming = false;
  int chunk = 0;
};
static_assert(sizeof(Piece) == 8, "primitives pass it in a register");

// In place of a chunk: all of them, as one_shot.h sends them.
inline constexpr int kWholeInput = -1;

// One slice of a reduce-scatter: afterwards the chunk that this rank owns holds every rank's
// contribution. `own` is where those are.
template <class Executor, class Ring>
RINGSIDE_HD void reduce_slice(Executor& executor, const Ring& ring, std::size_t slice, Place result,
                              bool streaming = false, Place own = Place::input) {
  for (int step = 0; step < ring.steps(); ++step) {
    const bool first = step == 0;
    const bool last = step == ring.steps() - 1;
    executor.exchange_reduce(
        ring.right(), Piece{first ? own : Place::partial, ring.reduce_send(step)}, ring.left(),
        Piece{last ? result : Place::partial, ring.reduce_receive(step), last && streaming}, slice,
        own);
  }
}

// And it is final.
template <class Executor, class Ring>
RINGSIDE_HD void reduce_scatter_slice(Executor& executor, const Ring& ring, std::size_t slice,
                                      Place result = Place::output, bool streaming = false) {
  const int own_chunk = ring.chunk_of(ring.rank);
  if (ring.steps() == 0) executor.copy_input(own_chunk, slice);
  reduce_slice(executor, ring, slice, result, streaming);
  executor.post_op(Piece{result, own_chunk}, slice);
}

// One slice of an all-gather: takes the chunk that each rank owns, and has in `own`, to the output
// of all others.
template <class Executor, class Ring>
RINGSIDE_HD void all_gather_slice(Executor& executor, const Ring& ring, std::size_t slice,
                                  bool streaming = true, Place own = Place::output) {
  for (int step = 0; step < ring.steps(); ++step) {
    const bool last = step == ring.steps() - 1;
    executor.exchange(
        ring.right(), Piece{step == 0 ? own : Place::output, ring.gather_send(step)}, ring.left(),
        Piece{Place::output, ring.gather_receive(step), last && streaming}, slice);
  }
}

template <class Executor, class Ring>
RINGSIDE_HD void reduce_scatter(Executor& executor, const Ring& ring) {
  for (std::size_t slice = 0; slice < executor.slices(); ++slice)
    reduce_scatter_slice(executor, ring, slice, Place::output, true);
}

// A rank's own part goes out from its input and is copied to its output for itself alone: no peer
// reads it there, as storing where a peer has read can cost ten times as much (docs/08).
template <class Executor, class Ring>
RINGSIDE_HD void all_gather(Executor& executor, const Ring& ring) {
  for (std::size_t slice = 0; slice < executor.slices(); ++slice) {
    all_gather_slice(executor, ring, slice, true, Place::input);
    executor.copy_input(ring.rank, slice);
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
  const bool passes_on = ring.steps() > 0 && ring.after(ring.rank, 1) != root;
  for (std::size_t slice = 0; slice < executor.slices(); ++slice) {
    if (is_root)
      executor.copy_input(0, slice);
    else
      executor.receive(ring.left(), Piece{Place::output, 0, !passes_on}, slice);
    if (passes_on) executor.send(ring.right(), Piece{Place::output, 0}, slice);
  }
}

// Nobody leaves an all-gather before hearing of everyone else, even if there is nothing to gather.
template <class Executor, class Ring>
RINGSIDE_HD void barrier(Executor& executor, const Ring& ring) {
  all_gather(executor, ring);
}

}  // namespace ringside
