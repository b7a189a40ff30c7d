// How a job of tools/launch ends: by a rank that fails or is killed, by signals, by the clock, by a
// kill -9 of launch itself. Each is passed on and reported, and nothing is left behind.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "comm/error.h"
#include "tests/launcher/launched.h"
#include "tests/support/folder.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;
using namespace std::chrono_literals;

// Each rank of a meeting has left its parent's number there.
void signal_launch(const Meeting& meeting, int signal) {
  if (const int pid = meeting.number(0); pid > 1) ::kill(pid, signal);
}

}  // namespace

RINGSIDE_TEST(launch_ends, when_a_rank_is_killed_the_others_hear_of_it_and_end) {
  Job job;
  const RunResult result = job.run(
      launch(4, {"--grace", "8"}, {test::program_path("tests/programs/tcp_rank"), "9", "2", "5"}));
  check_ends(t, result, 137, 6);
  CHECK(contains(result.err, "launch: rank 2 (pid "));
  for (const int rank : {0, 1, 3}) check_has(t, result.err, {text("rank %d: ", rank)});
  CHECK(contains(result.err, "in start-up exchange #5: rank 2 has died"));
  CHECK_EQ(job.retired_windows(), "");

  // Who has nothing to say is ended: by SIGTERM after the grace, by SIGKILL a second later.
  const RunResult slow =
      job.run(launch_scripts(3, {"--grace", "0.2"},
                             "[ $RANK != 1 ] || kill -9 $$; "
                             "[ $RANK != 2 ] || trap '' TERM; sleep 30; sleep 30"));
  check_ends(t, slow, 137);
  CHECK(slow.seconds > 1.1);
  CHECK_EQ(job.retired_windows(), "");
}

RINGSIDE_TEST(launch_ends, signals_are_passed_on) {
  const std::map<int, std::string> signals = {{SIGTERM, "TERM"}, {SIGINT, "INT"}, {SIGHUP, "HUP"}};
  for (const auto& it : signals) {
    const int signal = it.first;
    const char* name = it.second.c_str();
    const Meeting meeting;
    const std::string script =
        text("trap 'echo rank $RANK got %s; exit 5' %s; %s while :; do sleep 0.02; done", name,
             name, meeting.arrive("$PPID").c_str());
    Job job;
    const RunResult result = job.run(launch_scripts(3, {}, script), {}, [&] {
      if (meeting.wait_for(3)) signal_launch(meeting, signal);
    });
    check_ends(t, result, 5);
    for (int rank = 0; rank < 3; ++rank)
      CHECK(contains(result.out, text("rank %d got %s\n", rank, name)));
    CHECK_EQ(job.retired_windows(), "");
  }
}

RINGSIDE_TEST(launch_ends, kill_9_of_launch_leaves_nothing) {
  // Scripts with programs of their own below them: PR_SET_PDEATHSIG alone would not reach these.
  const Meeting meeting;
  Job job;
  const RunResult result = job.run(
      launch_scripts(3, {"--prefix"}, "sleep 30 & " + meeting.arrive("$PPID") + "sleep 30; true"),
      {}, [&] {
        if (meeting.wait_for(3)) signal_launch(meeting, SIGKILL);
      });
  CHECK_EQ(result.signal, SIGKILL);
  CHECK_EQ(job.retired_windows(), "");
}

// Whenever it comes: while ranks are started too.
RINGSIDE_TEST(launch_ends, kill_9_in_the_first_moments_leaves_nothing) {
  for (int i = 0; i < 24; ++i) {
    Job job;
    const RunResult result =
        job.run(launch_scripts(4, {}, "sleep 30 & sleep 30 & sleep 30; true"), {}, [&] {
          std::this_thread::sleep_for(i * kSlack * 400us);
          ::kill(job.command(), SIGKILL);
        });
    CHECK_EQ(result.signal, SIGKILL);
    CHECK_EQ(job.retired_windows(), "");
  }
}

RINGSIDE_TEST(launch_ends, a_helper_that_is_killed_is_replaced) {
  const Meeting meeting;
  Job job;
  const auto helper = [&] {
    for (const pid_t pid : job.processes())
      if (read_file(text("/proc/%d/comm", pid)) == "ringside-reaper\n") return pid;
    return -1;
  };
  const RunResult result = job.run(
      launch_scripts(3, {}, "sleep 30 & " + meeting.arrive("$PPID") + "sleep 30; true"), {}, [&] {
        if (!meeting.wait_for(3)) return;
        const pid_t first = helper();
        CHECK(first > 0 && ::kill(first, SIGKILL) == 0);
        for (int i = 0; i < 1000 && (helper() == first || helper() < 0); ++i)
          std::this_thread::sleep_for(5ms);
        signal_launch(meeting, SIGKILL);
      });
  CHECK_EQ(result.signal, SIGKILL);
  CHECK_EQ(job.retired_windows(), "");
}

// Both by one name: nobody means the helper, who has another.
RINGSIDE_TEST(launch_ends, kill_9_by_name_leaves_nothing) {
  const Meeting meeting;
  Job job;
  job.run(launch_scripts(2, {}, "sleep 30 & " + meeting.arrive("$PPID") + "sleep 30; true"), {},
          [&] {
            if (!meeting.wait_for(2)) return;
            for (const pid_t pid : job.processes())
              if (contains(read_file(text("/proc/%d/comm", pid)), "launch") ||
                  contains(read_file(text("/proc/%d/cmdline", pid)), "launch"))
                ::kill(pid, SIGKILL);
          });
  CHECK_EQ(job.retired_windows(), "");
}

RINGSIDE_TEST(launch_ends, what_ranks_leave_in_their_groups_is_killed) {
  Job job;
  check_ends(t, job.run(launch_scripts(2, {"--prefix"}, "sleep 30 & sleep 30 & exit 0")), 0);
  CHECK_EQ(job.retired_windows(), "");
}

RINGSIDE_TEST(launch_ends, the_job_has_a_time_limit) {
  Job job;
  const RunResult result = job.run(launch(2, {"--timeout", "0.3"}, {"sleep", "30"}));
  check_ends(t, result, 124);
  CHECK_EQ(result.err, "launch: the job has not ended within 0.3 s and is stopped\n");
  CHECK_EQ(job.retired_windows(), "");
}

// A reader who reads nothing: launch must not be stuck in a write when its time is up.
RINGSIDE_TEST(launch_ends, a_reader_who_does_not_read_holds_up_nobody) {
  const Meeting meeting;
  const std::string done = meeting.file(0);
  Job job;
  const std::string script = text(
      "{ %s -n 2 --prefix --timeout 0.3 yes; echo $? > %s; } | "
      "{ for i in $(seq 80); do sleep 0.1; [ ! -s %s ] || break; done; cat %s; }",
      test::tool_path("launch").c_str(), done.c_str(), done.c_str(), done.c_str());
  const RunResult result = job.run({"sh", "-c", script});
  CHECK_EQ(result.out, "124\n");
  CHECK_EQ(job.retired_windows(), "");
}

RINGSIDE_TEST(launch_ends, output_that_cannot_be_written_is_said) {
  for (const char* where : {">/dev/full", "2>/dev/full"}) {
    Job job;
    const RunResult result =
        job.run({"sh", "-c",
                 text("%s -n 2 --prefix sh -c 'while :; do echo x; echo x >&2; done' %s",
                      test::tool_path("launch").c_str(), where)});
    check_ends(t, result, 1);
    if (where[0] == '>')
      CHECK(contains(result.err,
                     "launch: what the ranks print cannot be written: No space left on device\n"));
    CHECK_EQ(job.retired_windows(), "");
  }
}

RINGSIDE_TEST(launch_ends, launches_in_launches) {
  Job job;
  const RunResult result =
      job.run(launch(2, {}, launch_scripts(2, {}, "sleep 0.1; echo $RANK of $WORLD_SIZE")));
  check_ends(t, result, 0);
  CHECK_EQ(lines_of(result.out).size(), 4u);
  const RunResult failing = job.run(launch(2, {}, launch_scripts(2, {}, "exit 4")));
  check_ends(t, failing, 4);
  CHECK_EQ(job.retired_windows(), "");
}

}  // namespace ringside
