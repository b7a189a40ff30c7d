// The start-up on a machine that is crowded or busy: strangers in any number hold no rank up, and a
// rank that was hung up on comes again.
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/bootstrap/tcp_job.h"
#include "tests/control/worlds.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

void meet(TcpBootstrap& bootstrap) { bootstrap.barrier(soon()); }

// Connections to a port that are made anew as soon as they end, while it lives. All are there once
// it is made.
class Storm {
 public:
  Storm(int port, int connections) {
    thread_ = std::thread([this, port, connections] {
      std::vector<std::optional<Stranger>> strangers(static_cast<std::size_t>(connections));
      for (; !over_; nap_ms(1))
        for (std::optional<Stranger>& it : strangers) {
          if (it && !it->is_sent_away(1e-6)) continue;
          try {
            it.emplace(port);
            ++made_;
          } catch (const Error&) {
            it.reset();  // nobody listens any more
          }
        }
    });
    while (made_ < connections) nap_ms(1);
  }
  ~Storm() {
    over_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> over_{false};
  std::atomic<int> made_{0};
  std::thread thread_;
};

// One that takes what calls a port in, `times` times, and hangs up.
void hang_up(const UniqueFd& listener, int times) {
  std::vector<pollfd> waiting = {{listener.get(), POLLIN, 0}};
  for (int error = 0; times > 0; times -= accept_one(listener.get(), error) ? 1 : 0)
    poll_a_moment(waiting, soon());
}

}  // namespace

RINGSIDE_TEST(bootstrap_crowd, silent_ones_hold_nobody_up) {
  TcpJob job{.size = 3};
  std::vector<Stranger> strangers;
  job.on_listening = [&](int port) {
    for (int i = 0; i < 400; ++i) strangers.emplace_back(port);
  };
  job.body = meet;
  check_all_well(t, job.run());
}

RINGSIDE_TEST(bootstrap_crowd, a_storm_of_them_holds_nobody_up) {
  TcpJob job{.size = 4};
  std::vector<std::unique_ptr<Storm>> storms;
  job.change = [](TcpOptions& options) { options.strangers_max = 20; };
  job.on_listening = [&](int port) {
    for (int i = 0; i < 3; ++i) storms.push_back(std::make_unique<Storm>(port, 50));
  };
  job.body = meet;
  check_all_well(t, job.run());
}

RINGSIDE_TEST(bootstrap_crowd, who_was_missing_is_said_beside_the_strangers) {
  TcpJob job{.size = 3, .timeout_s = 1};
  std::vector<Stranger> strangers;
  job.change = [](TcpOptions& options) { options.strangers_max = 4; };
  job.on_listening = [&](int port) {
    for (int i = 0; i < 9; ++i) strangers.emplace_back(port);
  };
  check_fault(t, job.run({0, 1})[0], Fault::timeout,
              {"for rank 2 (rank 1 has come; ", "connections came and were no rank's"});
}

// Rank 0 is allowed fewer descriptors than there are strangers.
RINGSIDE_TEST(bootstrap_crowd, strangers_that_take_all_descriptors_end_no_job) {
  const int port = free_port();
  const std::string common = text(
      "WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=%d "
      "RINGSIDE_SECRET=%064d ",
      port, 7);
  const std::string program = program_path("tests/programs/tcp_rank") + " 1";
  RunResult ranks[2];
  std::thread rank_0(
      [&] { ranks[0] = shell("ulimit -n 40; RANK=0 " + common + "exec " + program); });
  std::vector<Stranger> strangers;
  for (const Deadline deadline = soon(); strangers.size() < 60 && !deadline.passed();) try {
      strangers.emplace_back(port);
    } catch (const Error&) {
      nap_ms(5);  // it does not listen yet
    }
  CHECK_EQ(strangers.size(), 60u);
  ranks[1] = shell("RANK=1 " + common + "exec " + program);
  rank_0.join();
  for (const RunResult& it : ranks) CHECK_MSG(it.ok(), "%s", it.err.c_str());
}

// Ranks that get a tenth of what three busy loops leave. Where a wait of some 100 ms was taken for
// an end (fd_server.h once hung up after 200) this start failed.
RINGSIDE_TEST(bootstrap_crowd, a_starved_job_starts) {
  if (kSanitized) SKIP("slow enough without a sanitizer");
  std::string command =
      "for i in 1 2 3; do (while :; do :; done) & loops=\"$loops $!\"; done; nice -n 19";
  for (const std::string& word : with(launch_argv(6), {program_path("tests/programs/any_rank")}))
    command += " " + word;
  const RunResult result =
      shell(command + "; status=$?; kill $loops; exit $status", {.timeout_s = 110});
  CHECK_MSG(result.ok(), "%s", result.err.c_str());
  CHECK_EQ(lines_with(result.out, "of 6, bootstrap tcp: sum 21"), 6u);
}

RINGSIDE_TEST(bootstrap_crowd, who_was_hung_up_on_comes_again) {
  UniqueFd listener = listen_on(resolve("127.0.0.1", 0));
  TcpJob job{.size = 2, .port = local_address(listener.get()).port()};
  job.change = [&](TcpOptions& options) {
    if (options.rank != 0) return;
    hang_up(listener, 3);
    listener = UniqueFd();
  };
  job.body = meet;
  check_all_well(t, job.run());
}

RINGSIDE_TEST(bootstrap_crowd, who_was_hung_up_on_comes_again_for_control) {
  std::vector<UniqueFd> listeners;
  std::vector<TcpAddress> addresses;
  for (int rank = 0; rank < 2; ++rank) {
    listeners.push_back(listen_on(resolve("127.0.0.1", 0)));
    addresses.push_back(local_address(listeners.back().get()));
  }
  const Secret secret = draw_secret();
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    const std::size_t rank = index(bootstrap.rank());
    if (rank == 0) hang_up(listeners[0], 2);
    const auto links =
        connect_mesh(bootstrap.rank(), std::move(listeners[rank]), addresses, secret, {soon()});
    CHECK(links[1 - rank]);
  });
}

}  // namespace ringside
