// Ranks as processes that know each other over control sockets alone (RINGSIDE_CONTROL=socket),
// under each launcher: who is killed, stopped, late or gone is named in the same sentences as over
// shared memory (tests/launcher/processes.cc), in time, and nothing is left behind.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <thread>

#include "comm/error.h"
#include "tests/launcher/launched.h"
#include "tests/support/job.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using test::contains;
using test::Job;
using test::launchers;
using test::RunResult;
using test::Words;

// Where what is tried has nothing to do with how ranks are started; mpirun is slow.
std::vector<Words> only_launch(int ranks) { return {test::launch_argv(ranks)}; }

constexpr const char* kSockets = "RINGSIDE_CONTROL=socket";

// A file that rank_program makes once its ranks are running, and that is gone afterwards.
struct ReadyFile {
  std::string path = text("/tmp/ringside-test-control-%d", static_cast<int>(::getpid()));
  ReadyFile() { std::remove(path.c_str()); }
  ~ReadyFile() { std::remove(path.c_str()); }
  bool wait() const {
    for (int i = 0; i < 1000; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(10)))
      if (std::ifstream(path).good()) return true;
    return false;
  }
};

struct Watched {
  Job job;
  RunResult result;
};

// Runs rank_program, and judges what is the same for all that goes wrong.
void run(test::Context& t, Watched& it, Words argv, const Words& arguments,
         const Words& environment, const std::function<void()>& meanwhile = {}) {
  argv.push_back(test::program_path("tests/programs/rank_program"));
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  it.result = it.job.run(argv, {.environment = environment, .timeout_s = 30}, meanwhile);
  CHECK_MSG(it.result.exit_code > 0, "exit status %d", it.result.exit_code);
  CHECK_MSG(!it.result.timed_out && it.result.seconds < 10 * test::kSlack, "it took %.1f s",
            it.result.seconds);
  const std::string left = it.job.retired_windows();
  CHECK_MSG(left.empty(), "left behind: %s", left.c_str());
}

void check_says(test::Context& t, const RunResult& result, int rank, const Words& parts) {
  bool said = false;
  for (const std::string& line : test::lines_of(result.err)) {
    bool all = line.starts_with(text("rank %d: ", rank));
    for (const std::string& part : parts) all = all && contains(line, part);
    said = said || all;
  }
  CHECK_MSG(said, "rank %d does not say '%s'; all: %s", rank, parts.back().c_str(),
            result.err.c_str());
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
    run(t, it, launcher, {"loop", "--ready", ready.path}, {kSockets},
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
    run(t, it, launcher, {"loop", "--ready", ready.path}, {kSockets, "RINGSIDE_TIMEOUT=1"},
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
    CHECK_MSG(contains(it.result.err, "goes on waiting; rank 1 (pid "), "no warning: %s",
              it.result.err.c_str());
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
      Words argv = launcher;
      argv.insert(argv.end(), {test::program_path("tests/programs/rank_program"), "ok"});
      const RunResult result = job.run(argv, {.environment = {kSockets}, .timeout_s = 30});
      CHECK_EQ(result.exit_code, 0);
      CHECK_EQ(result.err, "");
      const std::string left = job.retired_windows();
      CHECK_MSG(left.empty(), "left behind: %s", left.c_str());
    }
}

}  // namespace ringside
