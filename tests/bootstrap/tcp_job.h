// Ranks over the tcp bootstrap, as threads of the test: rank 0 listens on a port of the kernel's
// choice, tells it to the others, and each thread has a bootstrap and an end of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "comm/bootstrap/tcp.h"
#include "comm/error.h"
#include "comm/util/tcp_socket.h"
#include "tests/errors/endings.h"

namespace ringside::test {

struct TcpJob {
  int size = 2;
  double timeout_s = 20;
  int port = 0;  // 0: of the kernel's choice, for which the other ranks' threads then wait
  Secret secret = draw_secret();

  // Changes a rank's options before it starts.
  std::function<void(TcpOptions&)> change = {};
  // Called by rank 0's thread as soon as it listens, before any rank calls: for strangers.
  std::function<void(int port)> on_listening = {};
  // What each rank does once it has started.
  std::function<void(TcpBootstrap&)> body = [](TcpBootstrap&) {};

  TcpOptions options(int rank, int its_port) const;

  // Runs one thread for each of `ranks`, by default 0 to size − 1; the ends in the same order.
  std::vector<Ending> run(std::vector<int> ranks = {}) const;
};

void check_all_well(Context& t, const std::vector<Ending>& ends);

// A deadline that only a hang meets.
inline Deadline soon() { return Deadline::after_seconds(20); }

// A port that was free a moment ago.
int free_port(const std::string& address = "127.0.0.1");

// A plain connection to a port of this host, for those who are no ranks.
class Stranger {
 public:
  explicit Stranger(int port);
  void say(const std::string& bytes);
  // Whether the other side closes within `seconds`, whatever it says before.
  bool is_sent_away(double seconds);

 private:
  UniqueFd socket_;
};

}  // namespace ringside::test
