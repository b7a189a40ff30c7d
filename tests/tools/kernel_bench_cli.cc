// tools/kernel_bench and store_bench, as somebody uses them who has only a shell: table, JSON,
// refusals, and what is said where there is no GPU. How fast anything is, is no matter for a test.
#include <cmath>
#include <string>
#include <vector>

#include "tests/support/json.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using test::Json;
using test::RunResult;
using test::Words;

RunResult run_bench(const Words& arguments) {
  return test::run(test::with({test::tool_path("kernel_bench")}, arguments));
}

RINGSIDE_TEST(processes_kernels, every_kernel_has_a_row_on_the_cpu) {
  const RunResult result =
      run_bench({"--host", "-b", "64K", "-e", "64K", "--gemm", "64", "-n", "3"});
  REQUIRE(result.ok());
  CHECK_EQ(result.err, "");
  for (const char* const name : {"memcpy", "copy", "reduce", "divide", "gelu", "gelu_gradient",
                                 "bias_gelu", "bias_gradient", "adamw", "gemm nt 64"}) {
    const std::size_t rows = test::lines_from(result.out, text("%s ", name));
    CHECK_MSG(rows == 2, "%s has %zu rows, and there are two types", name, rows);
  }
  for (const std::string& line : test::lines_of(result.out)) CHECK(line.size() <= 110);
}

RINGSIDE_TEST(processes_kernels, json_holds_what_the_table_does) {
  const RunResult result =
      run_bench({"--host", "--json", "--warm", "-b", "8K", "-e", "16K", "-f", "2", "-d", "bf16",
                 "--kernel", "reduce,gemm", "--gemm", "48", "-n", "3"});
  REQUIRE(result.ok());
  const Json run = test::parse_json(result.out);
  CHECK_EQ(run.at("side").words, "cpu");
  CHECK(!run.at("cold").boolean);
  const std::vector<Json>& rows = run.at("rows").items;
  REQUIRE(rows.size() >= 4 + 3);  // two sizes of copy and reduce, and three forms
  CHECK_EQ(rows[1].at("kernel").words, "reduce");
  CHECK_EQ(rows[1].at("bytes_moved").number, 3.0 * 8192);
  CHECK_EQ(rows.back().at("form").words, "tn");
  for (const Json& row : rows) {
    const double time_us = row.at("time_us").number;
    CHECK(std::isfinite(time_us) && time_us > 0);
    const Json* const gbs = row.find("gbs");
    if (gbs == nullptr) continue;
    const double rate = row.at("bytes_moved").number / time_us / 1e3;
    CHECK(std::fabs(gbs->number / rate - 1) < 0.01);
  }
}

RINGSIDE_TEST(processes_kernels, without_a_gpu_one_sentence_is_said) {
  const RunResult result = run_bench({"-b", "1M", "-e", "1M", "--kernel", "copy", "-n", "3"});
  if (result.exit_code == 0) SKIP("there is a GPU here");
  CHECK_EQ(result.exit_code, 3);
  CHECK_EQ(result.out, "");
  CHECK_EQ(test::lines_of(result.err).size(), 1u);
  CHECK(test::contains(result.err, "--host"));
}

RINGSIDE_TEST(processes_kernels, what_cannot_be_meant_is_refused) {
  const std::vector<Words> wrong = {{"--kernel", "gemmm"},       {"-d", "i32"},   {"-b", "1"},
                                    {"-b", "2M", "-e", "1M"},    {"--gemm", "0"}, {"more"},
                                    {"--host", "--blocks", "3"}, {"-n", "none"}};
  for (const Words& arguments : wrong) {
    const RunResult result = run_bench(arguments);
    CHECK_MSG(result.exit_code == 2, "%s: exit code %d", arguments[0].c_str(), result.exit_code);
    CHECK_EQ(test::lines_of(result.err).size(), 1u);
  }
  const RunResult help = run_bench({"--help"});
  CHECK(help.ok() && test::contains(help.out, "28 bytes an element"));
}

RunResult run_store_bench(const Words& arguments) {
  return test::run(test::with({test::tool_path("store_bench")}, arguments));
}

bool one_core(const RunResult& result) {
  return result.exit_code == 1 && result.err.find("two cores are needed") != result.err.npos;
}

RINGSIDE_TEST(processes_stores, table_and_json_have_a_row_a_size) {
  const RunResult table = run_store_bench({"-b", "1K", "-e", "4K"});
  if (one_core(table)) SKIP("there is one core here");
  REQUIRE(table.ok());
  for (const char* size : {"1024", "4096"})
    CHECK_EQ(test::lines_from(table.out, text("%9s ", size)), 1u);
  for (const std::string& line : test::lines_of(table.out)) CHECK(line.size() <= 100);

  const RunResult json = run_store_bench({"-b", "1K", "-e", "4K", "--json"});
  REQUIRE(json.ok());
  const Json whole = test::parse_json(json.out);
  const std::vector<Json>& rows = whole.at("rows").items;
  REQUIRE(rows.size() == 2);
  for (const Json& row : rows)
    for (const char* time : {"load_us", "store_cached_us", "store_streaming_us",
                             "exchange_cached_us", "exchange_streaming_us"})
      CHECK(row.at(time).number > 0);
}

RINGSIDE_TEST(processes_stores, what_cannot_be_is_refused) {
  const RunResult result = run_store_bench({"-b", "2M", "-e", "1M"});
  CHECK_EQ(result.exit_code, 2);
  CHECK_EQ(test::lines_of(result.err).size(), 1u);
}

}  // namespace
}  // namespace ringside
