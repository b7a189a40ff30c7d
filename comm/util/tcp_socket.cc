// The system calls behind tcp_socket.h, and what each of their many errors means here.
#include "comm/util/tcp_socket.h"

#include <netdb.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "comm/error.h"

namespace ringside {
namespace {

constexpr int kMomentMs = 100;

const sockaddr* plain(const TcpAddress& address) {
  return reinterpret_cast<const sockaddr*>(&address.at);
}

// The address itself, copied out: a cast of sockaddr_storage to sockaddr_in would do, and be less
// honest about what it is.
template <class T>
T as(const sockaddr_storage& at) {
  T address{};
  std::memcpy(&address, &at, sizeof address);
  return address;
}

UniqueFd make_socket(int family) {
  return UniqueFd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// Linux may pick, as the source port of a connection, the very port that it goes to. If nobody
// listens there, such a connection reaches itself: it receives what it sends.
bool reached_itself(int socket, const TcpAddress& peer) {
  const TcpAddress own = local_address(socket);
  return own.port() == peer.port() && own.words() == peer.words();
}

// Both recv and send: what their result means for what is left to move.
Flow after(ssize_t moved, std::size_t bytes, std::size_t& done) {
  if (moved > 0) done += static_cast<std::size_t>(moved);
  if (done == bytes) return Flow::complete;
  if (moved > 0) return Flow::blocked;
  const bool later = moved < 0 && (errno == EAGAIN || errno == EINTR);
  return later ? Flow::blocked : Flow::gone;
}

}  // namespace

bool Warning::give_if_due(FunctionRef<std::string()> what) {
  if (!due_.passed()) return false;
  due_ = Deadline::never();
  is_given_ = true;
  const std::string sentence =
      text("%s, %g s by now, and goes on waiting", what().c_str(), after_s_);
  if (say_)
    say_(sentence);
  else
    print_warning(sentence);
  return true;
}

bool mind_the_time(const StopCondition& stop, FunctionRef<std::string()> what) {
  if (const int signal = stop.stopped_by())
    throw_error(Fault::interrupted, "%s, and was stopped by signal %d", what().c_str(), signal);
  if (stop.deadline.passed())
    throw Error(Fault::timeout, what() + ", longer than the deadline (RINGSIDE_TIMEOUT) allows");
  return stop.warning != nullptr && stop.warning->give_if_due(what);
}

void poll_a_moment(std::vector<pollfd>& descriptors, Deadline deadline) {
  // Without those that are −1: the kernel counts them too, and takes no more than the process may
  // have descriptors.
  std::vector<pollfd> open;
  for (pollfd& it : descriptors) {
    it.revents = 0;
    if (it.fd >= 0) open.push_back(it);
  }
  // poll_ms rounds down; the last millisecond is a sleep too, not a spin.
  const int most_ms = deadline.poll_ms(kMomentMs - 1) + 1;
  if (::poll(open.data(), open.size(), most_ms) < 0 && errno != EINTR)
    throw_system("cannot wait for sockets");
  auto result = open.begin();
  for (pollfd& it : descriptors)
    if (it.fd >= 0) it.revents = (result++)->revents;
}

bool TcpAddress::is_loopback() const {
  if (at.ss_family == AF_INET)
    return (ntohl(as<sockaddr_in>(at).sin_addr.s_addr) >> 24) == 127;  // 127.0.0.0/8
  const in6_addr ip = as<sockaddr_in6>(at).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&ip) || (IN6_IS_ADDR_V4MAPPED(&ip) && ip.s6_addr[12] == 127);
}

bool TcpAddress::is_every_interface() const {
  if (at.ss_family == AF_INET) return as<sockaddr_in>(at).sin_addr.s_addr == htonl(INADDR_ANY);
  const in6_addr ip = as<sockaddr_in6>(at).sin6_addr;
  const in6_addr mapped_any = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}}};
  return IN6_IS_ADDR_UNSPECIFIED(&ip) || std::memcmp(&ip, &mapped_any, sizeof ip) == 0;
}

int TcpAddress::port() const {
  if (at.ss_family == AF_INET) return ntohs(as<sockaddr_in>(at).sin_port);
  return ntohs(as<sockaddr_in6>(at).sin6_port);
}

// Only what is this host's can be bound.
bool TcpAddress::is_of_this_host() const {
  const TcpAddress any_port = resolve(host(), 0).front();
  const UniqueFd socket = make_socket(at.ss_family);
  return socket && ::bind(socket.get(), plain(any_port), bytes) == 0;
}

std::array<std::byte, 18> TcpAddress::packed() const {
  in6_addr ip{};
  if (at.ss_family == AF_INET6) ip = as<sockaddr_in6>(at).sin6_addr;
  if (at.ss_family == AF_INET) {
    ip.s6_addr[10] = ip.s6_addr[11] = 0xff;
    const in_addr four = as<sockaddr_in>(at).sin_addr;
    std::memcpy(ip.s6_addr + 12, &four, sizeof four);
  }
  std::array<std::byte, 18> packed;
  std::memcpy(packed.data(), &ip, sizeof ip);
  const auto its_port = static_cast<std::uint16_t>(bytes == 0 ? 0 : port());
  std::memcpy(packed.data() + sizeof ip, &its_port, sizeof its_port);
  return packed;
}

std::string TcpAddress::host() const {
  char host[NI_MAXHOST] = "?";
  ::getnameinfo(plain(*this), bytes, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
  return host;
}

std::string TcpAddress::words() const {
  return text(at.ss_family == AF_INET6 ? "[%s]:%d" : "%s:%d", host().c_str(), port());
}

std::vector<TcpAddress> resolve(const std::string& name, int port) {
  const bool in_brackets = name.starts_with('[') && name.ends_with(']');
  const std::string host = in_brackets ? name.substr(1, name.size() - 2) : name;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host.c_str(), text("%d", port).c_str(), &hints, &list);
  if (code != 0)
    throw_error(Fault::usage,
                "MASTER_ADDR=%s cannot be looked up (%s); say an address, or a name that every "
                "rank's host knows",
                host.c_str(), ::gai_strerror(code));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  std::vector<TcpAddress> addresses;
  for (const addrinfo* it = list; it != nullptr; it = it->ai_next) {
    if (it->ai_family != AF_INET && it->ai_family != AF_INET6) continue;
    TcpAddress address;
    std::memcpy(&address.at, it->ai_addr, it->ai_addrlen);
    address.bytes = it->ai_addrlen;
    addresses.push_back(address);
  }
  return addresses;
}

UniqueFd listen_on(const std::vector<TcpAddress>& addresses, const std::string& who) {
  std::string where;
  for (const TcpAddress& address : addresses) {
    where = address.words();
    UniqueFd listener = make_socket(address.at.ss_family);
    if (!listener && errno == EAFNOSUPPORT) continue;
    if (!listener) throw_system("cannot make a TCP socket");
    // Connections of an earlier job linger for a minute in TIME_WAIT; this one need not wait for
    // them. (On Linux it lets nobody listen where somebody else listens already.)
    const int on = 1;
    ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(listener.get(), plain(address), address.bytes) == 0 &&
        ::listen(listener.get(), SOMAXCONN) == 0)
      return listener;
    if (errno == EADDRINUSE)
      throw_error(
          Fault::system,
          "%s cannot listen on %s: the port is in use, by another job or by another process that "
          "takes itself for rank 0; end that one, or choose another MASTER_PORT (or RINGSIDE_PORT) "
          "for all ranks",
          who.c_str(), where.c_str());
    if (errno != EADDRNOTAVAIL) throw_system(who + " cannot listen on " + where);
  }
  throw_error(Fault::system,
              "%s cannot listen on %s: this host has no such address; set MASTER_ADDR to one of "
              "the host on which rank 0 runs",
              who.c_str(), where.c_str());
}

TcpAddress local_address(int socket) {
  TcpAddress address;
  address.bytes = sizeof address.at;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address.at), &address.bytes) != 0)
    throw_system("cannot find out a socket's own address");
  return address;
}

TcpAddress peer_address(int socket) {
  TcpAddress address;
  address.bytes = sizeof address.at;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address.at), &address.bytes) != 0)
    return {};
  return address;
}

UniqueFd connect_once(const TcpAddress& address, double attempt_s, const StopCondition& stop,
                      int& error) {
  UniqueFd socket = make_socket(address.at.ss_family);
  error = errno;
  if (!socket) return {};
  error = ::connect(socket.get(), plain(address), address.bytes) == 0 ? 0 : errno;
  const Deadline attempt = Deadline::after_seconds(attempt_s);
  std::vector<pollfd> waiting = {{socket.get(), POLLOUT, 0}};
  while (error == EINPROGRESS) {
    poll_a_moment(waiting, stop.deadline);
    socklen_t bytes = sizeof error;
    if (waiting[0].revents != 0)
      ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &bytes);
    else if (attempt.passed() || stop.is_over())
      error = ETIMEDOUT;
  }
  if (error == 0 && reached_itself(socket.get(), address)) error = ECONNREFUSED;
  if (error != 0) return {};
  return socket;
}

UniqueFd accept_one(int listener, int& error) {
  UniqueFd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  error = connection ? 0 : errno;
  const bool cannot_hold_more =
      error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
  if (!cannot_hold_more) error = 0;  // none was there, or it was given up before it was taken
  return connection;
}

Flow receive_some(int socket, void* target, std::size_t bytes, std::size_t& done) {
  if (done == bytes) return Flow::complete;
  return after(::recv(socket, static_cast<std::byte*>(target) + done, bytes - done, 0), bytes,
               done);
}

Flow send_some(int socket, const void* source, std::size_t bytes, std::size_t& done) {
  if (done == bytes) return Flow::complete;
  const std::byte* rest = static_cast<const std::byte*>(source) + done;
  // A peer that has gone is a result, not a SIGPIPE.
  return after(::send(socket, rest, bytes - done, MSG_NOSIGNAL), bytes, done);
}

}  // namespace ringside
