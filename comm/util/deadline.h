// A point in time after which waiting is an error. Every wait in ringside carries one.
//
// A span of 0 seconds means "no deadline", which only the user may ask for (RINGSIDE_TIMEOUT=0).
#pragma once

#include <algorithm>
#include <chrono>

namespace ringside {

using Clock = std::chrono::steady_clock;

class Deadline {
 public:
  static Deadline never() { return Deadline(Clock::time_point::max()); }

  // A year stands for every longer span: adding more to the clock could overflow it.
  static Deadline after_seconds(double seconds) {
    if (seconds <= 0) return never();
    const std::chrono::duration<double> span(std::min(seconds, 365.0 * 86400));
    return Deadline(Clock::now() + std::chrono::duration_cast<Clock::duration>(span));
  }

  bool passed(Clock::time_point now = Clock::now()) const { return now >= at_; }

  // What poll(2) takes: milliseconds left, at most `most`, never negative.
  int poll_ms(int most) const {
    if (at_ == Clock::time_point::max()) return most;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(at_ - Clock::now()).count();
    return static_cast<int>(std::clamp<long long>(left, 0, most));
  }

  friend Deadline earlier(Deadline a, Deadline b) { return a.at_ < b.at_ ? a : b; }

 private:
  explicit Deadline(Clock::time_point at) : at_(at) {}
  Clock::time_point at_;
};

}  // namespace ringside
