// TCP sockets as ringside uses them: none ever blocks, and every wait has an end.
//
// Nothing here knows of ranks or secrets. Who may speak to whom is decided in handshake.h.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "comm/util/deadline.h"
#include "comm/util/fd.h"
#include "comm/util/function_ref.h"

namespace ringside {

// A wait that lasts is reported once, and goes on.
class Warning {
 public:
  // After 0 seconds: never. Without `say` it goes to stderr.
  explicit Warning(double after_s, std::function<void(const std::string&)> say = {})
      : after_s_(after_s), say_(std::move(say)), due_(Deadline::after_seconds(after_s)) {}

  // True if that was now. `what`: as of mind_the_time.
  bool give_if_due(FunctionRef<std::string()> what);
  void start_anew() {
    if (!is_given_ && !is_left_) due_ = Deadline::after_seconds(after_s_);
  }
  // Somebody else has reported it.
  void leave_it() {
    due_ = Deadline::never();
    is_left_ = true;
  }
  bool is_given() const { return is_given_; }
  bool is_left() const { return is_left_; }

 private:
  const double after_s_;
  const std::function<void(const std::string&)> say_;
  Deadline due_;
  bool is_given_ = false, is_left_ = false;
};

// When a wait ends: at the deadline, or when a signal asks the program to stop.
struct StopCondition {
  Deadline deadline;
  const std::atomic<int>* interrupted = nullptr;  // the number of a signal, once one has come
  Warning* warning = nullptr;

  int stopped_by() const {
    return interrupted == nullptr ? 0 : interrupted->load(std::memory_order_relaxed);
  }
  bool is_over() const { return deadline.passed() || stopped_by() != 0; }
};

// Throws Error{timeout} or Error{interrupted} if the wait is over, and warns when that is due. True
// if it has just warned. `what` says who was doing what: "rank 0 waited for rank 3".
bool mind_the_time(const StopCondition& stop, FunctionRef<std::string()> what);

// poll(2) for a moment: until a descriptor is ready, but no longer than 100 ms nor past the
// deadline, so that its caller comes round to looking at its own clocks and at `interrupted`.
void poll_a_moment(std::vector<pollfd>& descriptors, Deadline deadline);

struct TcpAddress {
  sockaddr_storage at{};
  socklen_t bytes = 0;

  bool is_loopback() const;
  bool is_every_interface() const;  // 0.0.0.0 or ::
  int port() const;
  bool is_of_this_host() const;
  // The address in the form of IPv6 and the port: the same at both ends of a connection.
  std::array<std::byte, 18> packed() const;
  std::string host() const;   // "127.0.0.1", "::1"
  std::string words() const;  // "127.0.0.1:29500", "[::1]:29500"
};

// All addresses that a name or a number stands for, IPv4 and IPv6 ([::1] too), in the order to try
// them. Throws Error{usage}. A name may take the resolver longer than any deadline: getaddrinfo
// knows none.
std::vector<TcpAddress> resolve(const std::string& name, int port);

// Listens on the first of `addresses` that this host has. Throws Error{system} with what to try;
// `who` listens, in its words.
UniqueFd listen_on(const std::vector<TcpAddress>& addresses, const std::string& who = "rank 0");

// The address that the socket really has; for one bound to port 0, with the port that it was given.
TcpAddress local_address(int socket);
// And of the other end; empty once that is gone.
TcpAddress peer_address(int socket);

// One attempt to reach `address`, of at most `attempt_s`. If it fails the socket is empty, and
// `error` an errno; whether that is worth another attempt is for the caller to know.
UniqueFd connect_once(const TcpAddress& address, double attempt_s, const StopCondition& stop,
                      int& error);

// One connection somebody has made to `listener`, or none. Then `error` is 0 if none was there, and
// an errno where this process (EMFILE) or the system cannot hold more.
UniqueFd accept_one(int listener, int& error);

// Moving bytes [done, bytes) as far as they will go now. `gone`: the other side has closed.
enum class Flow { blocked, complete, gone };
Flow receive_some(int socket, void* target, std::size_t bytes, std::size_t& done);
Flow send_some(int socket, const void* source, std::size_t bytes, std::size_t& done);

}  // namespace ringside
