// Flight records of ranks that are processes: asked by a signal, stopped, or dead.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <thread>

#include "tests/faults/flight_files.h"
#include "tests/support/folder.h"
#include "tests/support/job.h"
#include "tests/support/process.h"

using namespace ringside;
using namespace ringside::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

bool wait_for(const std::function<bool()>& done) {
  for (int i = 0; i < 1500; ++i, std::this_thread::sleep_for(10ms))
    if (done()) return true;
  return false;
}

bool written_by_themselves(const Folder& folder, int ranks) {
  for (int rank = 0; rank < ranks; ++rank)
    if (asked(record_of(folder, rank), "r['written_by'] == r['rank']") != "True") return false;
  return true;
}

// tests/programs/rank_program: ranks that reduce until a signal stops them.
Words looping(const Words& launcher, const ReadyFile& ready) {
  return with(launcher,
              {program_path("tests/programs/rank_program"), "loop", "--ready", ready.path()});
}

}  // namespace

// Asked by a signal, ranks answer and go on: also where somebody else passes the signal on.
RINGSIDE_TEST(flight_processes, sigusr1_is_answered_by_every_rank) {
  NEEDS_PYTHON();
  for (const Words& launcher : launchers(3)) {
    const Folder folder;
    const ReadyFile ready;
    Job job;
    const RunResult result =
        job.run(looping(launcher, ready),
                {.environment = {"RINGSIDE_FLIGHT=" + folder.path()}, .timeout_s = 30}, [&] {
                  CHECK(ready.wait());
                  for (int round = 0; round < 2; ++round) {
                    for (const std::string& name : folder.names()) fs::remove(folder.file(name));
                    ::kill(job.command(), SIGUSR1);
                    CHECK(wait_for([&] { return written_by_themselves(folder, 3); }));
                    for (int rank = 0; rank < 3; ++rank)
                      CHECK_EQ(asked(record_of(folder, rank), "r['why'], r['state'], r['process']"),
                               "signal running there");
                  }
                  ::kill(job.command(), SIGTERM);
                });
    CHECK(!result.timed_out);
    CHECK_EQ(job.retired_windows(), "");
  }
}

// One rank is asked, and another one does not run at all: its status page is read for it.
RINGSIDE_TEST(flight_processes, a_stopped_rank_is_written_by_another) {
  NEEDS_PYTHON();
  const Folder folder;
  const ReadyFile ready;
  Job job;
  const RunResult result = job.run(
      looping(launch_argv(3), ready),
      {.environment = {"RINGSIDE_FLIGHT=" + folder.path()}, .timeout_s = 30}, [&] {
        const bool all_there = ready.wait();
        const std::optional<pid_t> asked_one = job.rank(0), stopped = job.rank(1);
        CHECK(all_there && asked_one && stopped);
        if (!asked_one || !stopped) return;
        ::kill(*stopped, SIGSTOP);
        std::this_thread::sleep_for(100ms);
        ::kill(*asked_one, SIGUSR1);
        CHECK(wait_for([&] { return folder.names().size() == 3; }));
        CHECK_EQ(asked(record_of(folder, 1), "r['process'], r['written_by'], len(r['calls']) > 0"),
                 "stopped 0 True");
        const RunResult found = flight({folder.path()});
        check_has(t, found.out, {"the record of rank 1 was read from its status page by rank 0"});
        check_has(t, found.out, {"     1  stopped "});
        ::kill(*stopped, SIGCONT);
        for (int rank = 0; rank < 3; ++rank)
          if (const std::optional<pid_t> pid = job.rank(rank)) ::kill(*pid, SIGTERM);
      });
  CHECK(!result.timed_out);
  CHECK_EQ(job.retired_windows(), "");
}

RINGSIDE_TEST(flight_processes, the_record_of_a_dead_rank_is_written_by_another) {
  NEEDS_PYTHON();
  for (const Words& launcher : launchers(3)) {
    const Folder folder;
    const Words argv = with(launcher, {tool_path("ring_allreduce"), "--no-demo", "-e", "64", "-n",
                                       "3", "--fault", "die:rank=1,op=20"});
    Job job;
    const RunResult result =
        job.run(argv, {.environment = {"RINGSIDE_FLIGHT=" + folder.path()}, .timeout_s = 30});
    CHECK(result.exit_code != 0);
    CHECK_EQ(folder.names().size(), 3u);
    CHECK_EQ(asked(record_of(folder, 1), "r['process'], r['written_by'] in (0, 2), r['finished']"),
             "gone True 19");
    const RunResult found = flight({folder.path()});
    CHECK_EQ(found.exit_code, 1);
    check_has(t, found.out, {"rank 1 is behind: not in collective 20"});
    CHECK_EQ(job.retired_windows(), "");
  }
}
