// Tests of the test runner itself.  A runner that cannot fail proves nothing, so most of these make
// something go wrong on purpose and look at how it is reported.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/test.h"

using ringside::test::contains;
using ringside::test::Context;
using ringside::test::Outcome;
using ringside::test::Registered;
using ringside::test::run;
using ringside::test::RunResult;

namespace {

Outcome outcome_of(ringside::test::Body body) {
  return ringside::test::run_test({"made_up", "test", "file.cc", 1, body});
}

// The mutants exist only where this variable asks for them, in a child of ours.
constexpr const char* kControlVariable = "RINGSIDE_NEGATIVE_CONTROL";

void wrong_sum(Context& t) { CHECK_EQ(1 + 1, 3); }
void sleeps_for_ever(Context&) {
  for (;;) pause();
}

// The other endings are looked at in this process.
void passes(Context&) {}
void skips(Context&) { SKIP("a reason"); }
void throws(Context&) { throw std::runtime_error("thrown words"); }
void fails_then_skips(Context& t) {
  CHECK(false);
  SKIP("too late");
}
void requires_and_goes_on(Context& t) {
  REQUIRE(false);
  CHECK_MSG(false, "not reached");
}
void fails_on_four_threads(Context& t) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&t, i] {
      for (int j = 0; j < 5; ++j) CHECK_MSG(false, "thread %d", i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

const bool mutants_registered = [] {
  if (std::getenv(kControlVariable) == nullptr) return false;
  Registered({"negative", "wrong_sum", __FILE__, __LINE__, wrong_sum});
  Registered({"negative", "sleeps_for_ever", __FILE__, __LINE__, sleeps_for_ever});
  return true;
}();

RunResult run_mutant(const std::string& name) {
  return run({"/proc/self/exe", "--plain", "--filter", "negative." + name, "--timeout", "1"},
             {.environment = {std::string(kControlVariable) + "=1"}});
}

}  // namespace

RINGSIDE_TEST(runner, failing_check_fails_the_program) {
  const RunResult result = run_mutant("wrong_sum");
  CHECK_EQ(result.exit_code, 1);
  CHECK(contains(result.out, "FAILED  negative.wrong_sum\n"));
  CHECK(contains(result.out, "CHECK_EQ(1 + 1, 3) (2 and 3)"));
  CHECK(contains(result.out, "\n0 passed, 1 failed, 0 skipped\n"));
}

RINGSIDE_TEST(runner, hung_test_is_named_and_aborted) {
  const RunResult result = run_mutant("sleeps_for_ever");
  CHECK_EQ(result.signal, SIGABRT);
  CHECK(contains(result.err, "HUNG    negative.sleeps_for_ever"));
}

RINGSIDE_TEST(runner, unknown_filter_is_a_failure) {
  const RunResult result = run({"/proc/self/exe", "--plain", "--filter", "no such test"});
  CHECK_EQ(result.exit_code, 1);
}

RINGSIDE_TEST(runner, outcome_of_each_ending) {
  CHECK_EQ(outcome_of(passes).kind, Outcome::passed);
  CHECK_EQ(outcome_of(wrong_sum).kind, Outcome::failed);
  CHECK_EQ(outcome_of(skips).kind, Outcome::skipped);
  CHECK_EQ(outcome_of(skips).text, "a reason");
  CHECK_EQ(outcome_of(throws).kind, Outcome::failed);
  CHECK(contains(outcome_of(throws).text, "thrown words"));
  CHECK_EQ(outcome_of(fails_then_skips).kind, Outcome::failed);
  CHECK(contains(outcome_of(requires_and_goes_on).text, "REQUIRE(false)"));
  CHECK(!contains(outcome_of(requires_and_goes_on).text, "not reached"));
}

RINGSIDE_TEST(runner, checks_from_many_threads_are_counted) {
  CHECK(contains(outcome_of(fails_on_four_threads).text, "and 10 more"));
}

RINGSIDE_TEST(process, captures_output_exit_code_and_environment) {
  const RunResult result = run({"sh", "-c", "echo $WORD; echo complaint >&2; cat; exit 7"},
                               {.environment = {"WORD=a word"}});
  CHECK_EQ(result.out, "a word\n");
  CHECK_EQ(result.err, "complaint\n");
  CHECK_EQ(result.exit_code, 7);
  CHECK(!result.ok());
}

RINGSIDE_TEST(process, timeout_ends_the_whole_group) {
  const RunResult result = run({"sh", "-c", "sleep 60 & sleep 60"}, {.timeout_s = 0.2});
  CHECK(result.timed_out);
  CHECK_EQ(result.signal, SIGTERM);
  CHECK(result.seconds < 10);
}

RINGSIDE_TEST(process, timeout_ends_who_ignores_sigterm) {
  const RunResult result =
      run({"sh", "-c", "trap '' TERM; while :; do sleep 1; done"}, {.timeout_s = 0.2});
  CHECK(result.timed_out);
  CHECK_EQ(result.signal, SIGKILL);
}

RINGSIDE_TEST(process, child_can_be_killed_once_started) {
  const RunResult result =
      run({"sleep", "60"}, {.on_started = [](pid_t pid) { kill(pid, SIGKILL); }});
  CHECK_EQ(result.signal, SIGKILL);
  CHECK(!result.timed_out);
}

RINGSIDE_TEST(process, survivors_are_noticed) {
  CHECK(run({"sh", "-c", "sleep 60 & exit 0"}).left_processes);
  CHECK(!run({"true"}).left_processes);
}

RINGSIDE_TEST(process, unknown_program_throws) {
  bool thrown = false;
  try {
    run({"no-such-program-anywhere"});
  } catch (const std::exception&) {
    thrown = true;
  }
  CHECK(thrown);
}

RINGSIDE_TEST(process, mpirun_starts_ranks) {
  if (!ringside::test::have_mpi()) SKIP("there is no mpirun here, or this build has no MPI");
  std::vector<std::string> argv = ringside::test::mpirun_argv(3);
  argv.insert(argv.end(), {"sh", "-c", "echo rank"});
  const RunResult result = run(argv);
  CHECK_EQ(result.exit_code, 0);
  CHECK_EQ(result.out, "rank\nrank\nrank\n");
}
