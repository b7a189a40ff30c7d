// A wait at the start that lasts is reported, once, by the rank that knows for whom it is.
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/bootstrap/tcp_job.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace std::chrono_literals;
using namespace test;

// What the ranks of a job report, in the order in which they do.
struct Reports {
  std::mutex mutex;
  std::vector<std::string> sentences;

  void listen(TcpOptions& options) {
    options.warn_s = 0.4;
    options.on_warning = [this](const std::string& sentence) {
      const std::lock_guard lock(mutex);
      sentences.push_back(sentence);
    };
  }
  void check_one(Context& t, const std::vector<std::string>& parts) const {
    CHECK_EQ(sentences.size(), 1u);
    for (const std::string& sentence : sentences) check_has(t, sentence, parts);
  }
};

}  // namespace

// Longer than the others would take to wonder about rank 0.
RINGSIDE_TEST(bootstrap_warnings, rank_0_says_who_has_come_and_who_has_not) {
  Reports reports;
  TcpJob job{.size = 4};
  job.change = [&](TcpOptions& options) {
    reports.listen(options);
    if (options.rank == 2) std::this_thread::sleep_for(1800ms);
  };
  check_all_well(t, job.run());
  reports.check_one(t, {"rank 0 waited at 127.0.0.1:", " for rank 2 (ranks 1, 3 have come)",
                        "0.4 s by now, and goes on waiting"});
}

RINGSIDE_TEST(bootstrap_warnings, a_rank_that_does_not_reach_rank_0_says_so) {
  Reports reports;
  TcpOptions options = TcpJob{}.options(1, free_port());
  reports.listen(options);
  ending_of([&] { TcpBootstrap::start(options, Deadline::after_seconds(1.7)); });
  reports.check_one(t, {"rank 1 tried to reach rank 0 (127.0.0.1:", "Connection refused"});
}

// Somebody who has the port and says nothing.
RINGSIDE_TEST(bootstrap_warnings, a_rank_that_is_not_answered_says_so) {
  const UniqueFd listener = listen_on(resolve("127.0.0.1", 0));
  Reports reports;
  TcpOptions options = TcpJob{}.options(1, local_address(listener.get()).port());
  reports.listen(options);
  const Ending end = ending_of([&] { TcpBootstrap::start(options, Deadline::after_seconds(1.7)); });
  reports.check_one(t, {"rank 1 reached 127.0.0.1:", "where nobody answers"});
  check_fault(t, end, Fault::timeout, {"where nobody answers"});
}

RINGSIDE_TEST(bootstrap_warnings, a_rank_that_is_late_for_an_exchange_is_named) {
  for (const int late : {2, 0}) {
    Reports reports;
    TcpJob job{.size = 3};
    job.change = [&](TcpOptions& options) {
      reports.listen(options);
      if (options.rank == 1) options.warn_s = late == 0 ? 0.4 : 20;  // one of two waits for rank 0
      if (options.rank == 2 && late == 0) options.warn_s = 0;
    };
    job.body = [&](TcpBootstrap& bootstrap) {
      if (bootstrap.rank() == late) std::this_thread::sleep_for(1800ms);
      bootstrap.barrier(soon());
    };
    check_all_well(t, job.run());
    reports.check_one(
        t, {late == 0 ? "rank 1, in start-up exchange #1, waited for rank 0 and has heard nothing"
                      : "rank 0, in start-up exchange #1, waited for rank 2"});
  }
}

// The control of the ones above.
RINGSIDE_TEST(bootstrap_warnings, a_start_in_time_is_silent) {
  Reports reports;
  TcpJob job{.size = 3};
  job.change = [&](TcpOptions& options) {
    reports.listen(options);
    options.warn_s = 20;
  };
  check_all_well(t, job.run());
  CHECK(reports.sentences.empty());
}

}  // namespace ringside
