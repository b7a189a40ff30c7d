// tools/price, as it is used from a shell: what it prints for a described machine and
// for this one, under which launcher, and what it refuses. How good its predictions are here is not
// a matter for a test: the machine is shared, and a wrong rate is no wrong program.
#include <sched.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "comm/cost/machine_text.h"
#include "comm/cost/predict.h"
#include "comm/error.h"
#include "tests/launcher/launched.h"
#include "tests/support/folder.h"
#include "tests/support/json.h"
#include "tests/support/process.h"
#include "tests/support/test.h"
#include "tools/cost/calibrate.h"
#include "tools/cost/machines.h"

namespace ringside {
namespace {

using namespace test;

std::string tool() { return test::tool_path("price"); }

// Rows of a table: lines that begin with a number.
std::vector<Words> rows_of(const std::string& out) {
  std::vector<Words> rows;
  for (const std::string& line : lines_of(out)) {
    const Words row = test::words_of(line);
    if (!row.empty() && row[0].find_first_not_of("0123456789") == std::string::npos)
      rows.push_back(row);
  }
  return rows;
}

}  // namespace

RINGSIDE_TEST(predict, a_described_machine_of_2_to_4096_ranks) {
  const RunResult result = run({tool(), "--machine", "8xH200", "--ranks", "2,8,4096", "--op",
                                "broadcast", "-b", "1K", "-e", "1M", "-f", "32"});
  check_ends(t, result, 0, 60);
  CHECK_EQ(rows_of(result.out).size(), 9u);
  CHECK(contains(result.out, "# broadcast, 8 ranks on 8xH200: described, not measured here\n"));
  CHECK(contains(result.out,
                 "# broadcast, 4096 ranks on 8xH200 (512 hosts of the same kind): described, not "
                 "measured here\n"));
}

// 8 ranks by the tuner's figures: 6.6 + 14 × 0.6 µs, a one-shot of one step, a two-shot of two.
RINGSIDE_TEST(predict, the_algorithms_side_by_side) {
  const RunResult result =
      run({tool(), "--machine", "8xH200", "-b", "4", "-e", "256K", "-f", "65536"});
  check_ends(t, result, 0);
  const std::vector<Words> rows = rows_of(result.out);
  REQUIRE(rows.size() == 2);
  CHECK((rows[0] == Words{"4", "15.00", "0.00", "7.20", "0.00", "7.80", "0.00", "one-shot"}));
  CHECK_EQ(rows[1][3], "-");  // it does not fit a slot
  CHECK_EQ(rows[1].back(), "two-shot");
  // Of two ranks it would be the ring.
  CHECK(!contains(run({tool(), "--machine", "2cores", "-e", "64"}).out, "two-shot"));
  CHECK(contains(result.out,
                 "better one up to 131072 bytes, which is a whole slot; ringside takes "
                 "it up to 8192"));
}

RINGSIDE_TEST(predict, every_operation_has_a_prediction) {
  const RunResult result =
      run({tool(), "--machine", "2cores", "--op", "all", "-b", "64K", "-e", "64K"});
  check_ends(t, result, 0);
  const std::vector<Words> rows = rows_of(result.out);
  CHECK_EQ(rows.size(), 8u);
  for (const Words& row : rows) CHECK(std::stod(row[1]) > 0);
}

// Two ranks that share memory: a copy of each message less, and the flag back.
RINGSIDE_TEST(predict, what_is_exposed_costs_no_copy) {
  const auto time_us = [](const Words& more) {
    const Words argv = {tool(), "--machine", "2cores", "--op", "all_gather",
                        "-b",   "1M",        "-e",     "1M"};
    return std::stod(rows_of(run(with(argv, more)).out).at(0).at(1));
  };
  const double ordinary_us = time_us({});
  CHECK_EQ(time_us({"--memory", "ordinary"}), ordinary_us);
  CHECK(time_us({"--memory", "allocate"}) < 0.8 * ordinary_us);
  const RunResult here = run({tool(), "--threads", "2", "--memory", "allocate", "--op",
                              "all_gather", "-b", "64K", "-e", "64K"},
                             {.timeout_s = 60});
  check_ends(t, here, 0, 60);
  CHECK_EQ(rows_of(here.out).size(), 1u);
  CHECK(contains(here.out, " on here, memory from allocate: predicted and measured\n"));
  const RunResult wrong = run({tool(), "--memory", "mine"});
  check_ends(t, wrong, 2);
  CHECK(contains(wrong.err, "--memory mine is not known; there are ordinary and allocate"));
}

RINGSIDE_TEST(predict, a_description_can_be_taken_and_changed) {
  const RunResult shown = run({tool(), "--machine", "2x8xH200", "--show-machine"});
  check_ends(t, shown, 0);
  CHECK_EQ(shown.out, tools::machine_text("2x8xH200"));
  const Folder folder;
  const std::string path = folder.file("machine");
  std::ofstream(path) << shown.out << "speed 3\n";
  const RunResult wrong = run({tool(), "--machine", path});
  check_ends(t, wrong, 2);
  const std::size_t line = lines_of(shown.out).size() + 1;
  CHECK(wrong.err.starts_with("price: " + path + text(", line %zu: there is no fact", line)));
  CHECK_EQ(lines_of(wrong.err).size(), 1u);
}

RINGSIDE_TEST(predict, json_is_json) {
  const RunResult described =
      run({tool(), "--machine", "2x8xH200", "--op", "all", "--json", "-e", "1M"});
  check_ends(t, described, 0);
  parse_json(described.out);
  const RunResult here =
      run({tool(), "--threads", "2", "--json", "--op", "all", "-b", "8", "-e", "4K", "-f", "512"},
          {.timeout_s = 60});
  check_ends(t, here, 0, 60);
  check_has(t, here.out,
            {"\"measured_us\": ", "\"residual\": ", "\"calibrated_on\": [",
             "\"flag_ns\": ", "\"copy\": [", "\"reduce\": [", "\"calibrated_ns\": {",
             "\"message\": ", "\"furthest_off\": {",
             "\"bound_to_own_cores\": ", "\"that_is_a_whole_slot\": "});
  // Time and bandwidth of a row are one prediction (to the digits that are printed), and messages
  // those of one call.
  const Json written = parse_json(here.out);
  for (const Json& table : written.at("tables").items)
    for (const Json& row : table.at("rows").items)
      for (const Json& call : row.at("calls").items) {
        const double gbs = row.at("size_bytes").number / call.at("predicted_us").number / 1e3;
        const double share = call.at("busbw_gbs").number / gbs;
        const std::string& op = table.at("op").words;
        CHECK_MSG(std::min(std::abs(share - 1), std::abs(share - 0.5)) < 1e-4, "%s", op.c_str());
        if (op == "all_reduce")
          CHECK_EQ(call.at("messages").number, call.at("algorithm").words == "ring" ? 4.0 : 2.0);
      }
}

// All rows have a predicted time, a measured one, and the difference; the machine that was found
// can be read.
RINGSIDE_TEST(predict, this_machine_under_launch) {
  if (test::kUnderTsan) SKIP(test::kCalibratesTooSlowly);
  const Folder folder;
  const std::string path = folder.file("machine");
  const RunResult result =
      run(launch(2, {}, {tool(), "-b", "8", "-e", "64K", "-f", "64", "--write", path}),
          {.timeout_s = 60});
  check_ends(t, result, 0, 60);
  cpu_set_t cores;
  REQUIRE(::sched_getaffinity(0, sizeof cores, &cores) == 0);
  CHECK(contains(result.out,
                 CPU_COUNT(&cores) >= 2
                     ? "price: 2 ranks here, bootstrap tcp, each bound to a core of its own\n"
                     : "price: 2 ranks here, bootstrap tcp, not bound to cores of their own\n"));
  const std::vector<Words> rows = rows_of(result.out);
  CHECK_EQ(rows.size(), 3u);
  for (const Words& row : rows) {
    REQUIRE(row.size() == 8);
    for (const std::size_t i : {1, 2, 4, 5}) CHECK(std::stod(row[i]) > 0);
  }
  const Machine found = parse_machine(tools::machine_text(path), "found");
  CHECK_EQ(found.ranks(), 2);
  CHECK(found.same_host.latency_ns > 0);
  const RunResult again = run({tool(), "--machine", path, "-e", "1K"});
  check_ends(t, again, 0);
}

// On a machine that takes no time there is no bandwidth, and in JSON no inf.
RINGSIDE_TEST(predict, a_machine_of_no_time) {
  const Folder folder;
  const std::string path = folder.file("machine");
  std::ofstream(path) << "name z\nranks-per-host 2\nlink same-host latency 0ns\n";
  const Words argv = {tool(), "--machine", path, "-b", "1", "-e", "64"};
  const RunResult table = run(argv), json = run(with(argv, {"--json"}));
  check_ends(t, table, 0);
  check_ends(t, json, 0);
  for (const std::string& out : {table.out, json.out})
    CHECK(!contains(out, "inf") && !contains(out, "nan"));
  parse_json(json.out);
}

// Each size once, and none at which a rank has nothing.
RINGSIDE_TEST(predict, sizes_are_whole_elements_of_every_rank) {
  const Words argv = {tool(), "--machine", "8xH200", "--op", "all_gather", "--ranks", "512"};
  const std::vector<Words> rows = rows_of(run(with(argv, {"-b", "8", "-e", "8K", "-f", "2"})).out);
  REQUIRE(rows.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK_EQ(rows[i][0], std::to_string(2048 << i));
  const std::vector<Words> odd =
      rows_of(run(with(argv, {"-b", "2050", "-e", "9K", "-f", "2"})).out);
  REQUIRE(odd.size() == 3);
  CHECK_EQ(odd[1][0], "4096");
  const RunResult none = run(with(argv, {"-b", "8", "-e", "1K"}));
  check_ends(t, none, 0);
  CHECK(contains(none.out, "# at no size here does each rank have a whole element\n"));
}

// With slots of one element no one-shot can be had, neither to calibrate on nor to choose.
RINGSIDE_TEST(predict, here_with_the_smallest_slots) {
  if (test::kUnderTsan) SKIP(test::kCalibratesTooSlowly);
  const RunResult small = run({"env", "RINGSIDE_SLOT_BYTES=8", "RINGSIDE_SLOT_COUNT=1", tool(),
                               "--threads", "2", "-e", "1K", "-f", "8"},
                              {.timeout_s = 60});
  check_ends(t, small, 0, 60);
  CHECK(contains(small.out, "ringside takes it up to 8\n"));
  const RunResult ring = run(
      {"env", "RINGSIDE_ALGORITHM=ring", tool(), "--threads", "2", "-e", "64"}, {.timeout_s = 60});
  check_ends(t, ring, 0, 60);
  CHECK(contains(ring.out, "ringside does not take it here\n"));
}

RINGSIDE_TEST(predict, what_makes_no_sense_is_refused_in_one_sentence) {
  const std::vector<std::pair<Words, std::string>> wrong = {
      {{"--machine", "9xH300"},
       "there is no such file, and no machine of that name; there are 8xH"},
      {{"--machine", "8xH200", "--ranks", "2,5000"}, "--ranks 5000: a whole number from 2 to 4096"},
      {{"--machine", "8xH200", "--ranks", "2,"}, "--ranks : a whole number from 2 to 4096"},
      {{"--machine", "2cores", "--ranks", "3"},
       "no link between hosts, so there is no place for 3"},
      {{"--machine", "8xH200", "--threads", "2"}, "with --machine say --ranks"},
      {{"--machine", "8xH200", "--here"}, "leave one of them out"},
      {{"--ranks", "2"}, "--ranks is for a described machine"},
      {{"--show-machine"}, "say --machine NAME too"},
      {{"--op", "all_reduse"}, "--op all_reduse is not known; there are all_reduce, "},
      {{"-b", "2M", "-e", "1M"}, "sizes run from -b to -e"},
      {{"--machine", ""}, "--machine wants a name, and '' is none"},
      {{"--machine", "/dev/null"}, "--machine /dev/null: the file says nothing"},
      {{"--machine", "/dev/zero"}, "/dev/zero: that is too long for the description"},
      {{"--machine", "/tmp"}, "--machine /tmp: that is a directory"},
      {{"--threads", "2", "--write", "/nonexistent/x"},
       "--write /nonexistent/x: there is no such directory"},
      {{"--threads", "2", "--write", "/tmp"}, "--write /tmp: that is a directory"},
      {{"--machine", "2x8xH200", "--op", "all_to_all", "--ranks", "4096", "-e", "1024G"},
       "of 64G on 4096 ranks would take 2.1e+09 steps, and 1e+09 are the most"},
      {{"--bogus"}, "there is no option --bogus"}};
  for (const auto& [arguments, part] : wrong) {
    const RunResult result = run(with({tool()}, arguments));
    check_ends(t, result, 2);
    CHECK_EQ(result.out, "");
    CHECK_MSG(result.err.starts_with("price: ") && contains(result.err, part) &&
                  lines_of(result.err).size() == 1,
              "no '%s' in: %s", part.c_str(), result.err.c_str());
  }
  const RunResult full = test::shell(tool() + " --machine 8xH200 -e 64 >/dev/full");
  check_ends(t, full, 1);
  CHECK_EQ(full.err, "price: the output could not be written\n");
  const RunResult alone = run(launch(1, {}, {tool()}));
  check_ends(t, alone, 2);
  CHECK(contains(alone.err, "price: one rank sends nothing"));
  const RunResult help = run(launch(2, {}, {tool(), "--help"}));
  check_ends(t, help, 0);
  CHECK(contains(help.out, "The model. A message costs"));
}

// The calibration, without a clock: times that a machine would have are made up from it, and lead
// back to it.
RINGSIDE_TEST(predict, a_calibration_finds_the_times_that_the_calls_were_made_of) {
  Machine truth = parse_machine(tools::machine_text("2cores"), "2cores");
  truth.call_ns = 40;
  truth.message_ns = 25;
  truth.slot_ns = 90;
  std::vector<tools::Measured> calls;
  for (const std::size_t bytes : {24, 768})
    for (const Algorithm algorithm : {Algorithm::ring, Algorithm::one_shot}) {
      Question question{Kind::all_reduce, algorithm, bytes, 2, 8};
      calls.push_back({question, predict(truth, question).time_ns / 1e3, 0, true});
    }
  Machine blank = truth;
  blank.call_ns = blank.message_ns = blank.slot_ns = 0;
  const Machine found = tools::calibrated(blank, calls);
  const auto near = [](double a, double b) { return a > b - 2 && a < b + 2; };
  CHECK_MSG(near(found.call_ns, 40) && near(found.message_ns, 25) && near(found.slot_ns, 90),
            "call %.1f, message %.1f, slot %.1f ns", found.call_ns, found.message_ns,
            found.slot_ns);
}

}  // namespace ringside
