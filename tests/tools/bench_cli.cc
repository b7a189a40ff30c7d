// tools/bench, as it is used from a shell: its tables, its JSON, its refusals. That a
// wrong result would be seen is shown in bench.cc.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "comm/version.h"
#include "tests/launcher/launched.h"
#include "tests/support/job.h"
#include "tests/support/json.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

std::string bench() { return test::tool_path("bench"); }

std::vector<Words> all_ways(int ranks, const Words& arguments) {
  return test::all_ways("bench", ranks, arguments);
}

// The rows of a table as words, without the bars between its parts.
std::vector<Words> rows_of(const std::string& out) {
  std::vector<Words> rows;
  for (const std::string& line : lines_of(out)) {
    if (line.empty() || line[0] == '#') continue;
    rows.push_back(test::words_of(line));
    std::erase(rows.back(), "|");
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

void check_refused(test::Context& t, const Words& argv, const std::string& part) {
  test::check_refused(t, "bench", argv, part);
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

RINGSIDE_TEST(bench_tool, either_memory_is_measured_and_named_and_the_cores_are_looked_at_twice) {
  const Words some = with({"--op", "all", "-b", "64K", "-e", "64K"}, kFew);
  for (const auto& [more, line] : std::vector<std::pair<Words, std::string>>{
           {{}, "# memory: ordinary\n"},
           {{"--memory", "ordinary"}, "# memory: ordinary\n"},
           {{"--memory", "allocate"}, "# memory: from ringside::allocate; "}})
    for (const Words& argv : all_ways(2, with(some, more))) {
      const RunResult result = test::run(argv);
      check_good(t, result);
      CHECK_EQ(rows_of(result.out).size(), 12u);
      check_has(t, result.out, {line});
      check_has(t, result.out, {"# cores: probably ", "# cores afterwards: probably "});
    }
  std::vector<Words> compared = {{"--lower-bound"}};
  if (test::have_mpi()) compared.push_back({"--baseline", "mpi"});
  for (const Words& how : compared) {
    const RunResult result = test::run(all_ways(2, with(some, how)).back());
    check_good(t, result);
    check_has(t, result.out, {"# cores: probably ", "# machine: flag ", "# cores afterwards: "});
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
  check_has(t, result.out,
            {"\"cpu\"", "\"cores\"", "\"date\"", "\"options\"", "\"probe_before\"",
             "\"probe_after\"", "\"flag_ns\"", "\"copy\"", "\"reduce\"", "\"time_us_25\"",
             "\"time_us_75\"", "\"samples\"", "\"lower_bound\"", "\"distance\"", "\"cores_moved\"",
             "\"baseline_version\"", "\"avg_busbw_gbs\""});
  for (const char* name : {"\"ratio_25\"", "\"baseline_geomean\"", "\"baseline_worst\""})
    CHECK_EQ(contains(result.out, name), test::have_mpi());
  const Json run = test::parse_json(result.out);
  const std::vector<Json>& rows = run.at("rows").items;
  REQUIRE(rows.size() == 3);
  double busbw = 0, least = HUGE_VAL, worst = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK_EQ(rows[i].at("size_bytes").number, static_cast<double>(1024 << i));
    const double distance = rows[i].at("lower_bound").at("distance").number;
    CHECK(rows[i].at("out_of_place").at("time_us").number > 0 && distance > 0);
    busbw += rows[i].at("out_of_place").at("busbw_gbs").number / 3;
    least = std::min(least, distance);
    worst = std::max(worst, distance);
  }
  CHECK(std::abs(run.at("lower_bound_worst").at("factor").number - worst) < 1e-3);
  CHECK_EQ(run.at("lower_bound_worst").at("op").words, "all_reduce");
  const double mean = run.at("lower_bound_geomean").number;
  CHECK(least - 1e-3 < mean && mean < worst + 1e-3);
  CHECK(std::abs(run.at("avg_busbw_gbs").number - busbw) < 1e-3);
  CHECK(run.at("status_ns").number > 0);
  CHECK_EQ(run.at("options").at("memory").words, "allocate");
  const std::string cores = run.at("probe_before").at("cores").words;
  CHECK_MSG(cores == "one_core" || cores == "one_cache" || cores == "apart" || cores == "in_turns",
            "%s", cores.c_str());
  CHECK(run.at("wrong").number == 0 && run.at("world_size").number == 2);
}

RINGSIDE_TEST(bench_tool, explain_says_of_each_row_what_it_is_made_of) {
  if (test::kUnderTsan) SKIP(test::kCalibratesTooSlowly);
  const Words arguments = with({"--explain", "-b", "8", "-e", "128K", "-f", "16384"}, kFew);
  for (const Words& argv : all_ways(2, arguments)) {
    const RunResult result = test::run(argv, {.timeout_s = 60});
    check_good(t, result);
    CHECK_EQ(rows_of(result.out).size(), 2u);
    check_has(
        t, result.out,
        {"# calibrated: a call ", "#   one-shot: 8 B ≤ 32K: ", "#   bytes: in the flag's own line;",
         "#   ring: 128K > 32K: ", "#   bytes: copied to slots;", "#   bound ", "#   + gap ",
         "#   predicted ", "#   unexplained ", "# Stores to the right neighbour"});
  }
  check_refused(t, {bench(), "--threads", "1", "--explain"}, "--explain wants at least two ranks");
}

RINGSIDE_TEST(bench_tool, explain_in_json_adds_up) {
  if (test::kUnderTsan) SKIP(test::kCalibratesTooSlowly);
  const Words arguments =
      with({"--explain", "--json", "--op", "all", "--memory", "allocate", "-b", "64K", "-e", "64K"},
           kFew);
  const RunResult result = test::run(all_ways(3, arguments).front(), {.timeout_s = 60});
  CHECK_EQ(result.exit_code, 0);
  const Json run = test::parse_json(result.out);
  CHECK(run.at("calibrated_ns").at("call").number >= 0);
  CHECK_EQ(run.at("rows").items.size(), 12u);
  const auto sum_of = [](const Json& terms) {
    double sum = 0;
    for (const auto& [term, us] : terms.members) sum += us.number;
    return sum;
  };
  for (const Json& row : run.at("rows").items) {
    const Json& it = row.at("explain");
    const std::string op = row.at("op").words;
    const double bound_us = row.at("lower_bound").at("time_us").number;
    CHECK_MSG(std::abs(sum_of(it.at("lower_bound_us")) - bound_us) < 1e-2, "%s", op.c_str());
    if (it.find("unpredicted") != nullptr) {
      CHECK_EQ(op, "send_recv");
      continue;
    }
    const double total_us = it.at("predicted_total_us").number;
    const double time_us = row.at("out_of_place").at("time_us").number;
    CHECK_MSG(std::abs(sum_of(it.at("predicted_us")) - total_us) < 1e-2, "%s", op.c_str());
    CHECK_MSG(std::abs(total_us + it.at("unexplained_us").number - time_us) < 1e-2, "%s",
              op.c_str());
    CHECK_EQ(it.at("sent").at("exposed").at("bytes").number > 0, op != "barrier");
  }
}

RINGSIDE_TEST(bench_tool, what_makes_no_sense_is_refused_once) {
  for (const Words& argv : all_ways(2, {"--frobnicate"}))
    check_refused(t, argv, "there is no option --frobnicate");
  const Words it = {bench(), "--threads", "2"};
  check_refused(t, with(it, {"--baseline", "nccl"}), "--baseline nccl knows device memory alone");
  check_refused(t, with(it, {"--op", "send/recv"}),
                "send_recv, reduce_scatter_v, all_gather_v, barrier and all");
  check_refused(t, with(it, {"--memory", "pinned"}),
                "--memory pinned is not known; there are ordinary, allocate and device");
  check_refused(t, with(it, {"--no-demo"}), "there is no option --no-demo");
  // Ranks that mpirun has not started cannot join it, and a build may not know it at all.
  check_refused(t, with(it, {"--baseline", "mpi"}), "--baseline mpi ");
  check_refused(t, test::launch(2, {}, {bench(), "--baseline", "mpi"}), "--baseline mpi ");
}

// Commands of nccl-tests' users: each letter does what it does there, or says what it does not.
RINGSIDE_TEST(bench_tool, takes_the_letters_of_nccl_tests) {
  for (const char* tool : {"bench", "ring_allreduce"}) {
    const Words begin = {test::tool_path(tool), "-b", "64", "-e", "256", "-n", "3", "-w", "1"};
    const RunResult steps = test::run(with(begin, {"-i", "64", "-t", "3", "-g", "1", "-c", "1"}));
    CHECK_EQ(steps.exit_code, 0);
    CHECK(contains(steps.out, "3 ranks") && !contains(steps.out, "# -"));
    Words sizes;
    for (const std::string& line : lines_of(steps.out)) {
      const Words words = words_of(line);
      if (words.size() == 13 && std::isdigit(static_cast<unsigned char>(words[0][0])) != 0)
        sizes.push_back(words[0]);
    }
    CHECK(sizes == (Words{"64", "128", "192", "256"}));
    const RunResult gpus = test::run(with(begin, {"-g", "2", "-c", "0"}));
    CHECK_EQ(gpus.exit_code, 0);
    check_has(t, gpus.out,
              {"2 ranks", "# -g 2: ranks on the host's memory; for GPUs add --memory",
               "# -c 0: every element is checked all the same\n"});
  }
  const Words it = {bench()};
  check_refused(t, with(it, {"-g", "2", "--threads", "2"}), "leave one of them out");
  check_refused(t, with(it, {"-t", "9", "-g", "8"}), "-t 9 -g 8 are 72 ranks");
  check_refused(t, test::launch(2, {}, {bench(), "-g", "2"}), "--threads (or -t, -g) makes ranks");
}

RINGSIDE_TEST(bench_tool, every_tool_says_its_version) {
  for (const char* tool :
       {"bench", "ring_allreduce", "stress", "launch", "price", "kernel_bench",
        "store_bench"}) {
    const RunResult result = test::run({test::tool_path(tool), "--version"});
    CHECK_EQ(result.exit_code, 0);
    CHECK_EQ(result.out, text("%s of ringside %s\n", tool, kVersion));
  }
  NEEDS_PYTHON();
  for (const char* script : {"flight", "results"}) {
    const RunResult result = test::run({test::program_path("../../tools/") + script, "--version"});
    CHECK_EQ(result.out, text("%s of ringside %s\n", script, kVersion));
  }
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
    check_has(t, result.out, {"  --baseline NAME", "xbound"});
  }
}

RINGSIDE_TEST(bench_tool, help_that_could_not_be_written_is_a_failure) {
  for (const char* tool : {"bench", "ring_allreduce", "stress", "launch"}) {
    const RunResult result = test::shell(test::tool_path(tool) + " --help >/dev/full");
    CHECK_MSG(result.exit_code == 1, "%s: exit status %d", tool, result.exit_code);
    CHECK_EQ(result.err, text("%s: the output could not be written\n", tool));
  }
}

RINGSIDE_TEST(bench_tool, colour_is_for_terminals_that_want_it) {
  if (!test::shell("command -v script && script --version").ok())
    SKIP("there is no script(1) here to make a terminal");
  const auto on_terminal = [&](const char* before) {
    const std::string command = text(
        "script -qec '%s %s --threads 2 --lower-bound -b 8 -e 8 -n 3' "
        "/dev/null </dev/null",
        before, bench().c_str());
    return test::shell(command).out;
  };
  CHECK(contains(on_terminal(""), "probing the machine"));  // progress, then the line that wipes it
  CHECK(!contains(on_terminal("NO_COLOR=1"), "\033[31m"));
}

}  // namespace ringside
