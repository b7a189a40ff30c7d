// Framing, and what the kernel is asked to watch; see link.h.
#include "comm/control/link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "comm/util/tcp_socket.h"

namespace ringside {
namespace {

void set(int socket, int level, int option, int value) {
  ::setsockopt(socket, level, option, &value, sizeof value);
}

}  // namespace

ControlLink::ControlLink(UniqueFd socket) : socket_(std::move(socket)) {
  if (!socket_) return;
  constexpr int kSeconds = static_cast<int>(kVanishedAfter.count());
  const int fd = socket_.get();
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, kSeconds);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, kSeconds);
  // Where something has been sent and not been received, it is this that counts.
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 2 * kSeconds * 1000);
}

void ControlLink::close() {
  socket_ = UniqueFd();
  outbox_bytes_ = sent_ = 0;
}

short ControlLink::events() const {
  return static_cast<short>((has_room() ? POLLIN : 0) | (all_sent() ? 0 : POLLOUT));
}

bool ControlLink::put(const void* bytes, std::size_t count) {
  if (!is_open() || kOutboxBytes - outbox_bytes_ < count) return false;
  std::memcpy(outbox_.data() + outbox_bytes_, bytes, count);
  outbox_bytes_ += count;
  return true;
}

bool ControlLink::put_question(std::uint64_t number) {
  const Head head{Head::question, 0, number};
  return put(&head, sizeof head);
}

bool ControlLink::put_status(std::uint64_t number, const Status& status) {
  struct {
    Head head;
    Status status;
  } const message{{Head::status, 0, number}, status};
  static_assert(sizeof message == sizeof(Head) + sizeof(Status));
  return put(&message, sizeof message);
}

void ControlLink::send() {
  if (!is_open() || all_sent()) return;
  if (send_some(fd(), outbox_.data(), outbox_bytes_, sent_) == Flow::gone) sent_ = outbox_bytes_;
  if (!all_sent()) return;
  outbox_bytes_ = sent_ = 0;
}

void ControlLink::finish() {
  if (is_open()) ::shutdown(fd(), SHUT_WR);
}

ControlLink::Event ControlLink::complete(Event event) {
  head_bytes_ = status_bytes_ = 0;
  return event;
}

ControlLink::Event ControlLink::receive() {
  const auto because = [](Flow flow) { return flow == Flow::gone ? Event::gone : Event::nothing; };
  if (!is_open() || !has_room()) return Event::nothing;
  Flow flow = receive_some(fd(), &head_, sizeof head_, head_bytes_);
  if (flow != Flow::complete) return because(flow);
  if (head_.kind == Head::question) return complete(Event::question);
  if (head_.kind != Head::status) return Event::gone;  // what no rank sends here
  flow = receive_some(fd(), &status_, sizeof status_, status_bytes_);
  if (flow != Flow::complete) return because(flow);
  return complete(Event::status);
}

}  // namespace ringside
