// tools/stress: random programs on every number of ranks, each result checked, nothing left over.
// Short here; by hand it goes on for 10,000 operations and more. The programs are those of fixed
// seeds, so that a red test stays red.
#include <string>
#include <vector>

#include "comm/error.h"
#include "tests/launcher/launched.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

std::string tool() { return test::tool_path("stress"); }

Words stress(int threads, int seed, const Words& more) {
  return with({tool(), "--threads", std::to_string(threads), "--seed", std::to_string(seed)}, more);
}

void check_all_right(test::Context& t, const RunResult& result, int ranks) {
  CHECK_MSG(result.exit_code == 0 && !result.timed_out, "%d ranks: exit status %d: %s", ranks,
            result.exit_code, result.err.c_str());
  CHECK_EQ(result.err, "");
  check_has(t, result.out, {text("on %d rank", ranks), ": all right"});
}

// One sentence, with what is needed to run it again.
void check_noticed(test::Context& t, const RunResult& result, const std::string& part) {
  CHECK_MSG(result.exit_code == 1, "exit status %d; %s", result.exit_code, part.c_str());
  CHECK_EQ(lines_of(result.err).size(), 1u);
  check_has(t, result.err, {part});
  CHECK(contains(result.err, "; again: --seed 5 --ops "));
  CHECK(contains(result.out, ": WRONG on "));
}

}  // namespace

RINGSIDE_TEST(stress, random_programs_on_1_to_8_ranks) {
  for (int ranks = 1; ranks <= 8; ++ranks)
    check_all_right(t, run(stress(ranks, ranks, {"--ops", "200", "--max-bytes", "128K"})), ranks);
}

// Every buffer goes round all slots many times, and nothing takes one step.
RINGSIDE_TEST(stress, random_programs_through_the_smallest_slots) {
  check_all_right(t,
                  run(stress(3, 9, {"--ops", "200", "--max-bytes", "8K"}),
                      {.environment = {"RINGSIDE_SLOT_BYTES=8", "RINGSIDE_SLOT_COUNT=1"}}),
                  3);
  check_all_right(t,
                  run(stress(4, 10, {"--ops", "200", "--max-bytes", "32K"}),
                      {.environment = {"RINGSIDE_SLOT_BYTES=64", "RINGSIDE_SLOT_COUNT=3",
                                       "RINGSIDE_ALGORITHM=ring"}}),
                  4);
}

// An error that breaks nothing comes while other calls are under way.
RINGSIDE_TEST(stress, a_refused_call_ends_the_program_in_good_order) {
  for (const int seed : {1, 2, 3}) {
    const RunResult result = run(stress(3, seed, {"--ops", "60"}),
                                 {.environment = {"RINGSIDE_ALGORITHM=hierarchical:2"}});
    // 2 of a rank that is refused, 1 of one that was in another call; never a signal's.
    CHECK(result.exit_code == 1 || result.exit_code == 2);
    check_has(t, result.err,
              {"3 ranks cannot be cut into groups of 2",
               "; again: RINGSIDE_ALGORITHM=hierarchical:2 "});
  }
}

// No all_reduce of this seed's program is in a group of an odd number of ranks.
RINGSIDE_TEST(stress, random_programs_in_groups) {
  check_all_right(t,
                  run(stress(4, 1, {"--ops", "100", "--max-bytes", "1M"}),
                      {.environment = {"RINGSIDE_ALGORITHM=hierarchical:2"}}),
                  4);
}

RINGSIDE_TEST(stress, random_programs_on_processes) {
  test::Job job;
  check_all_right(
      t,
      job.run(test::launch(3, {}, {tool(), "--seed", "11", "--ops", "300", "--max-bytes", "256K"})),
      3);
  CHECK_EQ(job.retired_windows(), "");
  if (!test::have_mpi()) return;
  const Words more = {tool(), "--seed", "12", "--ops", "200"};
  check_all_right(t, job.run(with(test::mpirun_argv(2), more)), 2);
  CHECK_EQ(job.retired_windows(), "");
}

// What is drawn depends on the seed alone, so a program's beginning can be run again.
RINGSIDE_TEST(stress, a_seed_is_a_program) {
  const auto calls_of = [](int seed, const char* operations) {
    const std::string out =
        run(stress(2, seed, {"--ops", operations, "--max-bytes", "4K", "--json"})).out;
    const std::size_t begin = out.find("\"calls\""), end = out.find("\"in_flight_max\"");
    return begin == std::string::npos ? out : out.substr(begin, end - begin);
  };
  CHECK(contains(calls_of(5, "150"), "\"all_reduce\": {\"blocking\": "));
  CHECK_EQ(calls_of(5, "150"), calls_of(5, "150"));
  CHECK(calls_of(5, "150") != calls_of(6, "150"));
}

RINGSIDE_TEST(stress_mutants, one_wrong_bit_is_noticed) {
  for (const char* operation : {"1", "57", "150"})
    check_noticed(t, run(stress(3, 5, {"--ops", "200", "--max-bytes", "4K", "--spoil", operation})),
                  "elements are wrong, the first is number ");
  // And again with as few operations as the sentence says.
  const RunResult first = run(stress(3, 5, {"--ops", "200", "--spoil", "57", "--max-bytes", "4K"}));
  const std::string number = first.err.substr(first.err.find("operation ") + 10, 2);
  check_noticed(t, run(stress(3, 5, {"--ops", number, "--spoil", "57", "--max-bytes", "4K"})),
                "operation " + number);
}

RINGSIDE_TEST(stress_mutants, what_is_not_given_back_is_noticed) {
  const Words enough = {"--ops", "300", "--max-bytes", "4K", "--leak"};
  for (const char* what : {"windows", "descriptors", "threads", "memory"}) {
    const RunResult result = run(stress(2, 5, with(enough, {what})));
    if (contains(result.out, "not judged") && std::string(what) == "memory") continue;
    check_noticed(t, result, what);
  }
}

RINGSIDE_TEST(stress, what_makes_no_sense_is_refused_in_one_sentence) {
  for (const Words& wrong : std::vector<Words>{{"--ops", "0"},
                                               {"--seed", "x"},
                                               {"--max-bytes", "1"},
                                               {"--leak", "water"},
                                               {"--spoil"},
                                               {"--ops", "20", "--spoil", "21"},
                                               {"--ops", "100", "--leak", "threads"},
                                               {"--bogus"},
                                               {"12"}}) {
    const RunResult result = run(with({tool()}, wrong));
    check_ends(t, result, 2);
    CHECK_EQ(lines_of(result.err).size(), 1u);
    CHECK_MSG(result.err.starts_with("stress: ") && contains(result.err, wrong[0]), "%s",
              result.err.c_str());
  }
  const RunResult help = run({tool(), "--help"});
  check_ends(t, help, 0);
  CHECK(contains(help.out, "--seed S"));
}

}  // namespace ringside
