// A little of each storm (tests/programs/storm.cc says what is owed in it).
#include "comm/error.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

void check_storm(Context& t, const char* what, int times) {
  Job job;
  const RunResult result = job.run(
      {program_path("tests/programs/storm"), what, std::to_string(times)}, {.timeout_s = 100});
  CHECK_MSG(result.exit_code == 0 && contains(result.out, ", 0 not as owed"),
            "exit status %d: %s%s", result.exit_code, result.out.c_str(), result.err.c_str());
  check_nothing_left(t, job);
}

}  // namespace

RINGSIDE_TEST(storms, of_kills) { check_storm(t, "--kills", kSanitized ? 4 : 8); }
RINGSIDE_TEST(storms, of_stops) { check_storm(t, "--stops", 2); }
RINGSIDE_TEST(storms, of_starved_starts) {
  if (kSanitized) SKIP("what is starved and slow besides takes a minute");
  check_storm(t, "--starve", 1);
}

}  // namespace ringside
