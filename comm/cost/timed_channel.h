// A channel of times: credit.h's slots and credits, and when each message arrives and is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "comm/cost/breakdown.h"
#include "comm/transport/credit.h"

namespace ringside {

class TimedChannel {
 public:
  explicit TimedChannel(int slots) : slots_(slots), messages_(static_cast<std::size_t>(slots)) {}

  // When the message was read whose credit says that the next one has a slot. Null: it has not been
  // read yet. Long ago where the slot has never been used.
  const Moment* room() const {
    static constexpr Moment kLongAgo{-std::numeric_limits<double>::infinity(), {}};
    if (may_send(sent_, 0, slots_)) return &kLongAgo;
    for (std::uint32_t it = sent_ + 1 - static_cast<std::uint32_t>(slots_); it <= consumed_; ++it)
      if (of(it).exposed || credit_due(it, slots_)) return &of(it).read;
    return nullptr;
  }
  void put(const Moment& arrival, bool exposed) {
    Timed& next = of(++sent_);
    next.arrival = arrival;
    next.exposed = exposed;
  }

  // When the oldest message that has not been read arrives. Null: it has not been sent.
  const Moment* arrival() const {
    return sent_ == consumed_ ? nullptr : &of(consumed_ + 1).arrival;
  }
  // Of the oldest message that has not been read.
  bool exposed() const { return of(consumed_ + 1).exposed; }
  void release(const Moment& now) { of(++consumed_).read = now; }

  bool is_idle() const { return sent_ == consumed_; }

 private:
  struct Timed {
    Moment arrival;
    Moment read;
    bool exposed = false;  // then its credit goes back alone
  };
  std::size_t slot(std::uint32_t message) const {
    return static_cast<std::size_t>(slot_of(message, slots_));
  }
  Timed& of(std::uint32_t message) { return messages_[slot(message)]; }
  const Timed& of(std::uint32_t message) const { return messages_[slot(message)]; }

  int slots_;
  std::vector<Timed> messages_;  // by slot
  std::uint32_t sent_ = 0;
  std::uint32_t consumed_ = 0;
};

}  // namespace ringside
