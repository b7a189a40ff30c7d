// What a step is: the two halves of a primitive that talks to peers, and which of them comes next.
//
//              ┌──────────────────────────┐   no room, no message: wait for the message, and while
//              │ send, if there is room   │   waiting go on trying to send
//     begin ──▶│ take, if it has arrived  │──▶ taken, still no room: wait for room ──▶ done
//              └──────────────────────────┘
//
// What can be sent is sent first: the peer is waiting for it, and a partial sum that is received
// afterwards may go straight into the slot after it. But no rank insists on sending before it
// receives: by rendezvous a ring would wait for itself, and with slots a rank that is slow to make
// room would hold up the ranks before it, too.
//
// This is the one text of it. The host executor (comm/host/executor.cc) asks it with channels, the
// prover (comm/verify/prove.cc) with channels of symbols, the simulator (comm/cost/simulate.cc)
// with channels of times, and the model checker (comm/verify/model/explore.cc) with real channels
// at any moment. So what has been proved and priced is what runs. Whoever asks hands in the
// channels of a step, `Channels`:
//
//    may_send()   is there credit for one more message?   (not asked once it has been sent)
//    arrived()    is there a message?                      (not asked once it has been taken)
//    has_place()  in_order only: can what is received be stored where it belongs?
//
// next_half() decides and changes nothing; the caller carries the half out and sets its flag.
#pragma once

#include "comm/algorithms/ring.h"

namespace ringside {

struct StepState {
  bool sent = true;      // or there is nothing to send
  bool received = true;  // or nothing to receive

  RINGSIDE_HD constexpr bool done() const { return sent && received; }
};

enum class Half : unsigned char { none, send, receive };

template <class Channels>
RINGSIDE_HD constexpr Half next_half(const StepState& state, Channels&& channels) {
  if (!state.sent && channels.may_send()) return Half::send;
  if (!state.received && channels.arrived()) return Half::receive;
  return Half::none;
}

// The half for which a rank waits when next_half() is none: whom it names, and whose process must
// be alive.
RINGSIDE_HD constexpr Half awaited_half(const StepState& state) {
  return state.received ? Half::send : Half::receive;
}

// The same for executors that look at one thing at a time and have no scratch memory, as on a
// device: a step sends, waiting for room; then, if what it receives is a partial sum, it waits for
// room in the slot after that, as the sum is computed straight into it; then for the message. That
// needs two slots (tests/verify/in_order.cc).
template <class Channels>
RINGSIDE_HD constexpr Half next_half_in_order(const StepState& state, Channels&& channels) {
  if (!state.sent) return channels.may_send() ? Half::send : Half::none;
  if (!state.received && channels.has_place() && channels.arrived()) return Half::receive;
  return Half::none;
}

// May the receiver read a piece where it lies in this rank's memory, and not a copy of it? Input
// and output stay as they are until everybody has read them (the prover proves it); sums that are
// on their way do not. Nor does the input that a one-shot in place is about to cover.
RINGSIDE_HD constexpr bool is_exposable(Piece piece, bool in_place) {
  if (piece.chunk == kWholeInput) return !in_place;
  return piece.place == Place::input || piece.place == Place::output;
}

}  // namespace ringside
