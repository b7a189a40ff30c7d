// The host executor: carries out an algorithm's primitives on the calling thread, by moving bytes
// through channels.
//
// One exchange, for pieces of at most a slot:
//
//     outgoing piece ──copy──▶ peer's slot                   (as soon as there is credit)
//     own slot ──reduce with own input──▶ where the piece belongs
//
// Three things make it fast without the algorithm knowing.
//
//   Fusing. A partial sum is sent on in the next step. If there is credit for that already, the sum
//   is computed straight into the next peer's slot, and the next step only signals. Otherwise it
//   goes to scratch memory and is copied when credit comes. Fusing never waits, so it cannot
//   deadlock.
//
//   Zero-copy messages. Where the outgoing piece lies in memory that its receiver can read
//   (allocate.h), nothing is copied: the message says where the piece is. Input and output may be
//   exposed, as the algorithms never write to a piece again that somebody still has to read (the
//   prover proves it); sums that are on their way are not. A call ends when all it exposed has been
//   read.
//
//   Slices. A slot fits the cache, and a slice goes through all its steps before the next one
//   begins, so what was just reduced is still in the cache when it is gathered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/algorithms/chunks.h"
#include "comm/algorithms/ring.h"
#include "comm/algorithms/step.h"
#include "comm/host/choice.h"
#include "comm/host/plan.h"
#include "comm/host/waiter.h"
#include "comm/transport/channel.h"

namespace ringside {

// One call: what it means, how it is carried out, and what it has of its own.
struct HostCall : HostChoice {
  const Plan& plan;
  std::uint32_t fingerprint = 0;
  Exposable input_exposable = {};
  Exposable output_exposable = {};

  Range range(int chunk, std::size_t slice) const {
    return slice_of(plan.chunks[chunk], slice, slice_count);
  }
  bool may_expose() const {
    return plan.chunks.total() * plan.element_bytes >= zero_copy_from_bytes;
  }
};

// Where a partial sum waits when the neighbour's slot is not free. Two, as one may still be on its
// way out while the next one comes in. A third is for a sum that stays.
class Scratch {
 public:
  explicit Scratch(std::size_t slot_bytes) : bytes_(slot_bytes), memory_(3 * slot_bytes) {}
  std::byte* next() {
    second_ = !second_;
    return memory_.data() + (second_ ? bytes_ : 0);
  }
  std::byte* kept() { return memory_.data() + 2 * bytes_; }

 private:
  std::size_t bytes_;
  std::vector<std::byte> memory_;
  bool second_ = false;
};

// The ends of all channels that a collective may use. None towards this rank itself, and no ring in
// a world of one.
struct Edges {
  int right_rank = 0;
  int left_rank = 0;
  std::optional<SendEnd> right;
  std::optional<ReceiveEnd> left;
  std::vector<std::optional<SendEnd>> to;  // the mesh, by rank
  std::vector<std::optional<ReceiveEnd>> from;
};

class HostExecutor {
 public:
  HostExecutor(const HostCall& call, Edges& edges, Peers& peers, Waiter& waiter, Scratch& scratch)
      : call_(call), edges_(edges), peers_(peers), waiter_(waiter), scratch_(scratch) {}

  std::size_t slices() const { return call_.slices; }
  // The number within its slice, from 1, of the step that comes next if it is of this slice.
  int next_step(std::size_t slice) const { return slice == slice_ ? step_ + 1 : 1; }

  void exchange_reduce(Peer to, Piece send, Peer from, Piece receive, std::size_t slice,
                       Place own = Place::input) {
    step(out_to(to, send), in_from(from, receive),
         own == Place::input ? Combine::add_input : Combine::add_output, slice);
  }
  void exchange(Peer to, Piece send, Peer from, Piece receive, std::size_t slice) {
    step(out_to(to, send), in_from(from, receive), Combine::copy, slice);
  }
  void send(Peer to, Piece piece, std::size_t slice) {
    step(out_to(to, piece), {}, Combine::copy, slice);
  }
  void receive(Peer from, Piece piece, std::size_t slice) {
    step({}, in_from(from, piece), Combine::copy, slice);
  }
  void post_op(Piece piece, std::size_t slice);
  void copy_input(int chunk, std::size_t slice);

  // The primitives of one_shot.h, where the whole input is one message, and of two_shot.h.
  void send_input(int peer);
  void wait_input(int rank, int chunk = kWholeInput, std::size_t slice = 0);
  void reduce_input(int chunk, int from, int order, std::size_t slice = 0);
  void release_inputs(std::size_t slice = 0);

  // The end of a call: waits until everything has been sent, and what was exposed has been read.
  void wait_reads();

 private:
  // The two halves of a step. A null end means that the step has no such half.
  struct Out {
    SendEnd* end = nullptr;
    int rank = 0;
    Piece piece{};
    const std::byte* source = nullptr;  // null: already in the peer's slot
    std::size_t bytes = 0;
    ZeroCopyRef ref{};  // where the receiver finds the piece, if it can
  };
  struct In {
    ReceiveEnd* end = nullptr;
    int rank = 0;
    Piece piece{};
  };
  // What a received piece becomes: itself, or its sum with this rank's own part.
  enum class Combine : unsigned char { copy, add_input, add_output };

  // Where an algorithm says the connection, as ring.h does, this is decided by the compiler.
  Out out_to(Peer to, Piece piece) {
    SendEnd& end = to.connection == Connection::ring ? *edges_.right : *edges_.to[index(to.rank)];
    return {&end, to.rank, piece};
  }
  In in_from(Peer from, Piece piece) {
    ReceiveEnd& end =
        from.connection == Connection::ring ? *edges_.left : *edges_.from[index(from.rank)];
    return {&end, from.rank, piece};
  }
  bool is_ring(const Out& out) const { return out.end == &*edges_.right; }
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

  void step(Out out, In in, Combine combine, std::size_t slice);
  void carry_out(const Out& out, const In& in, Combine combine);
  Half next(StepState state, const Out& out, const In& in);
  Half wait_for_half(StepState state, const Out& out, const In& in);
  std::string for_what(StepState state, const Out& out, const In& in) const;
  void locate(Out& out, std::size_t slice);
  void send_now(const Out& out);
  void take(const Out& out, const In& in, Combine combine, bool sent);
  bool streams(Piece piece) const { return call_.streams && piece.streaming; }
  bool peer_reads(const Out& out, Piece piece, std::size_t bytes) const;
  std::byte* target_of(const Out& out, Piece piece, Range r, bool sent);
  std::byte* partial_target(const Out& out, std::size_t bytes, bool sent);
  void check_flag(const ReceiveEnd& end, int from_rank);
  const std::byte* message_of(const ReceiveEnd& end, int from_rank, std::size_t bytes);
  ZeroCopyRef ref_of(const Out& out) const;
  void wait_reads_of(std::optional<SendEnd>& end, int rank);
  std::size_t whole_bytes() const { return call_.plan.whole_bytes(); }
  const std::byte* view(int rank, Range r);
  void set_aside_own();

  Range range(int chunk, std::size_t slice) const { return call_.range(chunk, slice); }
  const std::byte* input_at(Range r) const {
    return call_.plan.input + (r.begin - call_.plan.input_first) * call_.plan.element_bytes;
  }
  std::byte* output_at(Range r) const {
    return call_.plan.output + (r.begin - call_.plan.output_first) * call_.plan.element_bytes;
  }
  std::string name_of(Piece piece) const;
  std::string at_step() const;
  // Grows from step to step of a call; slices have fewer steps than this.
  std::uint64_t position() const {
    return std::uint64_t{slice_} << 24 | static_cast<unsigned>(step_);
  }

  const HostCall& call_;
  Edges& edges_;
  Peers& peers_;
  Waiter& waiter_;
  Scratch& scratch_;
  const std::byte* first_ = nullptr;     // the contribution that the second one is added to
  Range waited_;                         // what is waited for of each: all, or a slice of a chunk
  const std::byte* own_view_ = nullptr;  // this rank's part of it, or its copy
  const std::byte* partial_ = nullptr;   // null while the partial sum is in the peer's slot
  bool received_ = false;                // anything, in this call
  bool has_exposed_ = false;
  std::size_t slice_ = 0;
  int step_ = 0;  // within the slice, from 1
};

}  // namespace ringside
