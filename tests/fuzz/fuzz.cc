// Every reader of other people's input, on its examples and on some hundred that are damaged; more
// of them, for as long as one likes: make fuzz SECONDS=60.
#include "comm/error.h"
#include "tests/fuzz/targets.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {

using namespace test;

namespace {

std::string here() { return program_path("../../tests/fuzz"); }

void check_target(Context& t, const char* name, int times = 300) {
  for (const FuzzTarget& target : kFuzzTargets) {
    if (std::string(target.name) != name) continue;
    const std::vector<std::string> examples = examples_of(target, here() + "/corpus");
    for (const std::string& example : examples) target.run(example);
    std::mt19937_64 dice(1);
    for (int i = 0; i < times; ++i) {
      const std::string bytes = damaged(examples, dice);
      try {
        target.run(bytes);
      } catch (const std::exception& error) {
        t.fail(__FILE__, __LINE__, text("damaged example %d: %s", i, error.what()));
      }
    }
  }
}

}  // namespace

RINGSIDE_TEST(fuzz, machine) { check_target(t, "machine"); }
RINGSIDE_TEST(fuzz, words) { check_target(t, "words"); }
RINGSIDE_TEST(fuzz, environment) { check_target(t, "environment"); }
RINGSIDE_TEST(fuzz, options) { check_target(t, "options"); }
RINGSIDE_TEST(fuzz, bootstrap) { check_target(t, "bootstrap", 60); }
RINGSIDE_TEST(fuzz, control) { check_target(t, "control"); }

RINGSIDE_TEST(fuzz, flight_records) {
  NEEDS_PYTHON();
  const RunResult result = run({"python3", here() + "/flight.py", "600"}, {.timeout_s = 60});
  CHECK_MSG(result.ok(), "%s%s", result.out.c_str(), result.err.c_str());
}

}  // namespace ringside
