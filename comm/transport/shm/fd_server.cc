// The exchange of memory descriptors; the picture and the reasons are in fd_server.h.
#include "comm/transport/shm/fd_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "comm/transport/shm/allocations.h"
#include "comm/util/start_thread.h"

namespace ringside {
namespace {

struct Request {
  Secret secret;
  Shared kind;
  std::uint64_t number;
};
static_assert(std::has_unique_object_representations_v<Request>,
              "no byte is sent that was not set");

// `full`: the owner has no descriptor left to answer with; it may have one later.
struct Reply {
  enum Kind : std::uint32_t { gone, here, full };
  Kind kind;
};

// Those who are connected and have not asked yet. When there are more, the one who has been silent
// the longest has to go; a peer that was merely slow comes again.
constexpr std::size_t kSilentMax = 256;
// An owner that is out of descriptors for so long will stay so.
constexpr double kFull_s = 5;

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

// What recvmsg(2) returns, with the descriptor that came along, if one did.
ssize_t receive_with_fd(int connection, Reply& reply, UniqueFd& fd, int owner) {
  iovec data{&reply, sizeof reply};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t received = ::recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
  if (received < 0) return received;
  if ((message.msg_flags & MSG_CTRUNC) != 0)
    throw_error(Fault::system,
                "no room for the descriptor of rank %d's shared memory; allow more (ulimit -n)",
                owner);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len == CMSG_LEN(sizeof(int))) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(header), sizeof number);
    fd = UniqueFd(number);
  }
  return received;
}

bool out_of_descriptors(int error) { return error == EMFILE || error == ENFILE; }

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
  std::vector<UniqueFd> silent;  // in the order in which they have come
  for (;;) {
    std::vector<pollfd> waiting = {{stop_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const UniqueFd& it : silent) waiting.push_back({it.get(), POLLIN, 0});
    if (::poll(waiting.data(), waiting.size(), -1) < 0) {
      if (errno != EINTR) ::usleep(10'000);  // the kernel is out of memory for the moment
      continue;
    }
    if (waiting[0].revents != 0) return;
    for (std::size_t i = 0; i < silent.size(); ++i)
      if (waiting[2 + i].revents != 0 && answer(silent[i].get())) silent[i] = UniqueFd();
    std::erase_if(silent, [](const UniqueFd& it) { return !it; });
    if (waiting[1].revents != 0) take_in(silent);
  }
}

void FdServer::take_in(std::vector<UniqueFd>& silent) {
  UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  const bool full = !connection && out_of_descriptors(errno);
  if (full && silent.empty()) return turn_away();
  if (full || silent.size() >= kSilentMax) silent.erase(silent.begin());
  if (connection && same_user(connection.get())) silent.push_back(std::move(connection));
}

// Out of descriptors: the peer would wait for an answer until its deadline. With the spare one it
// is taken in and told so.
void FdServer::turn_away() {
  spare_ = UniqueFd();
  {
    const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) send_with_fd(connection.get(), Reply{Reply::full}, -1);
  }
  spare_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  ::usleep(10'000);  // should even that have failed, poll would return again at once
}

// True once there is nothing more to say to this one.
bool FdServer::answer(int connection) {
  Request request{};
  const ssize_t received = ::recv(connection, &request, sizeof request, 0);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (received != static_cast<ssize_t>(sizeof request)) return true;
  if (!same_secret(request.secret, secret_)) return true;
  if (request.kind == Shared::allocation) {
    errno = 0;
    const UniqueFd fd = Allocations::of_this_process().descriptor(request.number);
    const Reply::Kind without = out_of_descriptors(errno) ? Reply::full : Reply::gone;
    send_with_fd(connection, Reply{fd ? Reply::here : without}, fd.get());
    return true;
  }
  const std::lock_guard lock(mutex_);
  const auto found = offered_.find(static_cast<std::uint32_t>(request.number));
  const bool known = found != offered_.end();
  send_with_fd(connection, Reply{known ? Reply::here : Reply::gone}, known ? found->second : -1);
  return true;
}

FdRequest::FdRequest(const SocketName& name, const Secret& secret, Shared kind,
                     std::uint64_t number, int owner)
    : name_(name), secret_(secret), kind_(kind), number_(number), owner_(owner) {
  start_anew();
}

void FdRequest::start_anew() {
  socket_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_) throw_system("cannot make a Unix socket");
  stage_ = Stage::calls;
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
  // If it fails the owner has hung up already, and what it said before is still to be read.
  const bool sent = ::send(socket_.get(), &request, sizeof request, MSG_NOSIGNAL) > 0;
  stage_ = sent ? Stage::has_asked : Stage::was_too_slow;
  return true;
}

UniqueFd FdRequest::poll(int wait_ms) {
  if (stage_ == Stage::calls && !ask()) {
    if (wait_ms > 0) ::usleep(1000);
    return {};
  }
  pollfd waiting{socket_.get(), POLLIN, 0};
  if (::poll(&waiting, 1, wait_ms) <= 0) return {};
  Reply reply{};
  UniqueFd fd;
  ssize_t received = receive_with_fd(socket_.get(), reply, fd, owner_);
  // Hung up on before the request was read. It comes before what was said, which may follow.
  const bool unread = received < 0 && errno == ECONNRESET;
  if (unread) received = receive_with_fd(socket_.get(), reply, fd, owner_);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return {};
  const bool answered = received == static_cast<ssize_t>(sizeof reply);
  if (answered && reply.kind != Reply::full) return checked(std::move(fd));
  if (!answered && !unread && stage_ == Stage::has_asked)
    throw_error(Fault::system,
                "rank %d has read the request for its shared memory and hung up: it does not know "
                "this secret, or it has just ended",
                owner_);
  if (answered) throw_if_full_for_long();
  if (wait_ms > 0) ::usleep(1000);
  start_anew();
  return {};
}

UniqueFd FdRequest::checked(UniqueFd fd) const {
  if (!fd)
    throw_error(Fault::system,
                "rank %d refused to hand out %s %llu of its shared memory: it is gone", owner_,
                kind_ == Shared::window ? "window" : "allocation",
                static_cast<unsigned long long>(number_));
  return fd;
}

void FdRequest::throw_if_full_for_long() {
  if (!full_until_) full_until_ = Deadline::after_seconds(kFull_s);
  if (full_until_->passed())
    throw_error(Fault::system,
                "rank %d cannot hand out its shared memory: it has run out of file descriptors; "
                "allow more (ulimit -n)",
                owner_);
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
