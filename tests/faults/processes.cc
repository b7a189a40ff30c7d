// Faults on purpose, as somebody sees them who has only a shell: ring_allreduce --fault under each
// launcher. Every rank says a sentence that names the one at fault, within the deadline and a
// second; every rank's exit status shows it; and nothing is left behind. What each fault leads to
// in each algorithm and step is shown by threads (matrix.cc), and for deaths by die.cc.
#include <signal.h>

#include <string>
#include <vector>

#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

constexpr double kDeadline_s = 1;
// The machine's part: starting four processes, and mpirun's own ways of ending them.
constexpr double kStart_s = 4, kStop_s = 1;

const std::string kTool = test::tool_path("ring_allreduce");

Words faulty(const Words& launcher, const std::string& fault, const Words& more = {}) {
  const Words tool = {kTool, "--no-demo", "-b", "1K", "-e", "64K", "-f", "64", "-n", "3"};
  return with(with(with(launcher, tool), {"--fault", fault}), more);
}
// Also what it shows before the table, which is made of calls like any other.
Words faulty_demo(const Words& launcher, const std::string& fault) {
  return with(launcher, {kTool, "--fault", fault});
}

struct FaultCase {
  const char* fault;
  bool waits;  // for the deadline
  Words parts;
  bool dies = false;  // then the rank at fault says nothing
};

// A fault of rank 2 of four, in its 5th call.
constexpr int kRanks = 4, kCulprit = 2;
const FaultCase kCases[] = {
    {"stall:rank=2,op=5", true, {"; rank 2 (pid ", "is alive, and it has not entered"}},
    {"stall:rank=2,op=5,step=1", true, {"; rank 2 (pid ", "is alive, and it has been in"}},
    {"drop-signal:rank=2,op=5", true, {"a message of rank 2 (pid ", "was lost"}},
    {"corrupt-header:rank=2,op=5", false, {"a flag from rank 2 (pid ", "is damaged"}},
    {"other-op:rank=2,op=5", false, {"the ranks are doing different things", "rank 2"}},
    {"die:rank=2,op=5", false, {"rank 2 (pid ", "has died; seen while"}, true},
};

// All that somebody with a shell is promised, of one job.
RunResult check_job(test::Context& t, const FaultCase& it, const Words& argv, double deadline_s) {
  Job job;
  const RunResult result =
      job.run(argv, {.environment = {text("RINGSIDE_TIMEOUT=%g", deadline_s)}, .timeout_s = 30});
  CHECK_MSG(result.exit_code == (it.dies ? 128 + SIGKILL : 1), "%s: exit status %d", it.fault,
            result.exit_code);
  const double wait_s = it.waits ? deadline_s : 0;
  CHECK_MSG(
      result.seconds >= wait_s && result.seconds < wait_s + (kStart_s + 1 + kStop_s) * test::kSlack,
      "%s: %.1f s", it.fault, result.seconds);
  for (int rank = 0; rank < kRanks; ++rank)
    if (!it.dies || rank != kCulprit)
      check_says(t, result, text("ring_allreduce: rank %d, in ", rank), it.parts);
  check_nothing_left(t, job);
  return result;
}

// The ranks under a shell each, which says how its own ended. mpirun sends SIGTERM to all when one
// has failed, so the shell must not mind it.
Words with_statuses(const Words& launcher, const std::string& fault) {
  std::string script = "trap : TERM; ";
  for (const std::string& word : faulty({}, fault)) script += "'" + word + "' ";
  script +=
      "; status=$?; echo \"rank ${RANK:-$OMPI_COMM_WORLD_RANK} exits $status\" >&2; "
      "exit $status";
  return with(launcher, {"sh", "-c", script});
}

// mpirun may kill a shell before it has spoken; what the others say must be right. Under
// tools/launch each one speaks.
void check_statuses(test::Context& t, const FaultCase& it, const RunResult& result,
                    bool all_speak) {
  for (int rank = 0; rank < kRanks; ++rank) {
    const int wanted = it.dies && rank == kCulprit ? 128 + SIGKILL : 1;
    const std::string exits = text("rank %d exits ", rank);
    if (!all_speak && !contains(result.err, exits)) continue;
    CHECK_MSG(contains(result.err, exits + text("%d\n", wanted)), "%s, rank %d: %s", it.fault, rank,
              result.err.c_str());
  }
}

}  // namespace

RINGSIDE_TEST(faults_processes, every_rank_names_the_culprit_in_time) {
  for (const FaultCase& it : kCases)
    for (const Words& launcher : launchers(kRanks)) {
      const RunResult result = check_job(t, it, with_statuses(launcher, it.fault), kDeadline_s);
      check_statuses(t, it, result, launcher == test::launch_argv(kRanks));
    }
}

RINGSIDE_TEST(faults_processes, in_the_demo_too) {
  for (const FaultCase& it : kCases)
    check_job(t, it, faulty_demo(test::launch_argv(kRanks), it.fault), kDeadline_s);
}

// As chapter 09 has it, with its deadline.
RINGSIDE_TEST(faults_processes, the_command_of_the_chapter) {
  check_job(t, kCases[0], faulty_demo(test::launch_argv(kRanks), kCases[0].fault), 5);
}

RINGSIDE_TEST(faults_processes, a_start_that_fails_is_everybodys) {
  const FaultCase cases[] = {{"refuse:rank=2", false, {"cannot open the window of rank 0"}},
                             {"no-memory:rank=2", false, {"cannot allocate"}}};
  for (const FaultCase& it : cases)
    for (const Words& launcher : launchers(kRanks)) {
      Job job;
      const RunResult result = job.run(faulty(launcher, it.fault), {.timeout_s = 30});
      CHECK_EQ(result.exit_code, 1);
      const std::string sentence = "ring_allreduce: rank 2 could not start: " + it.parts[0];
      const std::size_t said = lines_from(result.err, sentence);
      CHECK_MSG(said == 4, "%zu of 4 ranks say it: %s", said, result.err.c_str());
      check_nothing_left(t, job);
    }
}

RINGSIDE_TEST(faults_processes, slow_is_warned_of_and_goes_on) {
  for (const Words& launcher : launchers(3)) {
    Job job;
    const RunResult result = job.run(faulty(launcher, "slow:rank=2,op=5,ms=700"),
                                     {.environment = {"RINGSIDE_WARN=0.3"}, .timeout_s = 30});
    CHECK_EQ(result.exit_code, 0);
    CHECK_MSG(result.err.starts_with("ringside: rank ") &&
                  contains(result.err, "goes on waiting; rank 2 (pid ") &&
                  lines_of(result.err).size() == 1,
              "%s", result.err.c_str());
    check_nothing_left(t, job);
  }
}

RINGSIDE_TEST(faults_processes, twenty_broken_jobs_leave_nothing) {
  const char* faults[] = {"die:rank=1,op=5", "stall:rank=0,op=6,step=1", "drop-signal:rank=1,op=7",
                          "other-op:rank=0,op=5", "no-memory:rank=1"};
  Job job;
  for (int cycle = 0; cycle < 20; ++cycle) {
    const char* fault = faults[cycle % 5];
    const RunResult result = job.run(faulty(test::launch_argv(2), fault),
                                     {.environment = {"RINGSIDE_TIMEOUT=0.3"}, .timeout_s = 30});
    CHECK_MSG(result.exit_code > 0, "%s: exit status %d", fault, result.exit_code);
    check_nothing_left(t, job);
  }
}

RINGSIDE_TEST(faults_processes, what_cannot_be_had_is_refused_once) {
  const struct {
    const char* fault;
    const char* words;
  } cases[] = {{"jam:rank=1", "there are stall, slow, die, drop-signal"},
               {"stall:rank=9", "a fault on rank 9 cannot be had; there are ranks 0 to 1"}};
  for (const auto& it : cases)
    for (const Words& launcher : launchers(2)) {
      Job job;
      const RunResult result = job.run(faulty(launcher, it.fault), {.timeout_s = 30});
      CHECK_EQ(result.exit_code, 2);
      const std::size_t said = lines_with(result.err, it.words);
      CHECK_MSG(said == 1, "%zu times: %s", said, result.err.c_str());
    }
  const RunResult threads = test::run(faulty({}, "die:rank=1", {"--threads", "2"}));
  CHECK_EQ(threads.exit_code, 2);
  check_has(t, threads.err, {"a rank that is a thread cannot die alone"});
}

// The same command with a fault in a call that never comes.
RINGSIDE_TEST(faults_processes_mutants, a_fault_that_never_comes_changes_nothing) {
  for (const char* fault : {"stall:rank=1,op=1000000", "die:rank=1,op=1000000"}) {
    Job job;
    const RunResult result = job.run(faulty(test::launch_argv(2), fault), {.timeout_s = 30});
    CHECK_EQ(result.exit_code, 0);
    CHECK_EQ(result.err, "");
    check_nothing_left(t, job);
  }
}

}  // namespace ringside
