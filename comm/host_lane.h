// The host lane: carries out an algorithm's words on the calling thread, by moving bytes through
// channels.
//
// One exchange, for pieces of at most a slot:
//
//     outgoing piece ──copy──▶ right neighbour's slot        (as soon as there is credit)
//     own slot ──reduce with own input──▶ where the piece belongs
//
// Two things make it fast without the algorithm knowing.
//
//   Fusing. A partial sum (`carry`) is sent on in the next step. If there is credit for that
//   already, the sum is computed straight into the right neighbour's slot, and the next step only
//   signals. Otherwise it goes to scratch memory and is copied when credit comes. Fusing never
//   waits, so it cannot deadlock.
//
//   Slices. A slot fits the cache, and a slice goes through all its steps before the next one
//   begins, so what was just reduced is still in the cache when it is gathered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/channel.h"
#include "comm/chunks.h"
#include "comm/operation.h"
#include "comm/ring.h"
#include "comm/waiter.h"
#include "kernels/loops.h"

namespace ringside {

// One call, in terms of memory. `input` and `output` may be the same address.
struct HostCall {
  Operation what;
  std::uint32_t fingerprint;
  const std::byte* input;
  std::byte* output;
  std::size_t element_bytes;
  std::size_t slice_count;  // elements a message
  Chunks chunks;
  std::size_t slices;  // of the longest chunk
  // The element at which `input` and `output` begin. 0 for a whole buffer; where a rank has only
  // its own chunk (all_gather's input, reduce_scatter's output), that chunk's first element.
  std::size_t input_first = 0;
  std::size_t output_first = 0;
  int steps_per_slice = 0;  // for sentences: "step 2 of 6"
  ReduceLoop reduce = nullptr;
  DivideLoop divide = nullptr;  // AVG's last step
  int divisor = 1;
};

// Where a partial sum waits when the neighbour's slot is not free. Two, as one may still be on its
// way out while the next one comes in.
class Scratch {
 public:
  explicit Scratch(std::size_t slot_bytes) : bytes_(slot_bytes), memory_(2 * slot_bytes) {}
  std::byte* next() {
    second_ = !second_;
    return memory_.data() + (second_ ? bytes_ : 0);
  }

 private:
  std::size_t bytes_;
  std::vector<std::byte> memory_;
  bool second_ = false;
};

class HostLane {
 public:
  // An end that an algorithm never uses may be null (a sender receives nothing; a ring of one has
  // none).
  struct Ends {
    SendEnd* to = nullptr;
    ReceiveEnd* from = nullptr;
    int to_rank = 0;
    int from_rank = 0;
  };

  HostLane(const HostCall& call, Ends ends, Peers& peers, Waiter& waiter, Scratch& scratch)
      : call_(call), ends_(ends), peers_(peers), waiter_(waiter), scratch_(scratch) {}

  std::size_t slices() const { return call_.slices; }

  void exchange_reduce(Piece send, Piece receive, std::size_t slice) {
    step(&send, &receive, true, slice);
  }
  void exchange(Piece send, Piece receive, std::size_t slice) {
    step(&send, &receive, false, slice);
  }
  void send(Piece piece, std::size_t slice) { step(&piece, nullptr, false, slice); }
  void receive(Piece piece, std::size_t slice) { step(nullptr, &piece, false, slice); }
  void finish(Piece piece, std::size_t slice);
  void keep(int chunk, std::size_t slice);

 private:
  struct Outgoing {
    const std::byte* source;  // null: already in the neighbour's slot
    std::size_t bytes;
    int chunk;
  };

  void step(const Piece* send, const Piece* receive, bool reduce, std::size_t slice);
  Outgoing outgoing(Piece piece, std::size_t slice);
  bool try_send(const Outgoing& out);
  void wait_for_room(const Outgoing& out);
  void wait_for_message(const Outgoing* out, bool& sent, int chunk);
  void take(Piece piece, bool reduce, bool sent, std::size_t slice);
  std::byte* carry_target(std::size_t bytes, bool sent);
  void check_flag();

  Range range(int chunk, std::size_t slice) const {
    return slice_of(call_.chunks[chunk], slice, call_.slice_count);
  }
  const std::byte* input_at(Range r) const {
    return call_.input + (r.begin - call_.input_first) * call_.element_bytes;
  }
  std::byte* output_at(Range r) const {
    return call_.output + (r.begin - call_.output_first) * call_.element_bytes;
  }
  std::string at_step() const;

  const HostCall& call_;
  Ends ends_;
  Peers& peers_;
  Waiter& waiter_;
  Scratch& scratch_;
  const std::byte* carry_ = nullptr;  // null while the carry is in the neighbour's slot
  bool received_ = false;             // anything, in this call
  std::size_t slice_ = 0;
  int step_ = 0;  // within the slice, from 1
};

}  // namespace ringside
