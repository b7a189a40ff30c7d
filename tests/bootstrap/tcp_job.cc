// Threads as ranks, and strangers; see tcp_job.h.
#include "tests/bootstrap/tcp_job.h"

#include <sys/time.h>

#include <atomic>
#include <future>
#include <numeric>
#include <thread>

namespace ringside::test {

TcpOptions TcpJob::options(int rank, int its_port) const {
  TcpOptions it;
  it.rank = rank;
  it.size = size;
  it.port = its_port;
  it.secret = secret;
  return it;
}

std::vector<Ending> TcpJob::run(std::vector<int> ranks) const {
  if (ranks.empty()) {
    ranks.resize(static_cast<std::size_t>(size));
    std::iota(ranks.begin(), ranks.end(), 0);
  }
  std::promise<int> listening;
  const std::shared_future<int> told_port = listening.get_future().share();
  std::atomic<bool> told{false};
  const auto tell = [&](int number) {
    if (!told.exchange(true)) listening.set_value(number);
  };
  const auto be = [&](int rank) {
    TcpOptions it = options(rank, rank == 0 || port != 0 ? port : told_port.get());
    if (rank == 0)
      it.on_listening = [&](int number) {
        if (on_listening) on_listening(number);
        tell(number);
      };
    if (change) change(it);
    const auto bootstrap = TcpBootstrap::start(it, Deadline::after_seconds(timeout_s));
    body(*bootstrap);
  };
  std::vector<Ending> ends(ranks.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < ranks.size(); ++i)
    threads.emplace_back([&, i] {
      ends[i] = ending_of([&] { be(ranks[i]); });
      if (ranks[i] == 0) tell(1);  // had it failed before it listened, the others would wait
    });
  for (std::thread& thread : threads) thread.join();
  return ends;
}

int free_port(const std::string& address) {
  return local_address(listen_on(resolve(address, 0)).get()).port();
}

Stranger::Stranger(int port) {
  int error = 0;
  socket_ = connect_once(resolve("127.0.0.1", port).at(0), 5, {Deadline::after_seconds(5)}, error);
  if (!socket_) throw Error(Fault::system, text("a stranger cannot reach port %d", port));
}

void Stranger::say(const std::string& bytes) {
  std::size_t sent = 0;
  send_some(socket_.get(), bytes.data(), bytes.size(), sent);
}

bool Stranger::is_sent_away(double seconds) {
  const Deadline deadline = Deadline::after_seconds(seconds);
  std::vector<pollfd> waiting = {{socket_.get(), POLLIN, 0}};
  for (;;) {
    char answer = 0;
    std::size_t received = 0;
    const Flow flow = receive_some(socket_.get(), &answer, 1, received);
    if (flow == Flow::gone) return true;
    if (flow == Flow::blocked && deadline.passed()) return false;
    if (flow == Flow::blocked) poll_a_moment(waiting, deadline);
  }
}

void check_all_well(Context& t, const std::vector<Ending>& ends) {
  for (const Ending& end : ends) CHECK_MSG(!end.failed, "%s", end.sentence.c_str());
}

}  // namespace ringside::test
