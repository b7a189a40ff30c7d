// The public face: a group of ranks that call the same collectives in the same order.
//
//     Communicator comm(bootstrap);
//     comm.all_reduce(grad.data(), grad.data(), grad.size(), DType::f32, Reduction::avg);
//
// Buffers. Any pointer, of the host or of the GPU that was current when the communicator was made;
// any count (zero too), any alignment. Out of place, or in place: all_reduce
// and broadcast with the same buffer; reduce_scatter with recv = send + rank·count; all_gather with
// send = recv + rank·count (elements); where the counts differ, the sum of those before this rank's
// in the place of rank·count. Buffers that overlap in another way are refused.
//
// Bits. For a given world size and count the same input gives the same bits on every rank, in every
// run, with every slot size: each chunk is folded in the ring's rotated order (ring.h), rounding to
// the storage type after every addition. all_reduce(x) equals all_gather(reduce_scatter(x)) bit for
// bit where the ranks divide the count; with the chunks that all_reduce makes (as equal as can be,
// the longer ones first) all_gather_v(reduce_scatter_v(x)) does so for any count. AVG divides once,
// at the end: so what overflows is the sum. Of 10000 in f16 on 8 ranks the average is infinite (the
// largest f16 is 65504), and integers wrap around. Average such values in f32, or divide them by
// the world size first and take their sum: with a power of two that is exact, denormals excepted.
//
// Errors. Error{usage} is about one call's arguments: nothing was sent, the communicator is intact.
// Any other Error breaks the communicator on all ranks: what they are waiting in fails, and so does
// every later call, at once, with the first cause. Ranks that call different things see it when the
// first message of the wrong call arrives, or by each other's status pages where none does. A rank
// that only sends (the root of a broadcast, a sender) may have returned by then, and hears of it in
// its next call.
//
// Order. A communicator's calls are carried out in the order in which they were made, and that
// order must be the same on all ranks (for collectives; send and recv are ordered for each pair of
// ranks). Blocking calls on different communicators must be in the same order on all ranks, as in
// MPI. Asynchronous ones need not: each communicator has a thread of its own. An asynchronous
// call's Error comes out of its Work; a later call fails with the same cause.
//
// Threads. One thread at a time per communicator: two calls of one at once are the caller's
// mistake, construction, split, moving and destruction included. Different communicators may be
// used by different threads at once, a parent and its groups too. Three calls are free of this:
// abort(), broken() and write_flight() may come from any thread while another is inside a call; but
// the communicator must live until they return, and not be moved meanwhile. A Work may be waited
// for and tested by any thread, and its copies by several at once; it may outlive the communicator.
// Options::on_warning is called by the thread that waits (the caller's, or a communicator's own),
// so by several at once if several communicators wait. Whatever floating-point mode a thread is in
// (flushed denormals, another rounding, traps), calls compute in the default one, and leave the
// thread in its own.
//
// Processes. A communicator is its maker's. In a forked child each call, and each Work that it has
// inherited, throws Error{usage}; destroying them there touches nothing. The child may make
// communicators of its own, of a bootstrap of its own. One at namespace scope is ended like any
// other when the program exits; so it may outlive main.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/bootstrap/bootstrap.h"
#include "comm/error.h"
#include "comm/message.h"
#include "comm/options.h"
#include "comm/work.h"
#include "kernels/dtype.h"
#include "kernels/reduction.h"

namespace ringside {

struct PeerInfo;

// One edge of the ring, for a table: who sends to whom, over what, and why over that.
struct Edge {
  int from;
  int to;
  std::string transport;
  std::string why;
};

// How stores to a peer's memory are made (comm/transport/stores.h), and ns for 64 bytes through the
// caches and past them; 0: not measured.
struct StoreFinding {
  const char* what;  // "puts of 4K"
  bool past_the_caches;
  double cached_ns, past_ns;
};

struct RankInfo {
  int rank;
  std::string host;
  int pid;
  std::string device;  // "cpu", "NVIDIA H200"
  int world_rank;      // in the communicator that its groups were split off from, first of all
};

// split(): a rank with this colour, or any other negative one, gets no communicator.
inline constexpr int kNoColor = -1;

class Communicator {
 public:
  // Collective over the bootstrap's ranks. The bootstrap is not needed any more afterwards.
  // Throws Error{usage, system, timeout}, on every rank or on none.
  explicit Communicator(Bootstrap& bootstrap, const Options& options = Options::from_environment());
  // Ends when all calls that are under way have ended.
  ~Communicator();
  // One that was moved from can be destroyed or assigned to, and nothing else.
  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;

  int rank() const;
  int size() const;

  // recv[i] = send₀[i] ⊕ send₁[i] ⊕ …, on every rank. `count` elements.
  void all_reduce(const void* send, void* recv, std::size_t count, DType dtype,
                  Reduction reduction);

  // recv = this rank's `recv_count` elements of the reduced `size() × recv_count`.
  void reduce_scatter(const void* send, void* recv, std::size_t recv_count, DType dtype,
                      Reduction reduction);

  // recv = every rank's `send_count` elements, in rank order: `size() × send_count`.
  void all_gather(const void* send, void* recv, std::size_t send_count, DType dtype);

  // The same with a count of its own for each rank, zeros too; `counts` has size() of them, alike
  // on all ranks. reduce_scatter_v: send has their sum, recv counts[rank()] elements. all_gather_v:
  // the other way round. Chunk r of the whole is rank r's.
  void reduce_scatter_v(const void* send, void* recv, std::span<const std::size_t> counts,
                        DType dtype, Reduction reduction);
  void all_gather_v(const void* send, void* recv, std::span<const std::size_t> counts, DType dtype);

  // buffer = root's buffer, on every rank. `count` elements.
  void broadcast(void* buffer, std::size_t count, DType dtype, int root);

  // recv = the reduction of all ranks' `count` elements, on the root; elsewhere recv is not used.
  // The same bits as all_reduce. In place on the root: send = recv.
  void reduce(const void* send, void* recv, std::size_t count, DType dtype, Reduction reduction,
              int root);

  // recv = every rank's `send_count` elements, in rank order, on the root; elsewhere recv is not
  // used. In place on the root: send = recv + root·send_count.
  void gather(const void* send, void* recv, std::size_t send_count, DType dtype, int root);

  // recv = this rank's `recv_count` of the root's `size() × recv_count` elements; only the root's
  // send is used. In place on the root: recv = send + root·recv_count.
  void scatter(const void* send, void* recv, std::size_t recv_count, DType dtype, int root);

  // recv's part p = rank p's part for this rank; parts of `count` elements. Not in place.
  void all_to_all(const void* send, void* recv, std::size_t count, DType dtype);

  // Returns once every rank has called it.
  void barrier();

  // A message to, or from, another rank: `count` elements of `dtype` on both ends, in order for
  // each pair of ranks. send may return before the peer has called recv, but must not be relied
  // upon to: two ranks that both send first and receive later need the memory of the slots between
  // them.
  void send(const void* buffer, std::size_t count, DType dtype, int to);
  void recv(void* buffer, std::size_t count, DType dtype, int from);

  // Several messages at once, none of which waits for another: neighbours may exchange both ways.
  // Returns when all are done. What comes from one rank may not be written over what goes out, or
  // comes from another.
  void exchange(const std::vector<Message>& messages);

  // The same calls, but they return at once (work.h). Calls of one communicator are carried out in
  // the order in which they were made, whichever way, by a thread of its own.
  Work all_reduce_async(const void* send, void* recv, std::size_t count, DType dtype,
                        Reduction reduction);
  Work reduce_scatter_async(const void* send, void* recv, std::size_t recv_count, DType dtype,
                            Reduction reduction);
  Work all_gather_async(const void* send, void* recv, std::size_t send_count, DType dtype);
  Work reduce_scatter_v_async(const void* send, void* recv, std::span<const std::size_t> counts,
                              DType dtype, Reduction reduction);
  Work all_gather_v_async(const void* send, void* recv, std::span<const std::size_t> counts,
                          DType dtype);
  Work broadcast_async(void* buffer, std::size_t count, DType dtype, int root);
  Work reduce_async(const void* send, void* recv, std::size_t count, DType dtype,
                    Reduction reduction, int root);
  Work gather_async(const void* send, void* recv, std::size_t send_count, DType dtype, int root);
  Work scatter_async(const void* send, void* recv, std::size_t recv_count, DType dtype, int root);
  Work all_to_all_async(const void* send, void* recv, std::size_t count, DType dtype);
  Work barrier_async();
  Work send_async(const void* buffer, std::size_t count, DType dtype, int to);
  Work recv_async(void* buffer, std::size_t count, DType dtype, int from);
  Work exchange_async(const std::vector<Message>& messages);

  // The same calls on the memory of a device, in the order of one of its streams (a cudaStream_t):
  // they begin when what is before them on the stream has ended, what is after them begins when
  // they have, and the calling thread does not wait. A failure comes out of the Work and of every
  // later call; what follows on the stream must not trust the buffers before. Where no executor can
  // enqueue (device_executor()), they wait for the stream and return when all is done.
  Work all_reduce_on(void* stream, const void* send, void* recv, std::size_t count, DType dtype,
                     Reduction reduction);
  Work reduce_scatter_on(void* stream, const void* send, void* recv, std::size_t recv_count,
                         DType dtype, Reduction reduction);
  Work all_gather_on(void* stream, const void* send, void* recv, std::size_t send_count,
                     DType dtype);
  Work broadcast_on(void* stream, void* buffer, std::size_t count, DType dtype, int root);

  // Collective: the ranks that give the same colour form a communicator of their own, in the order
  // of `key`, then of rank. A rank that gives kNoColor gets none. The new one is independent of
  // this one, and may live longer. It takes memory as it is used, and a thread with its first
  // asynchronous call.
  std::optional<Communicator> split(int color, int key);

  // Breaks the communicator on all ranks: what they are waiting in fails within a second, and so
  // does every later call, with Error{aborted} and the reason. Not collective; any thread may call
  // it, also while another is inside a call. For whoever knows better than a deadline that nothing
  // will come of it any more. If something else broke it before, that remains the cause.
  void abort(const std::string& reason);

  // Writes the last calls of every rank as files into a folder (flight_record.h). Not collective;
  // any thread may call it, also while another is inside a call. Throws Error{system}.
  void write_flight(const std::string& folder) const;

  // For tables: who is there, and how each rank reaches its right neighbour.
  std::vector<RankInfo> ranks() const;
  std::vector<Edge> ring_edges() const;
  // What this rank has found out so far of its stores to its right neighbour. Between calls.
  std::vector<StoreFinding> stores_to_the_right() const;
  // An all_reduce of at most so many bytes takes one step instead of a ring's (one_shot.h).
  std::size_t one_shot_most_bytes() const;
  // Who carries out calls on device memory, and why.
  ExecutorInUse device_executor() const;
  // The same for one call on device memory, and the algorithm that it gets.
  ExecutorInUse device_executor_for(const Operation& what) const;
  // Pieces of so many bytes or more are read where they lie, if that is memory from allocate()
  // (allocate.h). SIZE_MAX: none are.
  std::size_t zero_copy_from_bytes() const;
  const Options& options() const;

  // The sentence that broke this communicator; none while it works.
  std::optional<std::string> broken() const;

 private:
  // Of a group, whose members are known.
  Communicator(Bootstrap& bootstrap, const Communicator& parent, std::vector<PeerInfo> members);
  const PeerInfo& peer_info(int rank) const;
  // Each rank's bytes to all, in the name of split().
  void gather_for_split(const void* mine, void* all, std::size_t bytes);

  struct Impl;
  struct End {
    void operator()(Impl* impl) const noexcept;
  };
  std::unique_ptr<Impl, End> impl_;
};

}  // namespace ringside
