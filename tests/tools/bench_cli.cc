// tools/bench, as it is used from a shell: its tables, its JSON, its refusals. That a
// wrong result would be seen is shown in bench.cc.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "comm/error.h"
#include "tests/launcher/launched.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using test::contains;
using test::Job;
using test::lines_of;
using test::RunResult;
using test::Words;

std::string bench() { return test::program_path("tools/bench"); }

Words with(Words argv, const Words& more) {
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

// Every way to start so many ranks that there is here.
std::vector<Words> all_ways(int ranks, const Words& arguments) {
  std::vector<Words> ways = {with({bench(), "--threads", std::to_string(ranks)}, arguments),
                             test::launch(ranks, {}, with({bench()}, arguments))};
  if (test::have_mpi()) ways.push_back(with(with(test::mpirun_argv(ranks), {bench()}), arguments));
  return ways;
}

// The rows of a table as words, without the bars between its parts.
std::vector<Words> rows_of(const std::string& out) {
  std::vector<Words> rows;
  for (const std::string& line : lines_of(out)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream stream(line);
    rows.emplace_back();
    for (std::string word; stream >> word;)
      if (word != "|") rows.back().push_back(word);
  }
  return rows;
}

std::size_t longest_line(const std::string& out) {
  std::size_t longest = 0;
  for (const std::string& line : lines_of(out)) longest = std::max(longest, line.size());
  return longest;
}

void check_good(test::Context& t, const RunResult& result) {
  CHECK_MSG(result.exit_code == 0, "exit status %d: %s", result.exit_code, result.err.c_str());
  CHECK_EQ(result.err, "");
  CHECK(contains(result.out, "0 OK\n"));
  for (const char terminal_only : {'\033', '\r'})
    CHECK(result.out.find(terminal_only) == std::string::npos);
}

const Words kFew = {"-n", "3", "-w", "1"};

// One sentence from one rank on stderr, and status 2.
void check_refused(test::Context& t, const Words& argv, const std::string& part) {
  Job job;
  const RunResult result = job.run(argv, {.timeout_s = 20});
  CHECK_MSG(result.exit_code == 2, "%s: exit status %d", part.c_str(), result.exit_code);
  std::size_t sentences = 0;
  for (const std::string& line : lines_of(result.err)) sentences += line.starts_with("bench: ");
  CHECK_EQ(sentences, 1u);
  CHECK_MSG(contains(result.err, part), "no '%s' in: %s", part.c_str(), result.err.c_str());
  CHECK_EQ(result.out, "");
  CHECK_EQ(job.retired_windows(), "");
}

// What is in no build's way of starting must be a sentence; what is there must work.
bool has_baseline(const std::string& baseline) {
  const RunResult result = test::run(
      test::launch(2, {}, with({bench(), "--baseline", baseline, "-b", "8", "-e", "8"}, kFew)));
  return result.exit_code == 0;
}

}  // namespace

RINGSIDE_TEST(bench_tool, table_has_the_columns_of_nccl_tests) {
  const Words arguments = with({"--op", "all", "-b", "6K", "-e", "6K"}, kFew);
  for (const Words& argv : all_ways(3, arguments)) {
    const RunResult result = test::run(argv);
    check_good(t, result);
    const std::vector<Words> rows = rows_of(result.out);
    CHECK_EQ(rows.size(), 12u);
    for (const Words& row : rows) CHECK(row.size() == 13 && row[8] == "0");
  }
}

RINGSIDE_TEST(bench_tool, lower_bound_adds_a_bound_and_a_distance_for_any_number_of_ranks) {
  for (const int ranks : {1, 2, 4}) {
    const Words arguments = with({"--lower-bound", "--op", "all", "-b", "1K", "-e", "1K"}, kFew);
    const RunResult result = test::run(all_ways(ranks, arguments).back());
    check_good(t, result);
    CHECK_MSG(longest_line(result.out) <= 100, "%s", result.out.c_str());
    const std::vector<Words> rows = rows_of(result.out);
    CHECK_EQ(rows.size(), ranks == 1 ? 11u : 12u);
    for (const Words& row : rows) {
      // size type redop time busbw #wrong | bound xbound
      CHECK_EQ(row.size(), 8u);
      if (row.size() == 8) CHECK(row[5] == "0" && (row[7] == "-" || std::stod(row[7]) > 0));
      CHECK(!contains(row.back(), "inf") && !contains(row.back(), "nan"));
    }
  }
}

RINGSIDE_TEST(bench_tool, mpi_stands_beside_every_operation) {
  if (!test::have_mpi()) SKIP(test::kNoMpi);
  const Words arguments = with({"--baseline", "mpi", "--lower-bound", "--op", "all", "-b", "4K",
                                "-e", "4K", "-d", "all", "-o", "all"},
                               kFew);
  const RunResult result = test::run(with(with(test::mpirun_argv(3), {bench()}), arguments));
  check_good(t, result);
  std::size_t without = 0;
  const std::vector<Words> rows = rows_of(result.out);
  CHECK_EQ(rows.size(), 7u * (4 * 5 + 7) + 1);
  for (const Words& row : rows) {
    // size type redop time busbw #wrong | time ratio 25-75% #wrong | bound xbound
    CHECK_EQ(row.size(), 12u);
    if (row.size() != 12) continue;
    CHECK(row[5] == "0" && (row[9] == "0" || row[9] == "-"));
    const bool half = row[1] == "f16" || row[1] == "bf16";
    const bool adds_bytes = row[1] == "u8" && (row[2] == "sum" || row[2] == "avg");
    CHECK_EQ(row[6] == "-", (half && row[2] != "none") || adds_bytes);
    without += row[6] == "-";
  }
  CHECK_EQ(without, 4u * (2 * 5 + 2));  // four operations reduce
  CHECK(contains(result.out, "# mpi has no type bf16 to reduce\n"));
  CHECK(contains(result.out, "# mpi has no avg: its side of those rows is a sum\n"));
  CHECK(contains(result.out, "# mpi / ringside"));
  CHECK(contains(result.out, "# ringside / lower bound"));
  for (const std::string& line : lines_of(result.out))
    CHECK_MSG(line[0] == '#' || line.size() <= 100, "%zu columns: %s", line.size(), line.c_str());
}

RINGSIDE_TEST(bench_tool, gloo_stands_beside_what_it_has) {
  if (!has_baseline("gloo")) SKIP("this build has no Gloo");
  const Words arguments =
      with({"--baseline", "gloo", "--op", "all", "-b", "3K", "-e", "3K", "-d", "f32"}, kFew);
  for (const Words& argv : all_ways(3, arguments)) {
    Job job;
    const RunResult result = job.run(argv);
    check_good(t, result);
    std::size_t without = 0;
    for (const Words& row : rows_of(result.out)) without += row.size() == 10 && row[6] == "-";
    CHECK_EQ(without, 3u);  // reduce_scatter, its twin, and send_recv
    CHECK(contains(result.out, "# gloo has no call for reduce_scatter\n"));
    CHECK_EQ(job.retired_windows(), "");
  }
}

// The flag's place before and after stands in tables with a baseline or a lower bound, and in no
// other.
RINGSIDE_TEST(bench_tool, either_memory_is_measured_and_named_and_the_cores_are_looked_at_twice) {
  const Words some = with({"--op", "all", "-b", "64K", "-e", "64K"}, kFew);
  for (const auto& [more, line] : std::vector<std::pair<Words, std::string>>{
           {{}, "# memory: ordinary\n"},
           {{"--memory", "any"}, "# memory: ordinary\n"},
           {{"--memory", "allocate"}, "# memory: from ringside::allocate; "}})
    for (const Words& argv : all_ways(2, with(some, more))) {
      const RunResult result = test::run(argv);
      check_good(t, result);
      CHECK_EQ(rows_of(result.out).size(), 12u);
      CHECK_MSG(contains(result.out, line), "no '%s' in: %s", line.c_str(), result.out.c_str());
      CHECK(!contains(result.out, "# flag latency "));
    }
  std::vector<Words> compared = {{"--lower-bound"}};
  if (test::have_mpi()) compared.push_back({"--baseline", "mpi"});
  for (const Words& how : compared) {
    const RunResult result = test::run(all_ways(2, with(some, how)).back());
    check_good(t, result);
    CHECK_MSG(contains(result.out, "# machine: flag ") && contains(result.out, "): probably "),
              "%s", result.out.c_str());
    CHECK(contains(result.out, "# flag latency ") && contains(result.out, " after: the CPUs "));
    CHECK_EQ(contains(result.out, "# copy   (GB/s):"), how == Words{"--lower-bound"});
  }
}

RINGSIDE_TEST(bench_tool, json_is_json_and_carries_what_the_table_has) {
  Words arguments =
      with({"--json", "--lower-bound", "--memory", "allocate", "-b", "1K", "-e", "4K"}, kFew);
  if (test::have_mpi()) arguments.insert(arguments.end(), {"--baseline", "mpi"});
  const RunResult result = test::run(all_ways(2, arguments).back());
  CHECK_EQ(result.exit_code, 0);
  CHECK_EQ(result.err, "");
  for (const char* name :
       {"\"cpu\"", "\"cores\"", "\"date\"", "\"options\"", "\"probe_before\"", "\"probe_after\"",
        "\"flag_ns\"", "\"copy\"", "\"reduce\"", "\"time_us_25\"", "\"time_us_75\"", "\"samples\"",
        "\"lower_bound\"", "\"distance\"", "\"cores_moved\"", "\"baseline_version\"",
        "\"avg_busbw_gbs\""})
    CHECK_MSG(contains(result.out, name), "no %s in: %s", name, result.out.c_str());
  for (const char* name : {"\"ratio_25\"", "\"baseline_geomean\"", "\"baseline_worst\""})
    CHECK_EQ(contains(result.out, name), test::have_mpi());
  const std::string path = text("/tmp/ringside-bench-%d.json", static_cast<int>(::getpid()));
  std::ofstream(path) << result.out;
  const RunResult parsed = test::run(
      {"sh", "-c",
       "command -v python3 >/dev/null || exit 0; python3 -c \"import json; "
       "run = json.load(open('" +
           path +
           "')); rows = run['rows']; "
           "assert [row['size_bytes'] for row in rows] == [1024, 2048, 4096], rows; "
           "assert all(row['out_of_place']['time_us'] > 0 and row['lower_bound']['distance'] > 0 "
           "for row in rows), rows; "
           "all_of = [row['lower_bound']['distance'] for row in rows]; worst = "
           "run['lower_bound_worst']; "
           "assert abs(worst['factor'] - max(all_of)) < 1e-3 and worst['op'] == 'all_reduce', run; "
           "assert min(all_of) - 1e-3 < run['lower_bound_geomean'] < max(all_of) + 1e-3, run; "
           "busbw = sum(row['out_of_place']['busbw_gbs'] for row in rows) / 3; "
           "assert abs(run['avg_busbw_gbs'] - busbw) < 1e-3, run; assert run['status_ns'] > 0, "
           "run; "
           "assert run['options']['memory'] == 'allocate', run; "
           "assert run['probe_before']['cores'] in "
           "('one_core', 'one_cache', 'apart', 'in_turns'), run; "
           "assert run['wrong'] == 0 and "
           "run['world_size'] == 2\""});
  std::remove(path.c_str());
  CHECK_MSG(parsed.exit_code == 0, "%s in: %s", parsed.err.c_str(), result.out.c_str());
}

RINGSIDE_TEST(bench_tool, explain_says_of_each_row_what_it_is_made_of) {
  if (test::kUnderTsan) SKIP(test::kCalibratesTooSlowly);
  const Words arguments = with({"--explain", "-b", "8", "-e", "128K", "-f", "16384"}, kFew);
  for (const Words& argv : all_ways(2, arguments)) {
    const RunResult result = test::run(argv, {.timeout_s = 60});
    check_good(t, result);
    CHECK_EQ(rows_of(result.out).size(), 2u);
    for (const char* part : {"# calibrated: a call ",
                             "#   one-shot: 8 B ≤ 32K: ", "#   bytes: in the flag's own line;",
                             "#   ring: 128K > 32K: ", "#   bytes: copied to slots;", "#   bound ",
                             "#   + gap ", "#   predicted ", "#   unexplained "})
      CHECK_MSG(contains(result.out, part), "no '%s' in: %s", part, result.out.c_str());
  }
  check_refused(t, {bench(), "--threads", "1", "--explain"}, "--explain wants at least two ranks");
}

RINGSIDE_TEST(bench_tool, explain_in_json_adds_up) {
  if (test::kUnderTsan) SKIP(test::kCalibratesTooSlowly);
  if (!test::run({"sh", "-c", "command -v python3"}).ok()) SKIP("there is no python3 here");
  const Words arguments =
      with({"--explain", "--json", "--op", "all", "--memory", "allocate", "-b", "64K", "-e", "64K"},
           kFew);
  const RunResult result = test::run(all_ways(3, arguments).front(), {.timeout_s = 60});
  CHECK_EQ(result.exit_code, 0);
  const std::string path = text("/tmp/ringside-explain-%d.json", static_cast<int>(::getpid()));
  std::ofstream(path) << result.out;
  const RunResult parsed = test::run(
      {"python3", "-c",
       "import json; run = json.load(open('" + path +
           "'))\n"
           "assert run['calibrated_ns']['call'] >= 0 and len(run['rows']) == 12, run\n"
           "for row in run['rows']:\n"
           "  it = row['explain']; time = row['out_of_place']['time_us']\n"
           "  assert abs(sum(it['lower_bound_us'].values()) - row['lower_bound']['time_us']) < "
           "1e-2, row\n"
           "  if 'unpredicted' in it: assert row['op'] == 'send_recv', row; continue\n"
           "  total = it['predicted_total_us']\n"
           "  assert abs(sum(it['predicted_us'].values()) - total) < 1e-2, row\n"
           "  assert abs(total + it['unexplained_us'] - time) < 1e-2, row\n"
           "  exposed = it['sent']['exposed']['bytes'] > 0\n"
           "  assert exposed == (row['op'] != 'barrier'), row\n"});
  std::remove(path.c_str());
  CHECK_MSG(parsed.exit_code == 0, "%s in: %s", parsed.err.c_str(), result.out.c_str());
}

RINGSIDE_TEST(bench_tool, what_makes_no_sense_is_refused_once) {
  for (const Words& argv : all_ways(2, {"--frobnicate"}))
    check_refused(t, argv, "there is no option --frobnicate");
  const Words it = {bench(), "--threads", "2"};
  check_refused(t, with(it, {"--baseline", "nccl"}), "--baseline nccl knows device memory alone");
  check_refused(t, with(it, {"--op", "send/recv"}),
                "send_recv, reduce_scatter_v, all_gather_v, barrier and all");
  check_refused(t, with(it, {"--memory", "pinned"}),
                "--memory pinned is not known; there are any, allocate and device");
  check_refused(t, with(it, {"--no-demo"}), "there is no option --no-demo");
  // Ranks that mpirun has not started cannot join it, and a build may not know it at all.
  check_refused(t, with(it, {"--baseline", "mpi"}), "--baseline mpi ");
  check_refused(t, test::launch(2, {}, {bench(), "--baseline", "mpi"}), "--baseline mpi ");
}

RINGSIDE_TEST(bench_tool, one_rank_has_no_neighbour_and_that_is_said) {
  const RunResult result = test::run(with({bench(), "--threads", "1", "--op", "send_recv"}, kFew));
  check_good(t, result);
  CHECK_EQ(rows_of(result.out).size(), 0u);
  CHECK(contains(result.out, "# send_recv: one rank has no neighbour to send to\n"));
}

RINGSIDE_TEST(bench_tool, help_is_printed_once) {
  for (const Words& argv : all_ways(2, {"--help"})) {
    const RunResult result = test::run(argv);
    CHECK_EQ(result.exit_code, 0);
    CHECK_EQ(result.err, "");
    CHECK(result.out.find("  --baseline NAME") == result.out.rfind("  --baseline NAME"));
    CHECK(contains(result.out, "  --baseline NAME") && contains(result.out, "xbound"));
  }
}

RINGSIDE_TEST(bench_tool, help_that_could_not_be_written_is_a_failure) {
  for (const char* tool : {"bench", "ring_allreduce", "stress", "launch"}) {
    const std::string path = test::program_path(text("tools/%s", tool));
    const RunResult result = test::run({"sh", "-c", path + " --help >/dev/full"});
    CHECK_MSG(result.exit_code == 1, "%s: exit status %d", tool, result.exit_code);
    CHECK_EQ(result.err, text("%s: the output could not be written\n", tool));
  }
}

RINGSIDE_TEST(bench_tool, colour_is_for_terminals_that_want_it) {
  if (!test::run({"sh", "-c", "command -v script && script --version"}).ok())
    SKIP("there is no script(1) here to make a terminal");
  const auto on_terminal = [&](const char* before) {
    const std::string command = text(
        "script -qec '%s %s --threads 2 --lower-bound -b 8 -e 8 -n 3' "
        "/dev/null </dev/null",
        before, bench().c_str());
    return test::run({"sh", "-c", command}).out;
  };
  CHECK(contains(on_terminal(""), "probing the machine"));  // progress, then the line that wipes it
  CHECK(!contains(on_terminal("NO_COLOR=1"), "\033[31m"));
}

}  // namespace ringside
