// tools/results: that its tables say what the runs said, that it takes up where it was stopped,
// that a run which fails is reported, and that what was measured in one situation of the cores
// never takes the place of what was measured in another.
#include <fstream>
#include <string>
#include <utility>

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

// Every page, whatever situation the cores were in.
std::string pages(const Folder& folder) { return shell("cat " + folder.file("some*.md")).out; }
std::string figures(const Folder& folder) { return shell("cat " + folder.file("some*.jsonl")).out; }

// In the place of mpirun and the bench: two rows of PLAYED_US, in the situations of PLAYED_CORES.
constexpr const char* kPlayedBench = R"(#!/usr/bin/env python3
import json, os
cores, us = os.environ["PLAYED_CORES"].split(), float(os.environ["PLAYED_US"])
side = {"time_us": us, "time_us_25": us, "time_us_75": us, "wrong": 0}
probe = {"flag_ns": 1, "cores": cores[0], "copy": [], "reduce": []}
print(json.dumps({
    "date": "", "baseline_version": "", "status_ns": 1, "cores_moved": len(set(cores)) > 1,
    "probe_before": probe, "probe_after": probe,
    "rows": [{"size_bytes": size, "samples": 1, "cores": where, "out_of_place": side,
              "baseline": {"note": "", "ratio": 1, "ratio_25": 1, "ratio_75": 1,
                           "out_of_place": side},
              "lower_bound": {"time_us": 1, "distance": us}}
             for size, where in zip((8, 2048), cores)]}))
)";

RunResult played(const Folder& folder, const char* cores, const char* us, const char* more = "") {
  return shell("PATH=" + folder.path() + ":$PATH PLAYED_CORES='" + cores + "' PLAYED_US=" + us +
               " " + one_case(folder, "all_gather") + more);
}

}  // namespace

RINGSIDE_TEST(results, situations_of_the_cores_have_tables_of_their_own) {
  NEEDS_PYTHON();
  const Folder folder;
  for (const auto& [name, words] : {std::pair<const char*, const char*>{"mpirun", kPlayedBench},
                                    {"ompi_info", "#!/bin/sh\necho some\n"}}) {
    std::ofstream(folder.file(name)) << words;
    CHECK(shell("chmod +x " + folder.file(name)).ok());
  }
  const auto read = [&](const char* name) { return read_file(folder.file(name)); };
  // The cores move between the two rows.
  const RunResult first = played(folder, "one_cache apart", "5");
  CHECK_MSG(first.exit_code == 0, "%s", first.err.c_str());
  CHECK_EQ(first.out,
           folder.file("some-one-cache.md") + "\n" + folder.file("some-apart.md") + "\n");
  const std::string one_cache = read("some-one-cache.jsonl"), page = read("some-one-cache.md");
  CHECK(lines_with(page, "| 8    | ") == 1 && lines_with(page, "| 2K   | ") == 0);
  CHECK(contains(page, "probably cores of one cache\n") &&
        contains(page, "| 8    |        5.00 |"));
  CHECK_EQ(lines_with(read("some-apart.md"), "| 2K   | "), 1u);

  // Another time they are apart all the while: nothing of the one cache is touched.
  CHECK(played(folder, "apart apart", "7", " --fresh").ok());
  CHECK_EQ(read("some-one-cache.jsonl"), one_cache);
  CHECK_EQ(read("some-one-cache.md"), page);
  check_has(t, read("some-apart.md"), {"| 8    |        7.00 |", "| 2K   |        7.00 |"});

  // A row during which they moved each time is in no table, and is counted.
  CHECK(played(folder, "one_core moved", "9", " --fresh").ok());
  check_has(t, read("some-one-core.md"), {"| 8    |        9.00 |", "they were measured: 1.\n"});
  CHECK_EQ(lines_with(read("some-one-core.md"), "| 2K   | "), 0u);
  CHECK_EQ(read("some-one-cache.jsonl"), one_cache);
}

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
  CHECK(contains(first.out, folder.file("some-")));
  CHECK_EQ(first.err, "");  // progress is for terminals
  const std::string page = pages(folder);
  CHECK_MSG(lines_with(page, "### all_gather, allocate, 2 ranks") >= 1, "%s", page.c_str());
  for (const char* row :
       {"| 8    | ", "| 128  | ", "| 2K   | ", "| 32K  | ", "| 512K | ", "| 8M   | "})
    CHECK_MSG(lines_with(page, row) >= 1, "no '%s' in: %s", row, page.c_str());
  CHECK(contains(page, "Every element of every run was checked; none was wrong. 1 run.\n"));

  const std::string kept = figures(folder);
  CHECK(shell(one_case(folder, "all_gather")).ok());
  CHECK_MSG(figures(folder) == kept, "%s", "measured again");
  CHECK(shell(one_case(folder, "all_gather") + " --op all_reduce").ok());
  const std::string more = pages(folder);
  CHECK(contains(more, "### all_gather, allocate, 2 ranks"));
  CHECK(contains(more, "### all_reduce, allocate, 2 ranks"));
  CHECK(shell(one_case(folder, "all_gather") + " --fresh").ok());
  CHECK_MSG(figures(folder) != kept, "%s", "not measured again");
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
