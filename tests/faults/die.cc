// Deaths: each rank of each algorithm really killed at each of its steps, and what the others say.
// The cells are run and judged, with mutants, by tests/programs/die_cells.cc; here
// somebody looks at that program from outside.
#include "tests/support/job.h"
#include "tests/support/test.h"

namespace ringside {

RINGSIDE_TEST(faults_die, every_survivor_names_the_victim_in_every_cell) {
  test::Job job;
  const test::RunResult result =
      job.run({test::program_path("tests/programs/die_cells")}, {.timeout_s = 100});
  CHECK_MSG(result.exit_code == 0 && result.out.starts_with("every survivor names the victim: "),
            "exit status %d: %s%s", result.exit_code, result.out.c_str(), result.err.c_str());
  CHECK(!result.left_processes);
  CHECK_MSG(job.look_at_sockets() > 0, "no rank was seen with a socket that has a name");
  check_nothing_left(t, job);
}

}  // namespace ringside
