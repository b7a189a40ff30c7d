// The exchange of memory descriptors; the picture and the reasons are in fd_server.h.
#include "comm/transport/shm/fd_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "comm/transport/shm/allocations.h"
#include "comm/util/start_thread.h"

namespace ringside {
namespace {

struct Request {
  Secret secret;
  Shared kind;
  std::uint64_t number;
};

struct Reply {
  std::uint32_t ok;
};

struct Address {
  sockaddr_un un{};
  socklen_t bytes;
};

// An abstract name starts with a zero byte; every byte after it counts, no terminator.
Address address_of(const SocketName& name) {
  Address address;
  address.un.sun_family = AF_UNIX;
  std::memcpy(address.un.sun_path + 1, name.data(), name.size());
  address.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

bool same_user(int connection) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  return ::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
         peer.uid == ::geteuid();
}

bool send_with_fd(int connection, const Reply& reply, int fd) {
  iovec data{const_cast<Reply*>(&reply), sizeof reply};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  return ::sendmsg(connection, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof reply);
}

UniqueFd receive_with_fd(int connection, Reply& reply, int owner) {
  iovec data{&reply, sizeof reply};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (::recvmsg(connection, &message, MSG_CMSG_CLOEXEC) != static_cast<ssize_t>(sizeof reply))
    throw_error(Fault::system,
                "rank %d refused to hand out its shared memory and hung up: wrong secret, or it "
                "has run out of file descriptors (ulimit -n)",
                owner);
  if ((message.msg_flags & MSG_CTRUNC) != 0)
    throw_error(Fault::system,
                "no room for the descriptor of rank %d's shared memory; allow more (ulimit -n)",
                owner);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int)))
    return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return UniqueFd(fd);
}

}  // namespace

FdServer::FdServer(const Secret& secret) : secret_(secret) {
  fill_random(name_.data(), name_.size());
  listener_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_) throw_system("cannot make a Unix socket");
  const Address address = address_of(name_);
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address.un), address.bytes) != 0)
    throw_system("cannot bind an abstract Unix socket");
  if (::listen(listener_.get(), 1024) != 0) throw_system("cannot listen on a Unix socket");
  stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  spare_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  if (!stop_ || !spare_) throw_system("cannot make an eventfd");
  thread_ = start_thread([this] { serve(); });
}

FdServer::~FdServer() {
  const std::uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof one) == sizeof one) thread_.join();
  if (thread_.joinable()) thread_.detach();  // a write of 8 bytes to an eventfd does not fail
}

void FdServer::offer(std::uint32_t window, int fd) {
  const std::lock_guard lock(mutex_);
  offered_[window] = fd;
}

void FdServer::withdraw(std::uint32_t window) {
  const std::lock_guard lock(mutex_);
  offered_.erase(window);
}

void FdServer::serve() {
  for (;;) {
    pollfd waiting[2] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return;
    if (waiting[1].revents != 0) return;
    const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) {
      if (same_user(connection.get())) answer(connection.get());
    } else if (errno == EMFILE || errno == ENFILE) {
      turn_away();
    }
  }
}

// Out of descriptors: the peer would wait for an answer until its deadline. With the spare one it
// is taken in and hung up on, and can say what happened.
void FdServer::turn_away() {
  spare_ = UniqueFd();
  { const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
  spare_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  ::usleep(10'000);  // should even that have failed, poll would return again at once
}

void FdServer::answer(int connection) {
  // A stranger who connects and says nothing holds up the others for this long. (A peer sends its
  // request in the same breath as it connects.)
  const timeval stop{0, 200'000};
  ::setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &stop, sizeof stop);
  Request request{};
  if (::recv(connection, &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request))
    return;
  if (!same_secret(request.secret, secret_)) return;
  if (request.kind == Shared::allocation) {
    const UniqueFd fd = Allocations::of_this_process().descriptor(request.number);
    send_with_fd(connection, Reply{fd ? 1u : 0u}, fd.get());
    return;
  }
  const std::lock_guard lock(mutex_);
  const auto found = offered_.find(static_cast<std::uint32_t>(request.number));
  const bool known = found != offered_.end();
  send_with_fd(connection, Reply{known ? 1u : 0u}, known ? found->second : -1);
}

FdRequest::FdRequest(const SocketName& name, const Secret& secret, Shared kind,
                     std::uint64_t number, int owner)
    : name_(name),
      secret_(secret),
      kind_(kind),
      number_(number),
      owner_(owner),
      socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  if (!socket_) throw_system("cannot make a Unix socket");
}

// False while the owner's queue of connections is full.
bool FdRequest::ask() {
  const Address address = address_of(name_);
  const auto* to = reinterpret_cast<const sockaddr*>(&address.un);
  if (::connect(socket_.get(), to, address.bytes) != 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    throw_system(text("cannot reach rank %d's shared memory (is its process gone?)", owner_));
  }
  const Request request{secret_, kind_, number_};
  if (!same_user(socket_.get()))
    throw_error(Fault::protocol, "what answers for rank %d belongs to another user", owner_);
  if (::send(socket_.get(), &request, sizeof request, MSG_NOSIGNAL) !=
      static_cast<ssize_t>(sizeof request))
    throw_system(text("cannot ask rank %d for its shared memory", owner_));
  return true;
}

UniqueFd FdRequest::poll(int wait_ms) {
  if (!asked_) asked_ = ask();
  if (!asked_) {
    if (wait_ms > 0) ::usleep(1000);
    return {};
  }
  pollfd waiting{socket_.get(), POLLIN, 0};
  if (::poll(&waiting, 1, wait_ms) <= 0) return {};
  Reply reply{};
  UniqueFd fd = receive_with_fd(socket_.get(), reply, owner_);
  if (!fd)
    throw_error(Fault::system,
                "rank %d refused to hand out %s %llu of its shared memory: it is gone", owner_,
                kind_ == Shared::window ? "window" : "allocation",
                static_cast<unsigned long long>(number_));
  return fd;
}

UniqueFd fetch_fd(const SocketName& name, const Secret& secret, Shared kind, std::uint64_t number,
                  int owner, Deadline deadline) {
  FdRequest request(name, secret, kind, number, owner);
  for (;;) {
    UniqueFd fd = request.poll(deadline.poll_ms(1000));
    if (fd) return fd;
    if (deadline.passed())
      throw_error(Fault::timeout, "rank %d did not hand out its shared memory in time", owner);
  }
}

}  // namespace ringside
