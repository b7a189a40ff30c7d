// Exposed memory between processes: only they hand descriptors to each other and map what is
// exposed. And only they can be killed or stopped with zero-copy messages out: everybody says so,
// at once or when time is up.
//
// The ranks are tests/programs/rank_program.cc.
#include <signal.h>

#include <optional>

#include "tests/support/folder.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

Words ranks_of(int ranks, const Words& arguments) {
  return with(with(test::launch_argv(ranks), {test::program_path("tests/programs/rank_program")}),
              arguments);
}

// Ranks in a loop of calls; one of them gets a signal while they go on.
RunResult run_and_signal(Job& job, int ranks, int victim, const char* memory, int signal_number,
                         const Words& environment) {
  const test::ReadyFile ready;
  const Words argv = ranks_of(ranks, {"loop", "--ready", ready.path(), "--memory", memory});
  return job.run(argv, {.environment = environment, .timeout_s = 40}, [&] {
    if (!ready.wait()) return;
    if (const std::optional<pid_t> pid = job.rank(victim)) ::kill(*pid, signal_number);
  });
}

void check_victim_is_named(test::Context& t, const RunResult& result, int ranks, int victim) {
  for (int rank = 0; rank < ranks; ++rank)
    if (rank != victim)
      check_says(t, result, rank, {text("rank %d (pid ", victim), "has died; seen while"});
}

// Rank 1 is killed right after it first exposes memory, in a call that `more` says.
void check_killed_at_once(test::Context& t, const Words& more) {
  for (const int ranks : {2, 3}) {
    Job job;
    const RunResult result = job.run(
        ranks_of(ranks, with({"die-having-exposed", "--rank", "1"}, more)), {.timeout_s = 40});
    check_fails_cleanly(t, job, result);
    check_victim_is_named(t, result, ranks, 1);
  }
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
      check_fails_cleanly(t, job, result);
      check_victim_is_named(t, result, 3, victim);
    }
}

RINGSIDE_TEST(allocate_processes, rank_killed_before_its_first_zero_copy_is_read_is_named) {
  check_killed_at_once(t, {});
}

// A receiver of a message has no ring to look at: what it reads, or cannot read, has to tell it.
RINGSIDE_TEST(allocate_processes, sender_killed_before_its_first_zero_copy_is_read_is_named) {
  check_killed_at_once(t, {"--what", "send"});
}

RINGSIDE_TEST(allocate_processes, rank_stopped_with_unread_zero_copy_is_named_when_time_is_up) {
  for (const char* memory : {"exposed", "fresh"}) {
    Job job;
    const RunResult result = run_and_signal(job, 3, 1, memory, SIGSTOP, {"RINGSIDE_TIMEOUT=1"});
    check_fails_cleanly(t, job, result);
    for (const int rank : {0, 2}) check_says(t, result, rank, {"rank 1 (pid ", " is stopped"});
  }
}

RINGSIDE_TEST(allocate_processes, rank_stopped_before_its_first_zero_copy_is_read_is_named) {
  Job job;
  const RunResult result = job.run(ranks_of(3, {"stop-having-exposed", "--rank", "1"}),
                                   {.environment = {"RINGSIDE_TIMEOUT=1"}, .timeout_s = 60});
  check_fails_cleanly(t, job, result);
  for (const int rank : {0, 2}) check_says(t, result, rank, {"rank 1 (pid ", " is stopped"});
}

}  // namespace ringside
