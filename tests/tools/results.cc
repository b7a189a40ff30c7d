// tools/results: that its tables say what the runs said, that it takes up where it was stopped, and
// that a run which fails is reported.
#include <string>

#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

// The two-rank default of Open MPI alone: a few seconds.
std::string one_case(const Folder& folder, const std::string& operation) {
  return test::program_path("../../tools/results") +
         " --quick --memory allocate --only '^mpirun -n 2 (--oversubscribe )?./tools/bench' --op " +
         operation + " --name some --out " + folder.path();
}

}  // namespace

RINGSIDE_TEST(results, tables_of_made_up_runs_are_right) {
  NEEDS_PYTHON();
  const RunResult result = shell(test::program_path("../../tools/results") + " --self-test");
  CHECK_MSG(result.exit_code == 0, "%s%s", result.out.c_str(), result.err.c_str());
}

RINGSIDE_TEST(results, what_has_been_measured_is_kept_and_what_is_new_is_added) {
  NEEDS_PYTHON();
  if (!test::have_mpi()) SKIP("there is no MPI in this build");
  const Folder folder;
  const RunResult first = shell(one_case(folder, "all_gather"));
  CHECK_MSG(first.exit_code == 0, "%s", first.err.c_str());
  CHECK_EQ(first.out, folder.file("some.md") + "\n");
  CHECK_EQ(first.err, "");  // progress is for terminals
  const std::string page = read_file(folder.file("some.md"));
  CHECK_MSG(lines_with(page, "### all_gather, allocate, 2 ranks") == 1, "%s", page.c_str());
  for (const char* row :
       {"| 8    | ", "| 128  | ", "| 2K   | ", "| 32K  | ", "| 512K | ", "| 8M   | "})
    CHECK_MSG(lines_with(page, row) == 1, "no '%s' in: %s", row, page.c_str());
  CHECK(contains(page, "Every element of every run was checked; none was wrong. 1 run.\n"));

  const std::string kept = read_file(folder.file("some.jsonl"));
  CHECK(shell(one_case(folder, "all_gather")).ok());
  CHECK_MSG(read_file(folder.file("some.jsonl")) == kept, "%s", "measured again");
  CHECK(shell(one_case(folder, "all_gather") + " --op all_reduce").ok());
  const std::string more = read_file(folder.file("some.md"));
  CHECK_EQ(lines_with(more, "### all_gather, allocate, 2 ranks"), 1u);
  CHECK_EQ(lines_with(more, "### all_reduce, allocate, 2 ranks"), 1u);
  CHECK(shell(one_case(folder, "all_gather") + " --fresh").ok());
  CHECK_MSG(read_file(folder.file("some.jsonl")) != kept, "%s", "not measured again");
}

RINGSIDE_TEST(results, a_run_that_fails_is_reported_with_its_sentence) {
  NEEDS_PYTHON();
  if (!test::have_mpi()) SKIP("there is no MPI in this build");
  const Folder folder;
  CHECK(shell("RINGSIDE_SLOT_COUNT=many " + one_case(folder, "all_reduce")).ok());
  const std::string page = read_file(folder.file("some.md"));
  CHECK(contains(page, "0 runs, and 1 that failed: see [the commands](#the-commands).\n"));
  check_has(t, page, {"# Open MPI, 2 ranks: bench: rank 0: RINGSIDE_SLOT_COUNT="});
  CHECK_EQ(lines_with(page, "### "), 0u);
}

}  // namespace ringside
