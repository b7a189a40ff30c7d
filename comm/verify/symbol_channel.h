// A channel of symbols: slots and credits by credit.h's own functions, and in each slot what was
// written there, until it has been read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comm/algorithms/ring.h"
#include "comm/error.h"
#include "comm/transport/credit.h"
#include "comm/verify/spec.h"

namespace ringside {

// Thrown inside the prover, caught in prove().
struct Violation {
  std::string why;
};

class ProofMemory;

struct SymbolMessage {
  std::vector<Value> pieces;  // one; or, of send_input, every chunk of an input
  std::size_t chain = 0;      // how many messages, one after another, it took until this one
  // Of a zero-copy message: in whose memory the pieces are, and at which place. They must still be
  // there when they are read.
  const ProofMemory* owner = nullptr;
  Place place = Place::input;
};

class SymbolChannel {
 public:
  // Even a rendezvous needs a place to hand things over.
  SymbolChannel(int source, int target, int slots)
      : source_(source),
        target_(target),
        slots_(static_cast<std::size_t>(std::max(1, slots))),
        slot_count_(std::max(1, slots)) {}

  bool may_send() const { return ringside::may_send(sent_, returned_, slot_count_); }

  // Writes the next message; whether it may, the sender has asked, or not.
  void put(SymbolMessage message) {
    std::optional<SymbolMessage>& slot = slot_at(sent_ + 1);
    if (slot)
      throw Violation{text("rank %d overwrites a slot of rank %d that still holds chunk %d, unread",
                           source_, target_, slot->pieces.front().chunk)};
    slot = std::move(message);
    ++sent_;
  }

  bool arrived() const { return sent_ != consumed_; }
  // The oldest message that is still there. Only when arrived().
  const SymbolMessage& front() const {
    return *slots_[static_cast<std::size_t>(slot_of(consumed_ + 1, slot_count_))];
  }
  // It has been read; its slot may be written again.
  void release() {
    const bool was_zero_copy = front().owner != nullptr;
    slot_at(consumed_ + 1).reset();
    ++consumed_;
    if (was_zero_copy || credit_due(consumed_, slot_count_)) returned_ = consumed_;
  }

 private:
  std::optional<SymbolMessage>& slot_at(std::uint32_t message) {
    return slots_[static_cast<std::size_t>(slot_of(message, slot_count_))];
  }

  int source_;
  int target_;
  std::vector<std::optional<SymbolMessage>> slots_;  // engaged: written and not yet read
  int slot_count_;
  std::uint32_t sent_ = 0;
  std::uint32_t consumed_ = 0;
  std::uint32_t returned_ = 0;  // credit that the sender has seen
};

}  // namespace ringside
