// The channel's arithmetic: which slot, when to write, when to give credit back. Pure functions, so
// that the host executor, the device's executors, the prover, the simulator and the model checker
// all use the very same ones.
//
//     sender                                    receiver's window
//       sent = 6 ──────────────────────────▶  slot 0   slot 1   slot 2   slot 3     (slots = 4)
//                                              #5       #6       #3       #4
//       returned = 2 ◀───── credit ──────────  consumed = 3: #1 #2 #3 have been read
//
// Message number m (1, 2, 3, …) travels in slot (m − 1) mod slots. A slot may be written again only
// once the message before it in the same slot has been consumed: the sender must know that, and
// learns it by *credit*, a counter of consumed messages that the receiver signals back.
#pragma once

#include <cstdint>

#include "kernels/hd.h"

namespace ringside {

RINGSIDE_HD constexpr int slot_of(std::uint32_t message, int slots) {
  return static_cast<int>((message - 1) % static_cast<std::uint32_t>(slots));
}

// May the next message be written, after `sent` messages of which `returned` are known to be
// consumed? 32-bit, as the counters travel; right across their wrap.
RINGSIDE_HD constexpr bool may_send(std::uint32_t sent, std::uint32_t returned, int slots) {
  return sent - returned < static_cast<std::uint32_t>(slots);
}
// The same for a device's stream, which cannot compute but can wait for a counter: the credit from
// which on it may. None is needed for the first messages, as many as there are slots.
RINGSIDE_HD constexpr std::uint32_t credit_needed(std::uint32_t sent, int slots) {
  return sent + 1 - static_cast<std::uint32_t>(slots);
}

// Credit goes back every `credit_batch` messages and not for each: the store that returns it takes
// a cache line away from the sender, on a path where every line counts. Half the slots keeps the
// sender supplied; with one slot each message must return its own.
constexpr std::uint32_t credit_batch(int slots) {
  return slots < 2 ? 1 : static_cast<std::uint32_t>(slots) / 2;
}
constexpr bool credit_due(std::uint32_t consumed, int slots) {
  return consumed % credit_batch(slots) == 0;
}

// No deadlock by batching: a sender that may not send has `slots` messages out that it has no
// credit for. Once the receiver has consumed them all, a multiple of the batch lies among them, as
// batch ≤ slots.
static_assert(credit_batch(1) == 1 && credit_batch(2) == 1 && credit_batch(4) == 2 &&
              credit_batch(64) == 32);
static_assert(may_send(3, 0, 4) && !may_send(4, 0, 4) && may_send(1, 0xffff'ffffu, 4));
static_assert(may_send(7, credit_needed(7, 4), 4) && !may_send(7, credit_needed(7, 4) - 1, 4));

}  // namespace ringside
