// tools/ring_allreduce, as somebody uses it who has only a shell: what it prints, where, how often
// and in which order, and with which status it ends. What it measures is judged by itself, in the
// #wrong columns; that those can be trusted is the business of the tool's own oracle.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/job.h"
#include "tests/support/json.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace std::chrono_literals;
using namespace test;

std::string tool() { return test::tool_path("ring_allreduce"); }

Words under(const Words& launcher, const Words& arguments) {
  return with(with(launcher, {tool()}), arguments);
}
Words as_threads(int ranks, const Words& arguments) {
  return with({tool(), "--threads", std::to_string(ranks)}, arguments);
}
std::vector<Words> all_ways(const Words& arguments) {
  return test::all_ways("ring_allreduce", 3, arguments);
}

// size count type redop root | time algbw busbw #wrong | time algbw busbw #wrong
using TableRow = Words;
constexpr std::size_t kColumns = 13;

// The rows below the table's head, as words.
std::vector<TableRow> table_of(const std::string& out) {
  std::vector<TableRow> rows;
  bool inside = false;
  for (const std::string& line : lines_of(out)) {
    inside = inside || contains(line, "#wrong");
    if (!inside || line.starts_with("#")) continue;
    rows.push_back(test::words_of(line));
  }
  return rows;
}

void check_table(test::Context& t, const RunResult& result, std::size_t rows_expected) {
  CHECK_MSG(result.exit_code == 0, "exit status %d: %s", result.exit_code, result.err.c_str());
  const std::vector<TableRow> rows = table_of(result.out);
  CHECK_EQ(rows.size(), rows_expected);
  for (const TableRow& row : rows) {
    CHECK_EQ(row.size(), kColumns);
    if (row.size() != kColumns) continue;
    CHECK_EQ(row[8], "0");
    // What can only be done in place, or only out of it, has dashes on the other side.
    CHECK(row[12] == "0" || row[12] == "-");
  }
  CHECK_EQ(lines_from(result.out, "# Out of bounds values : 0 OK"), 1u);
}

// "    rank 2   before [2 3 4 5]  after …": each demo shows the ranks from 0 up.
void check_demo_in_rank_order(test::Context& t, const RunResult& result, int ranks) {
  int shown = 0;
  for (const std::string& line : lines_of(result.out)) {
    if (!contains(line, " before [")) continue;
    CHECK_MSG(line.starts_with(text("    rank %d ", shown % ranks)), "out of order: %s",
              line.c_str());
    ++shown;
  }
  CHECK_MSG(shown > 0 && shown % ranks == 0, "%d lines of %d ranks", shown, ranks);
}

void check_refused(test::Context& t, const Words& argv, const std::string& part) {
  test::check_refused(t, "ring_allreduce", argv, part);
}

bool has_mapped_windows(pid_t pid, int windows) {
  std::ifstream maps(text("/proc/%d/maps", pid));
  int found = 0;
  for (std::string line; std::getline(maps, line);) found += contains(line, "memfd:");
  return found >= windows;
}

}  // namespace

RINGSIDE_TEST(ring_allreduce, every_number_of_processes_is_right) {
  for (const int ranks : {1, 2, 3, 4, 7})
    for (const Words& launcher : launchers(ranks)) {
      Job job;
      const RunResult result =
          job.run(under(launcher, {"-e", "64K", "-f", "4"}), {.timeout_s = 60});
      check_table(t, result, 7);  // 8 bytes to 32K
      check_demo_in_rank_order(t, result, ranks);
      CHECK_EQ(result.err, "");
      CHECK_EQ(job.retired_windows(), "");
    }
}

RINGSIDE_TEST(ring_allreduce, threads_are_right_too) {
  for (const int ranks : {1, 2, 3, 4, 7}) {
    const RunResult result =
        test::run(as_threads(ranks, {"-e", "64K", "-f", "4", "-n", "5", "-w", "1"}));
    check_table(t, result, 7);
    check_demo_in_rank_order(t, result, ranks);
    CHECK_EQ(result.err, "");
  }
}

RINGSIDE_TEST(ring_allreduce, groups_are_held_to_their_own_order) {
  const RunResult result = test::run(as_threads(4, {"-e", "64K", "-f", "16"}),
                                     {.environment = {"RINGSIDE_ALGORITHM=hierarchical:2"}});
  check_table(t, result, 4);
  CHECK(contains(result.out, "adds in an order of its own"));
  CHECK(!contains(result.out, "DIFFER"));
}

RINGSIDE_TEST(ring_allreduce, every_type_reduction_and_operation) {
  const Words all = {"--no-demo", "-b", "6K",  "-e", "6K",  "-n",   "3",  "-w",
                     "0",         "-d", "all", "-o", "all", "--op", "all"};
  for (const Words& argv : all_ways(all)) {
    const RunResult result = test::run(argv);
    CHECK_EQ(result.exit_code, 0);
    const std::vector<TableRow> rows = table_of(result.out);
    CHECK_EQ(rows.size(), 7u * (3 * 5 + 5));  // three reduce, five only move
    for (const TableRow& row : rows) CHECK(row.size() == kColumns && row[8] == "0");
    CHECK(!contains(result.out, " before ["));
  }
}

RINGSIDE_TEST(ring_allreduce, json_is_json) {
  for (const Words& argv : all_ways({"--json", "-b", "1K", "-e", "4K", "-n", "5"})) {
    const RunResult result = test::run(argv);
    CHECK_EQ(result.exit_code, 0);
    CHECK_EQ(result.err, "");
    CHECK(result.out.starts_with("{"));
    test::parse_json(result.out);
  }
}

RINGSIDE_TEST(ring_allreduce, what_makes_no_sense_is_refused_once) {
  for (const Words& argv : all_ways({"--frobnicate"})) check_refused(t, argv, "--frobnicate");
  for (const Words& argv : all_ways({"-b", "0x"})) check_refused(t, argv, "-b 0x");
  for (const Words& argv : all_ways({"-b", "10", "-e", "5"})) check_refused(t, argv, "10 to 5");
  for (const Words& argv : all_ways({"-d", "f99"})) check_refused(t, argv, "-d f99");
  check_refused(t, as_threads(3, {"-n"}), "-n wants a value");
  check_refused(t, as_threads(3, {"64M"}), "64M is not an option");
  check_refused(t, as_threads(0, {}), "--threads 0");
}

RINGSIDE_TEST(ring_allreduce, environment_that_makes_no_sense_is_refused_once) {
  for (Words argv : all_ways({"--no-demo", "-e", "64"})) {
    argv.insert(argv.begin(), {"env", "RINGSIDE_SLOT_COUNT=many"});
    check_refused(t, argv, "RINGSIDE_SLOT_COUNT=many makes no sense");
  }
}

// The others must not wait for a rank that did not get as far as the first meeting.
RINGSIDE_TEST(ring_allreduce, environment_that_makes_no_sense_on_one_rank_hangs_nobody) {
  const std::string script = text(
      "[ ${RANK:-$OMPI_COMM_WORLD_RANK} != 1 ] || export RINGSIDE_SLOT_COUNT=many; exec %s "
      "--no-demo -e 64",
      tool().c_str());
  for (const Words& launcher : launchers(2)) {
    Job job;
    const RunResult result = job.run(with(launcher, {"sh", "-c", script}), {.timeout_s = 20});
    CHECK(!result.timed_out);
    CHECK(result.exit_code > 0);
    check_has(t, result.err, {"RINGSIDE_SLOT_COUNT=many makes no sense"});
    CHECK_EQ(job.retired_windows(), "");
  }
}

RINGSIDE_TEST(ring_allreduce, help_is_printed_once) {
  for (const Words& argv : all_ways({"--help"})) {
    const RunResult result = test::run(argv);
    CHECK_EQ(result.exit_code, 0);
    CHECK_EQ(lines_from(result.out, "ring_allreduce:"), 1u);
    CHECK_EQ(lines_from(result.out, "  --no-demo"), 1u);
    CHECK_EQ(result.err, "");
  }
}

// Into a pipe go lines and nothing else, whatever the terminal could show.
RINGSIDE_TEST(ring_allreduce, piped_output_is_plain) {
  for (const Words& argv : all_ways({"-e", "1K", "-n", "3"})) {
    const RunResult result = test::run(argv, {.environment = {"TERM=xterm-256color"}});
    for (const std::string& words : {result.out, result.err}) {
      CHECK(words.find('\033') == std::string::npos);
      CHECK(words.find('\r') == std::string::npos);
    }
    CHECK(result.out.ends_with("\n"));
  }
}

RINGSIDE_TEST(ring_allreduce, rank_killed_in_the_table_is_named) {
  constexpr int kRanks = 3, kVictim = 1;
  for (const Words& launcher : launchers(kRanks)) {
    Job job;
    bool killed = false;
    const Words argv = under(launcher, {"--no-demo", "-b", "4M", "-e", "4M", "-n", "100000"});
    const RunResult result = job.run(argv, {.timeout_s = 30}, [&] {
      for (int i = 0; i < 500 && !killed; ++i, std::this_thread::sleep_for(10ms)) {
        const std::optional<pid_t> pid = job.rank(kVictim);
        if (!pid || !has_mapped_windows(*pid, kRanks)) continue;
        std::this_thread::sleep_for(300ms);  // past the start, into the timed calls
        killed = ::kill(*pid, SIGKILL) == 0;
      }
    });
    CHECK(killed);
    CHECK(result.exit_code > 0 && !result.timed_out);
    for (const int rank : {0, 2}) {
      const std::string start = text("ring_allreduce: rank %d, in ", rank);
      CHECK_MSG(lines_from(result.err, start) == 1, "rank %d is silent: %s", rank,
                result.err.c_str());
    }
    CHECK(contains(result.err, "rank 1 (pid "));
    CHECK(contains(result.err, "has died"));
    CHECK_EQ(job.retired_windows(), "");
  }
}

}  // namespace ringside
