// Exposed memory between processes: only they hand descriptors to each other and map what is
// exposed. And only they can be killed or stopped with zero-copy messages out: everybody says so,
// at once or when time is up.
//
// The ranks are tests/programs/rank_program.cc.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "comm/error.h"
#include "tests/collectives/collective_case.h"
#include "tests/launcher/launched.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace std::chrono_literals;
using test::contains;
using test::Job;
using test::lines_of;
using test::RunResult;
using test::Words;

constexpr double kAtOnce_s = 10 * test::kSlack;

Words ranks_of(int ranks, const Words& arguments) {
  Words argv = test::launch_argv(ranks);
  argv.push_back(test::program_path("tests/programs/rank_program"));
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

void check_says(test::Context& t, const RunResult& result, int rank, const Words& parts) {
  for (const std::string& line : lines_of(result.err)) {
    bool all = line.starts_with(text("rank %d: ", rank));
    for (const std::string& part : parts) all = all && contains(line, part);
    if (all) return;
  }
  t.fail(__FILE__, __LINE__,
         text("rank %d does not say '%s'; all: %s", rank, parts[0].c_str(), result.err.c_str()));
}

void check_failed(test::Context& t, const Job& job, const RunResult& result, double within_s) {
  CHECK_MSG(result.exit_code > 0 && !result.timed_out, "exit status %d", result.exit_code);
  CHECK_MSG(result.seconds < within_s, "it took %.1f s", result.seconds);
  const std::string left = job.retired_windows();
  CHECK_MSG(left.empty(), "left behind: %s", left.c_str());
}

// Ranks in a loop of calls; one of them gets a signal while they go on.
RunResult run_and_signal(Job& job, int ranks, int victim, const char* memory, int signal_number,
                         const Words& environment) {
  const std::string ready = text("/tmp/ringside-test-exposed-%d", static_cast<int>(::getpid()));
  std::remove(ready.c_str());
  const RunResult result = job.run(ranks_of(ranks, {"loop", "--ready", ready, "--memory", memory}),
                                   {.environment = environment, .timeout_s = 40}, [&] {
                                     for (int i = 0; i < 1000 && !std::ifstream(ready).good(); ++i)
                                       std::this_thread::sleep_for(10ms);
                                     if (const std::optional<pid_t> pid = job.rank(victim))
                                       ::kill(*pid, signal_number);
                                   });
  std::remove(ready.c_str());
  return result;
}

}  // namespace

RINGSIDE_TEST(allocate_processes, results_are_right_and_memory_may_be_written_at_once) {
  for (const int ranks : {1, 2, 3, 4})
    for (const char* from : {"1", "4K", "never"}) {
      if (ranks != 3 && from[0] != '1') continue;
      const RunResult result = test::run(
          ranks_of(ranks, {"expose"}), {.environment = {text("RINGSIDE_ZERO_COPY_FROM=%s", from)}});
      CHECK_MSG(result.ok() && result.err.empty(), "%d ranks: %s", ranks, result.err.c_str());
    }
}

RINGSIDE_TEST(allocate_processes, rank_killed_with_unread_zero_copy_is_named) {
  for (const char* memory : {"exposed", "fresh"})
    for (int victim = 0; victim < 3; ++victim) {
      Job job;
      const RunResult result = run_and_signal(job, 3, victim, memory, SIGKILL, {});
      check_failed(t, job, result, kAtOnce_s);
      for (int rank = 0; rank < 3; ++rank)
        if (rank != victim)
          check_says(t, result, rank, {text("rank %d (pid ", victim), "has died; seen while"});
    }
}

RINGSIDE_TEST(allocate_processes, rank_killed_before_its_first_zero_copy_is_read_is_named) {
  for (const int ranks : {2, 3}) {
    Job job;
    const RunResult result =
        job.run(ranks_of(ranks, {"die-having-exposed", "--rank", "1"}), {.timeout_s = 40});
    check_failed(t, job, result, kAtOnce_s);
    for (int rank = 0; rank < ranks; ++rank)
      if (rank != 1) check_says(t, result, rank, {"rank 1 (pid ", "has died; seen while"});
  }
}

// A receiver of a message has no ring to look at: what it reads, or cannot read, has to tell it.
RINGSIDE_TEST(allocate_processes, sender_killed_before_its_first_zero_copy_is_read_is_named) {
  for (const int ranks : {2, 3}) {
    Job job;
    const RunResult result =
        job.run(ranks_of(ranks, {"die-having-exposed", "--rank", "1", "--what", "send"}),
                {.timeout_s = 40});
    check_failed(t, job, result, kAtOnce_s);
    for (int rank = 0; rank < ranks; ++rank)
      if (rank != 1) check_says(t, result, rank, {"rank 1 (pid ", "has died; seen while"});
  }
}

RINGSIDE_TEST(allocate_processes, rank_stopped_with_unread_zero_copy_is_named_when_time_is_up) {
  for (const char* memory : {"exposed", "fresh"}) {
    Job job;
    const RunResult result = run_and_signal(job, 3, 1, memory, SIGSTOP, {"RINGSIDE_TIMEOUT=1"});
    check_failed(t, job, result, kAtOnce_s);
    for (const int rank : {0, 2}) check_says(t, result, rank, {"rank 1 (pid ", " is stopped"});
  }
}

RINGSIDE_TEST(allocate_processes, rank_stopped_before_its_first_zero_copy_is_read_is_named) {
  Job job;
  const RunResult result = job.run(ranks_of(3, {"stop-having-exposed", "--rank", "1"}),
                                   {.environment = {"RINGSIDE_TIMEOUT=1"}, .timeout_s = 60});
  check_failed(t, job, result, kAtOnce_s);
  for (const int rank : {0, 2}) check_says(t, result, rank, {"rank 1 (pid ", " is stopped"});
}

}  // namespace ringside
