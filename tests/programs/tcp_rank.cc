// A rank that does nothing but meet the others over the tcp bootstrap, again and again; tests start
// it by tools/launch.
//
//   launch -n N tcp_rank MEETINGS              meets, and goes
//   launch -n N tcp_rank MEETINGS RANK WHEN    RANK is killed (-9) where the meeting WHEN would be
//
// An Error is printed to stderr as `rank R: SENTENCE`, and the exit status is then 1.
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "comm/bootstrap/tcp.h"
#include "comm/error.h"

int main(int argc, char** argv) {
  using namespace ringside;
  const int meetings = argc > 1 ? std::atoi(argv[1]) : 1;
  const int victim = argc > 3 ? std::atoi(argv[2]) : -1;
  const int when = argc > 3 ? std::atoi(argv[3]) : 0;
  const char* rank = std::getenv("RANK");
  try {
    const Deadline deadline = Deadline::after_seconds(20);
    const auto bootstrap = TcpBootstrap::start(TcpOptions::from_environment(), deadline);
    for (int meeting = 1; meeting <= meetings; ++meeting) {
      if (bootstrap->rank() == victim && meeting == when) ::raise(SIGKILL);
      const int sum_wanted = bootstrap->size() * (bootstrap->size() - 1) / 2;
      int sum = 0;
      for (const int it : bootstrap->all_gather(bootstrap->rank(), deadline)) sum += it;
      if (sum != sum_wanted) throw Error(Fault::protocol, "the ranks are not each there once");
    }
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "rank %s: %s\n", rank == nullptr ? "?" : rank, error.what());
    return 1;
  }
}
