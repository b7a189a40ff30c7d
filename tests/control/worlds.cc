// Ranks that watch each other: through memory and a process that can be killed, and over sockets.
#include "tests/control/worlds.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "comm/control/shared.h"
#include "comm/error.h"
#include "comm/transport/shm/shm.h"
#include "tests/support/test.h"

extern char** environ;

namespace ringside::test {
namespace {

std::unique_ptr<Control> wrapped(std::unique_ptr<Control> control, int rank,
                                 const ControlUnderTest::Wrap& wrap) {
  return rank == 0 && wrap ? wrap(std::move(control)) : std::move(control);
}

// Windows of threads, but the victim's process is a child that sleeps.
class SharedWorld : public ControlWorld {
 public:
  explicit SharedWorld(const ControlUnderTest::Wrap& wrap) {
    const Secret secret = draw_secret();
    constexpr std::size_t kBytes = (sizeof(StatusPage) + kLineBytes - 1) / kLineBytes * kLineBytes;
    start_sleeper();
    for (int rank = 0; rank < kRanks; ++rank) {
      transports_.push_back(std::make_unique<ShmTransport>(secret, ShmOptions{.serve = false}));
      windows_.push_back(transports_.back()->expose(kBytes, 1));
      status_pages_.push_back(new (windows_.back()->data()) StatusPage);
      PeerInfo who;
      who.process = rank == kVictim ? 2 : 1;
      who.pid = rank == kVictim ? sleeper_ : ::getpid();
      everyone_.push_back(who);
    }
    for (int rank = 0; rank < kVictim; ++rank) {
      for (int peer = 0; peer < kRanks; ++peer)
        opened_[index(rank)].push_back(
            peer == rank ? nullptr
                         : transports_[index(rank)]->open(peer, windows_[index(peer)]->handle(),
                                                          Deadline::after_seconds(10)));
      controls_[index(rank)] = wrapped(
          std::make_unique<SharedControl>(rank, everyone_, opened_[index(rank)], 0), rank, wrap);
    }
  }
  ~SharedWorld() override { kill_victim(); }

  StatusPage& status_page(int rank) override { return *status_pages_[index(rank)]; }
  int alarm(int rank) override {
    return static_cast<int>(windows_[index(rank)]->cell(0).acquire().sequence);
  }
  void silence_victim() override { ::kill(sleeper_, SIGSTOP); }
  void kill_victim() override {
    if (sleeper_ <= 0) return;
    ::kill(sleeper_, SIGKILL);
    ::waitpid(sleeper_, nullptr, 0);
    sleeper_ = 0;
  }
  void part_with_rank_1() override { status_page(1).set_left(); }

 private:
  void start_sleeper() {
    char name[] = "sleep", seconds[] = "60";
    char* argv[] = {name, seconds, nullptr};
    if (::posix_spawnp(&sleeper_, name, nullptr, nullptr, argv, environ) != 0)
      throw Error(Fault::system, "cannot start sleep");
  }

  pid_t sleeper_ = 0;
  std::vector<PeerInfo> everyone_;
  std::vector<std::unique_ptr<ShmTransport>> transports_;
  std::vector<std::unique_ptr<Window>> windows_;
  std::vector<StatusPage*> status_pages_;
  std::array<SharedControl::Windows, kRanks> opened_;
};

}  // namespace

std::vector<std::vector<UniqueFd>> mesh_of(
    int ranks, const std::function<void(const std::vector<int>& ports)>& before,
    std::size_t strangers_max) {
  std::vector<UniqueFd> listeners;
  std::vector<TcpAddress> addresses;
  std::vector<int> ports;
  for (int rank = 0; rank < ranks; ++rank) {
    listeners.push_back(listen_on(resolve("127.0.0.1", 0)));
    addresses.push_back(local_address(listeners.back().get()));
    ports.push_back(addresses.back().port());
  }
  if (before) before(ports);
  const Secret secret = draw_secret();
  std::vector<std::vector<UniqueFd>> links(index(ranks));
  std::vector<std::string> failures(index(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      const StopCondition stop{Deadline::after_seconds(20)};
      try {
        links[index(rank)] = connect_mesh(rank, std::move(listeners[index(rank)]), addresses,
                                          secret, stop, strangers_max);
      } catch (const std::exception& error) {
        failures[index(rank)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& failure : failures)
    if (!failure.empty()) throw Error(Fault::system, failure);
  return links;
}

SocketWorld::SocketWorld(Victim victim, const ControlUnderTest::Wrap& wrap) {
  std::vector<std::vector<UniqueFd>> links = mesh_of(kRanks);
  for (int rank = 0; rank < kVictim; ++rank)
    victim_[index(rank)] = ControlLink(std::move(links[index(kVictim)][index(rank)]));
  if (victim == Victim::answers)
    answering_ = std::thread([this] {
      for (; !silent_; std::this_thread::sleep_for(std::chrono::milliseconds(1)))
        for (ControlLink& link : victim_) {
          if (link.receive() == ControlLink::Event::question)
            link.put_status(link.number(), Status{});
          link.send();
        }
    });
  for (int rank = 0; rank < kVictim; ++rank) {
    const auto on_alarm = [this, rank](int origin) {
      alarms_[index(rank)].release({static_cast<std::uint32_t>(origin) + 1, 1});
    };
    controls_[index(rank)] = wrapped(
        std::make_unique<SocketControl>(std::move(links[index(rank)]), status_page(rank), on_alarm),
        rank, wrap);
  }
}

SocketWorld::~SocketWorld() {
  kill_victim();  // or the others would wait for it to hear their farewell
  for (std::unique_ptr<Control>& control : controls_) control.reset();  // before the status pages
}

void SocketWorld::silence_victim() {
  silent_ = true;
  if (answering_.joinable()) answering_.join();
}

void SocketWorld::kill_victim() {
  silence_victim();
  for (ControlLink& link : victim_) link.close();
}

int SocketWorld::alarm(int rank) {
  return static_cast<int>(alarms_[index(rank)].acquire().sequence);
}

ControlUnderTest shared_control() {
  return {"shared", [](const auto& wrap) { return std::make_unique<SharedWorld>(wrap); }};
}
ControlUnderTest socket_control() {
  return {"socket",
          [](const auto& wrap) { return std::make_unique<SocketWorld>(Victim::answers, wrap); }};
}

}  // namespace ringside::test
