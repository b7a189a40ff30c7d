// What tools/launch, and a tool, make of the signals that they get: questions that end nobody,
// Ctrl-Z, and ends that a shell can tell from a status.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "comm/error.h"
#include "comm/util/process.h"
#include "tests/launcher/launched.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"
#include "tools/launcher/group_members.h"

namespace ringside {
namespace {

using namespace test;
using namespace std::chrono_literals;

template <class Condition>
bool comes_true(const Condition& condition) {
  for (int i = 0; i < 1000 && !condition(); ++i) std::this_thread::sleep_for(10ms);
  return condition();
}

// Waits until all ranks, who have left their numbers, are stopped; or until none is. (D: a shell
// that was about to start a program, and waits for that one, which is stopped.)
bool become(const Meeting& meeting, int ranks, bool stopped) {
  return comes_true([&] {
    for (int rank = 0; rank < ranks; ++rank) {
      const char state = stat_of(meeting.number(rank)).state;
      if ((state == 'T' || state == 'D') != stopped) return false;
    }
    return true;
  });
}

std::string until_there_is(const std::string& file) {
  return text("while [ ! -e %s ]; do sleep 0.02; done; ", file.c_str());
}

}  // namespace

// Rank 0 has an answer; rank 1, and a program below it, would die of the question.
RINGSIDE_TEST(launch_signals, a_question_ends_nobody) {
  for (const char* name : {"USR1", "USR2"}) {
    const Meeting meeting;
    const std::string answer = meeting.file(99);
    const std::string script =
        text("[ $RANK != 0 ] || trap 'echo it > %s' %s; ", answer.c_str(), name) +
        "(sleep 30; true) & " + meeting.arrive("$$") + until_there_is(answer) + "kill $!";
    for (const bool nested : {false, true}) {
      ::unlink(answer.c_str());
      for (const int rank : {0, 1}) ::unlink(meeting.file(rank).c_str());
      Job job;
      Words command = launch_scripts(2, {}, script);
      if (nested) command = launch(1, {}, command);
      const RunResult result = job.run(command, {}, [&] {
        if (meeting.wait_for(2)) ::kill(job.command(), name[3] == '1' ? SIGUSR1 : SIGUSR2);
      });
      check_ends(t, result, 0);
      CHECK_EQ(result.err, "");
      check_nothing_left(t, job);
    }
  }
}

RINGSIDE_TEST(launch_signals, ctrl_z_stops_the_ranks_and_fg_continues_them) {
  const Meeting meeting;
  const std::string go = meeting.file(99);
  for (const bool nested : {false, true}) {
    ::unlink(go.c_str());
    for (const int rank : {0, 1}) ::unlink(meeting.file(rank).c_str());
    Words command = launch_scripts(2, {"--prefix"}, meeting.arrive("$$") + until_there_is(go));
    if (nested) command = launch(1, {}, command);
    Job job;
    bool stopped = false, continued = false;
    const RunResult result = job.run(command, {}, [&] {
      if (!meeting.wait_for(2)) return;
      ::kill(job.command(), SIGTSTP);
      stopped = become(meeting, 2, true) &&
                comes_true([&] { return stat_of(job.command()).state == 'T'; });
      ::kill(job.command(), SIGCONT);
      continued = become(meeting, 2, false);
      std::ofstream(go.c_str()) << "\n";
    });
    CHECK(stopped);
    CHECK(continued);
    check_ends(t, result, 0);
    check_nothing_left(t, job);
  }
}

// Rank 0 waits for rank 1, which never comes; while both are stopped it does not.
RINGSIDE_TEST(launch_signals, what_was_stopped_has_not_waited) {
  Job job;
  const RunResult result =
      job.run(launch(2, {"--grace", "0.1"},
                     {test::program_path("tests/programs/rank_program"), "stall", "--op", "3"}),
              {.environment = {"RINGSIDE_TIMEOUT=1"}, .timeout_s = 60}, [&] {
                std::this_thread::sleep_for(600ms);
                ::kill(job.command(), SIGTSTP);
                std::this_thread::sleep_for(1500ms);
                ::kill(job.command(), SIGCONT);
              });
  CHECK_MSG(contains(line_of(result, "rank 0: "), ": waited 1"), "%s", result.err.c_str());
  check_nothing_left(t, job);
}

// A shell's loop ends if the program in it has died of Ctrl-C, and goes on after any status.
RINGSIDE_TEST(launch_signals, who_is_told_to_stop_dies_of_it) {
  const std::string tool = test::tool_path("ring_allreduce");
  const Words endless = {tool, "--no-demo", "-b", "64M", "-n", "1000000"};
  const struct {
    Words command;
    std::size_t listeners;  // processes that do not just die of the signal, once all are up
  } cases[] = {{with(endless, {"--threads", "2"}), 1},
               {launch(2, {}, {"sleep", "30"}), 2},
               {launch(2, {}, endless), 4},
               {launch(1, {}, launch(2, {}, endless)), 6}};
  for (const int signal : {SIGINT, SIGTERM})
    for (const auto& it : cases) {
      Job job;
      const RunResult result = job.run(it.command, {}, [&] {
        comes_true([&] {
          std::size_t ready = 0;
          for (const pid_t pid : job.processes()) ready += tools::has_handler(pid, signal) ? 1 : 0;
          return ready == it.listeners;
        });
        ::kill(job.command(), signal);
      });
      CHECK_MSG(result.signal == signal, "'%s' ended with signal %d, status %d: %s",
                it.command.back().c_str(), result.signal, result.exit_code, result.err.c_str());
      check_nothing_left(t, job);
    }
  // But whoever has dealt with it, has.
  const Meeting meeting;
  Job job;
  const RunResult result = job.run(
      launch_scripts(2, {}, "trap 'exit 0' INT; " + meeting.arrive("$$") + until_there_is("/no")),
      {}, [&] {
        if (meeting.wait_for(2)) ::kill(job.command(), SIGINT);
      });
  check_ends(t, result, 0);
}

RINGSIDE_TEST(launch_signals, a_pipeline_ends_without_a_word) {
  const std::string it = test::tool_path("launch"), tool = test::tool_path("ring_allreduce");
  for (const std::string& command :
       {it + " -n 2 yes", it + " -n 2 --prefix yes", it + " -n 2 " + tool + " -n 300",
        it + " -n 2 --prefix " + tool + " -n 300", tool + " --threads 2 -n 300"}) {
    Job job;
    const RunResult result = job.run({"sh", "-c", command + " | head -n 1"});
    check_ends(t, result, 0, 10 * kSlack);
    CHECK_EQ(lines_of(result.out).size(), 1u);
    CHECK_MSG(result.err.empty(), "%s says %s", command.c_str(), result.err.c_str());
    check_nothing_left(t, job);
  }
  // The same signal, and somebody reads: then it is a death like any other.
  const RunResult killed = run(launch_scripts(2, {}, "[ $RANK = 0 ] || kill -PIPE $$; sleep 30"));
  check_ends(t, killed, 128 + SIGPIPE);
  CHECK(contains(killed.err, "launch: rank 1 (pid "));
}

}  // namespace ringside
