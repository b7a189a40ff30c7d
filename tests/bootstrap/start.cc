// Which bootstrap a process gets, seen from a process: who started it decides. That each of them
// then works is shown by the tests of each, and by tests/launcher/install.cc.

#include <filesystem>
#include <string>

#include "comm/bootstrap/start.h"
#include "comm/error.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

// env -u of all that a launcher around these tests may have set.
Words unlaunched(const Words& argv) {
  Words all = {"env"};
  for (const char* variable : {"RINGSIDE_BOOTSTRAP", "RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK",
                               "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "PMIX_RANK",
                               "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"})
    all.insert(all.end(), {"-u", variable});
  return with(all, argv);
}

bool says(const RunResult& result, const std::string& words) {
  return test::contains(result.out + result.err, words);
}

std::string program() { return test::program_path("tests/programs/any_rank"); }

}  // namespace

RINGSIDE_TEST(bootstrap_any, started_by_nobody_it_is_a_world_of_one) {
  const RunResult result = run(unlaunched({program()}));
  CHECK_MSG(result.exit_code == 0 && says(result, "rank 0 of 1, bootstrap alone: sum 1\n"), "%s%s",
            result.out.c_str(), result.err.c_str());
}

RINGSIDE_TEST(bootstrap_any, a_launcher_is_recognised) {
  const RunResult result =
      run(unlaunched({test::program_path("tools/launch"), "-n", "3", program()}));
  CHECK_EQ(result.exit_code, 0);
  for (int rank = 0; rank < 3; ++rank)
    CHECK_MSG(says(result, text("rank %d of 3, bootstrap tcp: sum 6\n", rank)), "%s",
              result.out.c_str());
}

RINGSIDE_TEST(bootstrap_any, half_an_environment_is_refused) {
  const RunResult result = run(unlaunched({"env", "RANK=0", "WORLD_SIZE=2", program()}));
  CHECK_EQ(result.exit_code, 1);
  CHECK_MSG(says(result, "MASTER_ADDR is not set"), "%s", result.err.c_str());
}

// Everything that would be a silent world of one. Tools refuse it too, with status 2.
RINGSIDE_TEST(bootstrap_any, what_launchers_leave_open_is_refused) {
  const struct {
    Words environment;
    const char* found;
  } cases[] = {
      {{"WORLD_SIZE=2"}, "WORLD_SIZE=2 is set, but RANK is not"},
      {{"WORLD_SIZE=1"}, "WORLD_SIZE=1 is set, but RANK is not"},
      {{"RANK=0"}, "RANK=0 is set, but WORLD_SIZE is not"},
      {{"RANK=1", "OMPI_COMM_WORLD_SIZE=2"}, "RANK=1 is set, but WORLD_SIZE is not"},
      {{"RANK=0", "WORLD_SIZE=1", "OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=2"},
       "RANK=0 WORLD_SIZE=1, but OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2"},
      {{"RANK=0", "WORLD_SIZE=2", "PMI_RANK=0", "PMI_SIZE=3"}, "PMI_RANK=0 PMI_SIZE=3"},
      {{"RANK=0", "WORLD_SIZE=2", "PMIX_RANK=1"}, "RANK=0 WORLD_SIZE=2, but PMIX_RANK=1"},
      {{"SLURM_NTASKS=2"}, "Slurm says SLURM_NTASKS=2"},
      {{"SLURM_PROCID=1", "SLURM_NTASKS=2", "SLURM_STEP_NUM_TASKS=2"}, "SLURM_PROCID=1"},
      {{"RINGSIDE_BOOTSTRAP=ucx"}, "RINGSIDE_BOOTSTRAP=ucx makes no sense"},
      {{"RINGSIDE_BOOTSTRAP="}, "RINGSIDE_BOOTSTRAP= makes no sense"},
  };
  for (const auto& it : cases)
    for (const Words& command :
         {Words{program()}, {test::tool_path("ring_allreduce"), "-e", "8"}}) {
      const RunResult result = run(unlaunched(with(with({"env"}, it.environment), command)));
      CHECK_EQ(result.exit_code, command.size() == 1 ? 1 : 2);
      CHECK_MSG(says(result, it.found) && says(result, "RINGSIDE_BOOTSTRAP chooses: tcp"), "%s%s",
                result.out.c_str(), result.err.c_str());
    }
}

// The negative control of the above: what is clear, or has been made so, goes on.
RINGSIDE_TEST(bootstrap_any, what_is_clear_or_chosen_is_taken) {
  const Words tcp = {"RANK=0", "WORLD_SIZE=1", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=29517"};
  const Words other = {"OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=2"};
  const struct {
    Words environment;
    const char* bootstrap;
  } cases[] = {
      {with(tcp, {"PMIX_RANK=0"}), "tcp"},
      {with(tcp, {"OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=1", "SLURM_NTASKS=4"}), "tcp"},
      {with(with(tcp, other), {"RINGSIDE_BOOTSTRAP=tcp"}), "tcp"},
      {with(with(tcp, other), {"RINGSIDE_BOOTSTRAP=alone"}), "alone"},
      {{"SLURM_NTASKS=2", "RINGSIDE_BOOTSTRAP=alone"}, "alone"},
      {{"WORLD_SIZE=2", "RINGSIDE_BOOTSTRAP=alone"}, "alone"},
      {{"SLURM_NTASKS=1", "SLURM_PROCID=0"}, "alone"},
  };
  for (const auto& it : cases) {
    const RunResult result = run(unlaunched(with(with({"env"}, it.environment), {program()})));
    CHECK_MSG(result.exit_code == 0 &&
                  says(result, text("rank 0 of 1, bootstrap %s: sum 1\n", it.bootstrap)),
              "%s: %s%s", it.bootstrap, result.out.c_str(), result.err.c_str());
  }
}

RINGSIDE_TEST(bootstrap_any, a_launcher_inside_another_is_refused_or_hidden) {
  if (!test::have_mpi()) SKIP("there is no MPI, or no mpirun, here");
  const Words launch = {test::program_path("tools/launch"), "-n", "2"};
  const Words mpirun_pod = with({"env", "RANK=0", "WORLD_SIZE=1"}, test::mpirun_argv(2));
  for (const Words& argv : {with(launch, test::mpirun_argv(2)), mpirun_pod}) {
    const RunResult result = run(unlaunched(with(argv, {program()})), {.timeout_s = 30});
    CHECK_MSG(result.exit_code != 0 && says(result, "two launchers contradict each other"), "%s%s",
              result.out.c_str(), result.err.c_str());
    CHECK(!says(result, "of 1, bootstrap"));
  }
  const RunResult hidden = run(unlaunched(with(
      with({"env", "RINGSIDE_BOOTSTRAP=mpi"}, with(test::mpirun_argv(1), launch)), {program()})));
  CHECK_MSG(hidden.exit_code == 0 && says(hidden, "rank 1 of 2, bootstrap tcp: sum 3\n"), "%s%s",
            hidden.out.c_str(), hidden.err.c_str());
}

// The mpiexec of another MPI: its variables are there, and this MPI knows nothing of them.
RINGSIDE_TEST(bootstrap_any, a_launcher_of_another_kind_is_refused) {
  if (!test::have_mpi()) SKIP("there is no MPI in this build");
  for (const Words& variables : {Words{"PMI_RANK=0", "PMI_SIZE=2"}, Words{"PMI_RANK=1"}}) {
    const RunResult result =
        run(unlaunched(with(with({"env"}, variables), {program()})), {.timeout_s = 20});
    CHECK_EQ(result.exit_code, 1);
    CHECK_MSG(says(result, "the launcher started several ranks"), "%s%s", result.out.c_str(),
              result.err.c_str());
  }
}

RINGSIDE_TEST(bootstrap_any, under_mpirun_the_ranks_meet_through_mpi) {
  if (!test::have_mpi()) SKIP("there is no MPI, or no mpirun, here");
  const Words argv = with(test::mpirun_argv(2), {program()});
  const RunResult result = run(argv);
  CHECK_EQ(result.exit_code, 0);
  for (int rank = 0; rank < 2; ++rank)
    CHECK(says(result, text("rank %d of 2, bootstrap mpi: sum 3\n", rank)));
  // A rank that leaves by an exception does not wait in MPI_Finalize for one that never comes.
  const RunResult failed = run(with(argv, {"1"}), {.timeout_s = 20});
  CHECK(!failed.timed_out && failed.exit_code > 0);
  CHECK_MSG(says(failed, "any_rank: rank 1 fails on purpose"), "%s", failed.err.c_str());
}

RINGSIDE_TEST(bootstrap_any, a_rank_stopped_before_mpi_init_is_no_hang) {
  if (!test::have_mpi()) SKIP("there is no MPI, or no mpirun, here");
  const std::string script = "[ $OMPI_COMM_WORLD_RANK = 0 ] || kill -STOP $$; exec " + program();
  const RunResult result =
      run(with(test::mpirun_argv(2), {"sh", "-c", script}),
          {.environment = {"RINGSIDE_TIMEOUT=1", "RINGSIDE_WARN=0.3"}, .timeout_s = 30});
  CHECK(!result.timed_out && result.exit_code != 0);
  for (const char* words : {"10.3 s by now, and goes on waiting", "longer than the deadline"})
    CHECK_MSG(says(result, std::string("rank 0 waited in MPI_Init for the other ranks (is one of "
                                       "them stopped?), ") +
                               words),
              "%s", result.err.c_str());
}

// Several worlds of one would all be wrong. The copy of the program has no library beside it.
RINGSIDE_TEST(bootstrap_any, mpirun_without_the_mpi_library_gets_a_sentence) {
  const test::Folder folder;
  const std::string copy = folder.file("any_rank");
  std::filesystem::copy(program(), copy);
  const RunResult result = run(unlaunched({"env", "OMPI_COMM_WORLD_SIZE=2", copy}));
  CHECK_EQ(result.exit_code, 1);
  CHECK_MSG(
      says(result, "library for ranks that mpirun starts cannot be loaded (libringside_mpi") &&
          says(result, "tools/launch"),
      "%s", result.err.c_str());
}

// Who does not ask for MPI does not load it.
RINGSIDE_TEST(bootstrap_any, mpi_is_loaded_under_mpirun_alone) {
  if (!test::have_mpi()) SKIP("there is no MPI in this build");
  const auto loads = [](const Words& argv) {
    return says(run(unlaunched(argv), {.environment = {"LD_DEBUG=files"}}), "libmpi.so");
  };
  CHECK(!loads({program()}));
  CHECK(!loads({test::program_path("tools/launch"), "-n", "2", program()}));
  CHECK(loads({"env", "OMPI_COMM_WORLD_SIZE=2", program()}));
}

}  // namespace ringside
