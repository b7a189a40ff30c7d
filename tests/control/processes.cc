// Ranks as processes that know each other over control sockets alone (RINGSIDE_CONTROL=socket),
// under each launcher: who is killed, stopped, late or gone is named in the same sentences as over
// shared memory (tests/launcher/processes.cc), in time, and nothing is left behind.
#include <signal.h>

#include <functional>
#include <optional>

#include "tests/support/folder.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

const std::string kProgram = test::program_path("tests/programs/rank_program");

// Where what is tried has nothing to do with how ranks are started; mpirun is slow.
std::vector<Words> only_launch(int ranks) { return {test::launch_argv(ranks)}; }

constexpr const char* kSockets = "RINGSIDE_CONTROL=socket";

struct Watched {
  Job job;
  RunResult result;
};

// Runs rank_program, and judges what is the same for all that goes wrong.
void run(test::Context& t, Watched& it, const Words& launcher, const Words& arguments,
         const Words& environment, const std::function<void()>& meanwhile = {}) {
  it.result = it.job.run(with(with(launcher, {kProgram}), arguments),
                         {.environment = environment, .timeout_s = 30}, meanwhile);
  check_fails_cleanly(t, it.job, it.result);
}

void signal_rank_1(const Job& job, const ReadyFile& ready, int number) {
  if (!ready.wait()) return;
  if (const std::optional<pid_t> pid = job.rank(1)) ::kill(*pid, number);
}

}  // namespace

RINGSIDE_TEST(control_processes, who_is_killed_is_named) {
  for (const Words& launcher : launchers(3)) {
    Watched it;
    const ReadyFile ready;
    run(t, it, launcher, {"loop", "--ready", ready.path()}, {kSockets},
        [&] { signal_rank_1(it.job, ready, SIGKILL); });
    for (const int rank : {0, 2})
      check_says(t, it.result, rank, {"in all_reduce #", "rank 1 (pid ", "has died"});
  }
}

// Its kernel still answers for it, so it is not dead; its service thread does not.
RINGSIDE_TEST(control_processes, who_is_stopped_is_silent) {
  for (const Words& launcher : only_launch(3)) {
    Watched it;
    const ReadyFile ready;
    run(t, it, launcher, {"loop", "--ready", ready.path()}, {kSockets, "RINGSIDE_TIMEOUT=1"},
        [&] { signal_rank_1(it.job, ready, SIGSTOP); });
    for (const int rank : {0, 2})
      check_says(t, it.result, rank,
                 {"rank 1 (pid ", " does not answer (its process is stopped, or "});
  }
}

RINGSIDE_TEST(control_processes, straggler_is_named_when_time_is_up) {
  for (const Words& launcher : only_launch(3)) {
    Watched it;
    run(t, it, launcher, {"stall", "--op", "3"},
        {kSockets, "RINGSIDE_TIMEOUT=1.5", "RINGSIDE_WARN=0.3"});
    CHECK(it.result.seconds >= 1.5);
    for (const int rank : {0, 2})
      check_says(t, it.result, rank,
                 {"RINGSIDE_TIMEOUT=1.5", "rank 1 (pid ", "is alive, and it has not entered"});
    check_has(t, it.result.err, {"goes on waiting; rank 1 (pid "});
  }
}

RINGSIDE_TEST(control_processes, who_leaves_is_named) {
  for (const Words& launcher : only_launch(3)) {
    Watched it;
    run(t, it, launcher, {"leave", "--op", "5"}, {kSockets});
    for (const int rank : {0, 2})
      check_says(t, it.result, rank, {"rank 1 (pid ", "has left (it destroyed its communicator"});
  }
}

RINGSIDE_TEST(control_processes, who_calls_something_else_is_named) {
  for (const Words& launcher : only_launch(2)) {
    Watched it;
    run(t, it, launcher, {"mismatch", "--what", "count", "--bytes", "4"}, {kSockets});
    for (const int rank : {0, 1})
      check_says(t, it.result, rank,
                 {"the ranks are doing different things", "the count differs: "});
  }
}

// And nobody is, when all goes well.
RINGSIDE_TEST(control_processes, six_starts_leave_nothing) {
  for (const Words& launcher : launchers(3))
    for (int cycle = 0; cycle < (launcher == test::launch_argv(3) ? 5 : 1); ++cycle) {
      Job job;
      const RunResult result =
          job.run(with(launcher, {kProgram, "ok"}), {.environment = {kSockets}, .timeout_s = 30});
      CHECK_EQ(result.exit_code, 0);
      CHECK_EQ(result.err, "");
      check_nothing_left(t, job);
    }
}

}  // namespace ringside
