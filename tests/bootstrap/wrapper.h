// A bootstrap around another one that does something after a certain meeting: fails, stops, dies.
// Ranks meet a known number of times while a communicator is made, so that says how far it had
// come.
#pragma once

#include <functional>
#include <utility>

#include "comm/bootstrap/bootstrap.h"

namespace ringside::test {

class BootstrapAround : public Bootstrap {
 public:
  // Meetings are counted from 1. `then` may throw, which is how the meeting then ends.
  BootstrapAround(Bootstrap& inner, int meeting, std::function<void()> then)
      : inner_(inner), meeting_(meeting), then_(std::move(then)) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  const char* name() const override { return inner_.name(); }
  void all_gather_bytes(const void* mine, std::size_t bytes, void* all,
                        Deadline deadline) override {
    inner_.all_gather_bytes(mine, bytes, all, deadline);
    if (++meetings_ == meeting_) then_();
  }
  int meetings() const { return meetings_; }

 private:
  Bootstrap& inner_;
  const int meeting_;
  const std::function<void()> then_;
  int meetings_ = 0;
};

// A communicator: who is there, the secret, windows made, windows opened.
inline constexpr int kMeetingsOfACommunicator = 4;
// The probe of the machine (tools/limits/probe.h): the last meeting before it measures.
inline constexpr int kMeetingsToJoinTheProbe = 7;

}  // namespace ringside::test
