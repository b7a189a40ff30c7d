// Ranks as real processes, and everything that can become of them, under each launcher that there
// is: tools/launch everywhere, mpirun where it is installed. Threads cannot show
// this: that a rank which is killed is noticed and named, that nobody hangs, that the exit status
// tells, and that nothing is left behind: no process, no entry of /dev/shm, no socket.
//
// The ranks are tests/programs/rank_program.cc; the watch over what they leave is support/job.h.
// What the ranks do when they are threads is covered by other tests; here each outcome is looked at
// from where the user stands, who sees sentences on a terminal and a shell's $?.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "comm/util/process.h"
#include "tests/support/folder.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

std::string rank_program() { return test::program_path("tests/programs/rank_program"); }

Words command(const Words& launcher, const Words& arguments) {
  return with(with(launcher, {rank_program()}), arguments);
}

// One rank has another environment than the rest.
Words with_on_rank(const Words& launcher, int rank, const char* assignment) {
  const std::string script =
      text("[ ${RANK:-$OMPI_COMM_WORLD_RANK} != %d ] || export %s; exec %s ok", rank, assignment,
           rank_program().c_str());
  return with(launcher, {"sh", "-c", script});
}

// All but `victim` must say, each by itself, that it has died.
void check_death_is_told(test::Context& t, const RunResult& result, int ranks, int victim) {
  for (int rank = 0; rank < ranks; ++rank)
    if (rank != victim)
      check_says(
          t, result, rank,
          {text("rank %d, in all_reduce #", rank), text("rank %d (pid ", victim), "has died"});
}

// Each launcher, 2 to 4 ranks, and each of them in turn.
template <class Body>
void for_each_victim(const Body& body) {
  for (int ranks = 2; ranks <= 4; ++ranks)
    for (const Words& launcher : launchers(ranks))
      for (int victim = 0; victim < ranks; ++victim) body(launcher, ranks, victim);
}

void check_mismatch(test::Context& t, const std::string& what, const std::string& difference) {
  for (const Words& launcher : launchers(2))
    for (const char* bytes : {"4", "64M"}) {
      Job job;
      const RunResult result = job.run(
          command(launcher, {"mismatch", "--what", what, "--bytes", bytes}), {.timeout_s = 30});
      check_fails_cleanly(t, job, result);
      for (const int rank : {0, 1})
        check_says(t, result, rank, {"the ranks are doing different things", difference});
    }
}

}  // namespace

RINGSIDE_TEST(processes, rank_that_kills_itself_is_named) {
  for_each_victim([&](const Words& launcher, int ranks, int victim) {
    Job job;
    const RunResult result =
        job.run(command(launcher, {"die", "--rank", std::to_string(victim), "--op", "20"}),
                {.timeout_s = 30});
    check_fails_cleanly(t, job, result);
    check_death_is_told(t, result, ranks, victim);
    CHECK_EQ(line_of(result, text("rank %d: ", victim)), "");
  });
}

// launch keeps who has ended as a zombie, until all have.
RINGSIDE_TEST(processes, without_process_descriptors_the_dead_are_named_too) {
  for (int victim = 0; victim < 3; ++victim) {
    Job job;
    const RunResult result =
        job.run(command(launch_argv(3),
                        {"die", "--rank", std::to_string(victim), "--op", "20", "--no-pidfd"}),
                {.environment = {"RINGSIDE_TIMEOUT=20"}, .timeout_s = 30});
    check_fails_cleanly(t, job, result);
    check_death_is_told(t, result, 3, victim);
  }
}

RINGSIDE_TEST(processes, rank_that_dies_in_the_probe_of_the_machine_is_named) {
  for (const Words& launcher : launchers(3)) {
    Job job;
    const RunResult result =
        job.run(command(launcher, {"die-in-probe", "--rank", "1"}), {.timeout_s = 30});
    check_fails_cleanly(t, job, result);
    for (const int rank : {0, 2})
      check_says(t, result, rank, {"in the probe of the machine: rank 1 (pid ", "has died"});
  }
}

RINGSIDE_TEST(processes, rank_killed_from_outside_is_named) {
  for_each_victim([&](const Words& launcher, int ranks, int victim) {
    Job job;
    const ReadyFile ready;
    bool killed = false;
    std::size_t sockets_seen = 0;
    const RunResult result =
        job.run(command(launcher, {"loop", "--ready", ready.path()}), {.timeout_s = 30}, [&] {
          if (!ready.wait()) return;
          sockets_seen = job.look_at_sockets();
          const std::optional<pid_t> pid = job.rank(victim);
          killed = pid && ::kill(*pid, SIGKILL) == 0;
        });
    CHECK(killed);
    check_fails_cleanly(t, job, result);
    check_death_is_told(t, result, ranks, victim);
    // The watch must have seen the sockets whose absence it reports: each rank has one.
    CHECK(sockets_seen >= static_cast<std::size_t>(ranks));
  });
}

// Ctrl-C. The launcher sends all ranks a signal; mpirun no longer passes on what they say.
RINGSIDE_TEST(processes, job_that_is_stopped_leaves_nothing) {
  for (const Words& launcher : launchers(3)) {
    Job job;
    const ReadyFile ready;
    pid_t parent = -1;
    const RunResult result =
        job.run(command(launcher, {"loop", "--ready", ready.path()}), {.timeout_s = 30}, [&] {
          if (!ready.wait()) return;
          const std::optional<pid_t> rank = job.rank(0);
          if (!rank) return;
          // The ranks' parent is the launcher.
          parent = stat_of(*rank).parent;
          ::kill(parent, SIGINT);
        });
    CHECK(parent > 1);
    CHECK_MSG(result.signal == SIGINT || result.exit_code > 0, "exit status %d", result.exit_code);
    check_nothing_left(t, job);
  }
}

RINGSIDE_TEST(processes, different_counts) { check_mismatch(t, "count", "the count differs: "); }
RINGSIDE_TEST(processes, different_types) { check_mismatch(t, "type", "the type differs: "); }
RINGSIDE_TEST(processes, different_operations) {
  check_mismatch(t, "operation", "the operation differs: ");
}
RINGSIDE_TEST(processes, different_reductions) {
  check_mismatch(t, "reduction", "the reduction differs: ");
}

RINGSIDE_TEST(processes, rank_that_leaves_early_is_named) {
  for (const Words& launcher : launchers(3)) {
    Job job;
    const RunResult result = job.run(command(launcher, {"leave", "--op", "5"}), {.timeout_s = 30});
    check_fails_cleanly(t, job, result);
    for (const int rank : {0, 2}) check_says(t, result, rank, {"rank 1 (pid ", "has left"});
  }
}

RINGSIDE_TEST(processes, rank_that_stalls_is_named_when_time_is_up) {
  constexpr double kDeadline_s = 2, kStart_s = 2 * kSlack, kStop_s = 1;
  for (const int ranks : {2, 3})
    for (const Words& launcher : launchers(ranks)) {
      Job job;
      const RunResult result =
          job.run(command(launcher, {"stall", "--op", "3"}),
                  {.environment = {text("RINGSIDE_TIMEOUT=%g", kDeadline_s)}, .timeout_s = 30});
      check_fails_cleanly(t, job, result, kStart_s + kDeadline_s + 1 + kStop_s);
      CHECK(result.seconds >= kDeadline_s);
      // Whoever's time is up first, be it a rank that waits for one that waits itself.
      for (int rank = 0; rank < ranks; ++rank)
        if (rank != 1)
          check_says(t, result, rank, {"RINGSIDE_TIMEOUT=2", "rank 1 (pid ", "is alive"});
    }
}

RINGSIDE_TEST(processes, straggler_is_reported_once_on_stderr) {
  for (const Words& launcher : launchers(3)) {
    Job job;
    const RunResult result =
        job.run(command(launcher, {"stall", "--op", "3"}),
                {.environment = {"RINGSIDE_TIMEOUT=1.5", "RINGSIDE_WARN=0.3"}, .timeout_s = 30});
    check_fails_cleanly(t, job, result);
    const std::size_t warning = result.err.find("ringside: rank ");
    CHECK_MSG(warning != std::string::npos && warning == result.err.rfind("ringside: rank ") &&
                  contains(result.err, "goes on waiting; rank 1 (pid "),
              "not one warning: %s", result.err.c_str());
  }
}

// SIGSTOP, as a debugger or a suspended machine would: it is alive and says nothing.
RINGSIDE_TEST(processes, rank_that_is_stopped_is_no_mere_straggler) {
  for (const Words& launcher : launchers(3)) {
    Job job;
    const ReadyFile ready;
    const RunResult result = job.run(command(launcher, {"loop", "--ready", ready.path()}),
                                     {.environment = {"RINGSIDE_TIMEOUT=1"}, .timeout_s = 30}, [&] {
                                       if (!ready.wait()) return;
                                       if (const std::optional<pid_t> pid = job.rank(1))
                                         ::kill(*pid, SIGSTOP);
                                     });
    check_fails_cleanly(t, job, result);
    for (const int rank : {0, 2})
      check_says(t, result, rank,
                 {"rank 1 (pid ", " is stopped (by a signal or a debugger), and it "});
  }
}

RINGSIDE_TEST(processes, options_that_differ_are_refused_by_all) {
  for (const Words& launcher : launchers(2)) {
    Job job;
    const RunResult result = job.run(with_on_rank(launcher, 0, "RINGSIDE_SLOT_COUNT=2"));
    check_fails_cleanly(t, job, result);
    for (const int rank : {0, 1})
      check_says(
          t, result, rank,
          {"rank 1 has 4 slots and rank 0 has 2; set RINGSIDE_SLOT_COUNT alike on all ranks"});
  }
}

RINGSIDE_TEST(processes, options_that_are_wrong_on_one_rank_hang_nobody) {
  for (const Words& launcher : launchers(2)) {
    Job job;
    const RunResult result = job.run(with_on_rank(launcher, 1, "RINGSIDE_SLOT_COUNT=many"));
    check_fails_cleanly(t, job, result);
    check_says(t, result, 1, {"RINGSIDE_SLOT_COUNT=many makes no sense"});
  }
}

RINGSIDE_TEST(processes, twenty_starts_leave_nothing) {
  for (const Words& launcher : launchers(2)) {
    Job job;
    for (int cycle = 0; cycle < 20; ++cycle) {
      const RunResult result = job.run(command(launcher, {"ok"}), {.timeout_s = 30});
      CHECK_EQ(result.exit_code, 0);
      CHECK_EQ(result.err, "");
      check_nothing_left(t, job);
    }
  }
}

// The watch itself must see something when there is something to see.
RINGSIDE_TEST(processes_mutants, what_is_left_behind_is_seen) {
  const test::Folder folder;
  const std::string segment = folder.file("segment");
  Job job(folder.path());
  job.run({"sh", "-c", "setsid sleep 20 & : >" + segment + "; sleep 0.1; echo"});
  const std::string left = job.retired_windows(0);
  check_has(t, left, {"(sleep 20 )"});
  check_has(t, left, {segment});
  for (const pid_t pid : job.processes()) ::kill(pid, SIGKILL);
  std::filesystem::remove(segment);
  check_nothing_left(t, job);
}

// A byte that was sent and never set is seen by valgrind alone.
RINGSIDE_TEST(processes, nothing_is_sent_that_was_not_set) {
  if (kSanitized || !have_program("valgrind")) SKIP("there is no valgrind here, or no use for it");
  const RunResult result = run(with(launch_argv(2), {"valgrind", "--quiet", "--error-exitcode=9",
                                                     program_path("tests/programs/any_rank")}),
                               {.environment = {"RINGSIDE_ISA=baseline"}, .timeout_s = 60});
  CHECK_MSG(result.ok(), "%s", result.err.c_str());
}

}  // namespace ringside
