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
  for (const char* variable :
       {"RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMIX_RANK"})
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
