// The stream executor: carries out the ring's primitives by enqueueing them. The host enqueues the
// whole call and returns; copy engines, reduce kernels and stream-ordered flags do the work.
//
//     out  ──wait(credit)──copy(right's slot ← piece)──signal──────────────────▶
//                             ▲ after
//     in   ──wait(flag)──reduce(piece ← own slot, own input)──signal(credit)───▶
//
// Two streams, as the two halves of a step can run at once: the copy engines move one slice to the
// right while multiprocessors reduce another. Events say what comes after what:
//   - a piece that was received is sent on after the reduction that made it;
//   - scratch memory for partial sums (two of them in turns) is written again after the copy that
//     read it.
// Nothing else needs one: the algorithms never write to a piece again that somebody still reads
// (the prover proves it), and what a peer has read is known from its credit.
//
// In one stream work is strictly in order, so a step's wait for room comes before its wait for the
// message. Two slots for a connection make that free of deadlock, for the reason that
// kernel/executor.h gives.
//
// Slots are large here: each step is half a dozen operations on a stream, at some microseconds
// each, and the bytes must outweigh them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "comm/algorithms/ring.h"
#include "comm/device/device.h"
#include "comm/host/executor.h"

namespace ringside {

// What outlives a call: the connections to both neighbours, and how far they have come.
struct StreamConnection {
  static constexpr int kSlots = 2;

  Device::Stream out = nullptr;
  Device::Stream in = nullptr;
  std::size_t slot_bytes = 0;
  // Messages from the left: kSlots cells and slots of the own window. Credit from the right.
  DeviceCell* own_cells = nullptr;
  unsigned char* own_slots = nullptr;
  DeviceCell* own_credit = nullptr;
  // The same, of the neighbours.
  DeviceCell* right_cells = nullptr;
  unsigned char* right_slots = nullptr;
  DeviceCell* left_credit = nullptr;
  int left = 0;
  unsigned char* scratch[2] = {};

  Device::Event received = nullptr;    // the last operation on `in`
  Device::Event scratch_free[2] = {};  // the last copy out of each scratch
  std::uint32_t sent = 0;
  std::uint32_t consumed = 0;
};

class StreamExecutor {
 public:
  StreamExecutor(const HostCall& call, StreamConnection& connection, Device& device,
                 DeviceErrorFlags* error_flags)
      : call_(call), connection_(connection), device_(device), error_flags_(error_flags) {}

  static constexpr bool kRingOnly = true;  // run.h
  std::size_t slices() const { return call_.slices; }

  // Peers are the neighbours on the ring of all ranks; it has connections to nobody else.
  void exchange_reduce(Peer, Piece send, Peer, Piece receive, std::size_t slice,
                       Place = Place::input) {
    put(send, slice);
    take(receive, slice, true);
  }
  void exchange(Peer, Piece send, Peer, Piece receive, std::size_t slice) {
    put(send, slice);
    take(receive, slice, false);
  }
  void send(Peer, Piece piece, std::size_t slice) { put(piece, slice); }
  void receive(Peer, Piece piece, std::size_t slice) { take(piece, slice, false); }
  void post_op(Piece piece, std::size_t slice);
  void copy_input(int chunk, std::size_t slice);

 private:
  void put(Piece piece, std::size_t slice);
  void take(Piece piece, std::size_t slice, bool reduces);

  std::size_t slot_byte(int slot) const {
    return static_cast<std::size_t>(slot) * connection_.slot_bytes;
  }
  Range range(int chunk, std::size_t slice) const { return call_.range(chunk, slice); }
  const std::byte* input_at(Range r) const {
    return call_.plan.input + (r.begin - call_.plan.input_first) * call_.plan.element_bytes;
  }
  std::byte* output_at(Range r) const {
    return call_.plan.output + (r.begin - call_.plan.output_first) * call_.plan.element_bytes;
  }

  const HostCall& call_;
  StreamConnection& connection_;
  Device& device_;
  DeviceErrorFlags* error_flags_;
  int partial_ = 0;  // which scratch holds the partial sum
  bool checked_ = false;
};

}  // namespace ringside
