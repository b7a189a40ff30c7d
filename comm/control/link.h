// One control connection, as its service thread sees it: whole messages come out of it and go into
// it, and it never blocks.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>

#include "comm/control/wire.h"
#include "comm/util/fd.h"

namespace ringside {

// How soon a peer that has vanished without a word (a host that lost power, a cable) is given up:
// the kernel asks after this much silence whether the other side is still there, and gives up as
// much later. A process that is stopped or busy is no such case, as its kernel answers for it.
inline constexpr std::chrono::seconds kVanishedAfter{5};

class ControlLink {
 public:
  ControlLink() = default;
  explicit ControlLink(UniqueFd socket);

  bool is_open() const { return static_cast<bool>(socket_); }
  int fd() const { return socket_.get(); }  // −1 once closed
  void close();

  // What poll(2) is to look for. A peer that takes no answers is not listened to either, so the
  // outbox has a bound.
  short events() const;

  // Puts a message into the outbox. False if there is no room for it.
  bool put_question(std::uint64_t number);
  bool put_status(std::uint64_t number, const Status& status);

  // Sends what goes now. A failure is left to receive(), which learns what it means.
  void send();
  bool all_sent() const { return sent_ == outbox_bytes_; }
  // No more will be sent.
  void finish();

  // What has come.
  enum class Event { nothing, question, status, gone };
  Event receive();
  std::uint64_t number() const { return head_.number; }  // of the message that came last
  const Status& status() const { return status_; }       // and what it says

 private:
  static constexpr std::size_t kOutboxBytes = 8 * (sizeof(Head) + sizeof(Status));

  bool put(const void* bytes, std::size_t count);
  bool has_room() const {
    return kOutboxBytes - outbox_bytes_ >= 4 * (sizeof(Head) + sizeof(Status));
  }
  Event complete(Event event);

  UniqueFd socket_;
  std::array<std::byte, kOutboxBytes> outbox_;
  std::size_t outbox_bytes_ = 0, sent_ = 0;
  Head head_;
  Status status_;
  std::size_t head_bytes_ = 0, status_bytes_ = 0;  // received
};

}  // namespace ringside
