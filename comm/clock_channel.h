// A channel of times: protocol.h's slots and credits, and when each message arrives and is
// read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "comm/protocol.h"

namespace ringside {

class TimedChannel {
 public:
  explicit TimedChannel(int slots)
      : slots_(slots), times_(2 * static_cast<std::size_t>(slots), 0.0) {}

  // When the sender may know that the next message has a slot. Empty: that depends on a release
  // which has not happened yet.
  std::optional<double> credit_ns(double latency_ns) const {
    if (may_send(sent_, 0, slots_)) return 0.0;
    const std::uint32_t batch = credit_batch(slots_);
    const std::uint32_t needed = sent_ + 1 - static_cast<std::uint32_t>(slots_);
    const std::uint32_t returned = (needed + batch - 1) / batch * batch;
    if (returned > consumed_) return std::nullopt;
    return released_at(returned) + latency_ns;
  }
  void put(double arrival_ns) { times_[slot(++sent_)] = arrival_ns; }

  // When the oldest message that has not been read arrives. Empty: it has not been sent.
  std::optional<double> arrival_ns() const {
    if (sent_ == consumed_) return std::nullopt;
    return times_[slot(consumed_ + 1)];
  }
  void release(double now_ns) { released_at(++consumed_) = now_ns; }

  bool is_idle() const { return sent_ == consumed_; }

 private:
  std::size_t slot(std::uint32_t message) const {
    return static_cast<std::size_t>(slot_of(message, slots_));
  }
  double& released_at(std::uint32_t message) {
    return times_[static_cast<std::size_t>(slots_) + slot(message)];
  }
  double released_at(std::uint32_t message) const {
    return times_[static_cast<std::size_t>(slots_) + slot(message)];
  }

  int slots_;
  std::vector<double> times_;  // of arrival by slot, then of release
  std::uint32_t sent_ = 0;
  std::uint32_t consumed_ = 0;
};

}  // namespace ringside
