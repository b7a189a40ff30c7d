// One handler and one thread for all communicators of a process.
#include "comm/diagnostics/flight_signal.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/diagnostics/flight_record.h"
#include "comm/error.h"
#include "comm/util/fd.h"
#include "comm/util/process.h"
#include "comm/util/start_thread.h"

namespace ringside {
namespace {

std::atomic<int> bell{-1};
std::atomic<pid_t> bell_owner{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler reads them");

void ring_bell(int) {
  if (bell_owner.load(std::memory_order_relaxed) != ::getpid())
    return;  // forked: it is the parent's
  const int before = errno;
  const std::uint64_t once = 1;
  if (::write(bell.load(std::memory_order_relaxed), &once, sizeof once) < 0) {
    // Nobody listens any more.
  }
  errno = before;
}

struct Rank {
  const Peers* peers;
  std::string folder;
};

class Listener;
struct Listening {
  std::mutex ranks_mutex;  // held while records are written, so that no rank goes meanwhile
  std::vector<Rank> ranks;
  std::mutex listener_mutex;
  int for_ranks = 0;
  std::unique_ptr<Listener> listener;
};

void write_all(Listening& all) {
  const std::lock_guard lock(all.ranks_mutex);
  for (const Rank& it : all.ranks) {
    const std::string problem = write_flight(*it.peers, it.folder, "signal");
    if (!problem.empty()) std::fprintf(stderr, "ringside: %s\n", problem.c_str());
  }
}

class Listener {
 public:
  explicit Listener(Listening& asked) : asked_(asked), bell_(::eventfd(0, EFD_CLOEXEC)) {
    if (!bell_) throw_system("cannot make an event descriptor");
    struct sigaction now {};
    ::sigaction(SIGUSR1, nullptr, &now);
    // Somebody else's signal. (A child has inherited the handler, and it did nothing.)
    if (now.sa_handler != SIG_DFL && now.sa_handler != ring_bell) return;
    // Signals are for the program's own threads.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = start_thread([this] { listen(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    bell.store(bell_.get(), std::memory_order_relaxed);
    bell_owner.store(::getpid(), std::memory_order_relaxed);
    struct sigaction action {};
    action.sa_handler = ring_bell;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGUSR1, &action, nullptr);
  }

  ~Listener() {
    if (!thread_.joinable()) return;
    // A signal that comes from now on would end the process, which the sender cannot mean.
    struct sigaction action {};
    action.sa_handler = SIG_IGN;
    ::sigaction(SIGUSR1, &action, nullptr);
    bell.store(-1, std::memory_order_relaxed);
    stop_.store(true);
    const std::uint64_t once = 1;
    if (::write(bell_.get(), &once, sizeof once) < 0) std::abort();  // an eventfd takes it
    thread_.join();
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGUSR1, &action, nullptr);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  void listen() {
    std::uint64_t times;
    while (::read(bell_.get(), &times, sizeof times) > 0 || errno == EINTR) {
      if (stop_.load()) return;
      write_all(asked_);
    }
  }

  Listening& asked_;
  UniqueFd bell_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

constinit TableOfProcess<Listening> listening;

}  // namespace

FlightOnSignal::FlightOnSignal(const Peers& peers, const std::string& folder) : peers_(peers) {
  Listening& all = listening.get();
  const std::lock_guard lock(all.listener_mutex);
  if (all.for_ranks == 0) all.listener = std::make_unique<Listener>(all);
  ++all.for_ranks;
  const std::lock_guard ranks_lock(all.ranks_mutex);
  all.ranks.push_back({&peers, folder});
}

FlightOnSignal::~FlightOnSignal() {
  Listening& all = listening.get();
  {
    const std::lock_guard lock(all.ranks_mutex);
    std::erase_if(all.ranks, [&](const Rank& it) { return it.peers == &peers_; });
  }
  const std::lock_guard lock(all.listener_mutex);
  if (--all.for_ranks == 0) all.listener.reset();
}

}  // namespace ringside
