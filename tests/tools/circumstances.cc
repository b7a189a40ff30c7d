// The bench under circumstances: one rank late, or computing during each call, or on cores that its
// host moves. When they move says a flag that is played: real ones nobody can ask to.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/support/job.h"
#include "tests/support/json.h"
#include "tests/support/process.h"
#include "tests/support/test.h"
#include "tests/tools/bench.h"
#include "tools/measure/measure.h"
#include "tools/measure/overlap.h"
#include "tools/report/comparison.h"

namespace ringside {
namespace {

using test::BenchResult;
using test::contains;
using test::lines_with;
using test::with;
using tools::Arguments;

constexpr int kSoLong_us = 200'000;
constexpr std::size_t kCount = 256;
const Operation kCall{Kind::all_reduce, DType::f32, Reduction::sum, 0, kCount};

// The row as rank 0 has it.
tools::RowTiming row_of(const Arguments& arguments) {
  tools::RowTiming row;
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, Options{});
    tools::Buffers buffers(4 * kCount);
    const tools::RowTiming mine =
        tools::measure_row(comm, nullptr, buffers, kCall, arguments, false);
    if (comm.rank() == 0) row = mine;
  });
  return row;
}

Arguments four_calls() {
  Arguments arguments;
  arguments.iterations = 4;
  arguments.warmup = 0;
  return arguments;
}

// ringside, but what start() was asked for is done by finish() alone.
class Idles : public tools::Ringside {
 public:
  using Ringside::Ringside;
  void start(const Operation& what, tools::Sides at) override { what_ = what, at_ = at; }
  void finish() override { Ringside::call(what_, at_); }

 private:
  Operation what_;
  tools::Sides at_{};
};

// A library that has no calls that return at once.
class Blocks : public tools::Ringside {
 public:
  using Ringside::Ringside;
  void start(const Operation& what, tools::Sides at) override { Library::start(what, at); }
  void finish() override { Library::finish(); }
};

// It forgets to finish.
class Forgets : public Idles {
 public:
  using Idles::Idles;
  void finish() override {}
};

template <class Kind>
std::size_t wrong_overlap(const Operation& what, int ranks = 3) {
  std::size_t wrong = 0;
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, Options{});
    tools::Buffers buffers(what.count * 8 * static_cast<std::size_t>(ranks));
    Kind library(comm);
    const tools::Computation computation(50);
    tools::Overlap overlap(library, computation);
    const std::size_t mine = tools::check_once(comm, overlap, buffers, what, false);
    if (comm.rank() == 0) wrong = mine;
  });
  return wrong;
}

struct Played : BenchResult {
  int all_reduces = 0;  // that the ranks have called, together
};

// A table of two rows. A flag is taken before the table, before each row, after each time that the
// row is measured, and after the table. After the last of `flags_ns` comes the first.
Played bench_while(const std::vector<double>& flags_ns, bool json = false) {
  tools::Arguments arguments = test::few_calls(Kind::all_reduce, 8);
  arguments.end_bytes = 16;
  arguments.json = json;
  std::atomic<int> calls{0};
  Options options;
  options.on_call = [&](std::uint64_t, Operation& what) {
    calls += what.kind == Kind::all_reduce && what.dtype == DType::f32;
  };
  const auto play = [&](Bootstrap&, const tools::ProbeOptions&, bool) -> tools::Flag {
    return
        [&flags_ns, next = std::size_t{0}]() mutable { return flags_ns[next++ % flags_ns.size()]; };
  };
  Played it{test::bench_with_threads(2, arguments, options, {}, play)};
  it.all_reduces = calls;
  return it;
}

const std::vector<double> kStill = {58, 58, 58, 61, 60, 58};
const std::vector<double> kMoveInTheFirstRow = {58, 58, 260, 258, 260, 261, 260};
const std::vector<double> kMoveBetweenTheRows = {24, 24, 25, 260, 261, 260};
const std::vector<double> kMoveWithoutEnd = {58, 260};

}  // namespace

// The others have waited; their time would be longer than that.
RINGSIDE_TEST(bench_circumstances, the_time_is_that_of_the_rank_that_came_late) {
  Arguments arguments = four_calls();
  CHECK(row_of(arguments).out_of_place.time_us < kSoLong_us / 2);
  arguments.skew_us = kSoLong_us;
  const tools::RowTiming row = row_of(arguments);
  CHECK_EQ(row.samples, 4u);
  CHECK_EQ(row.out_of_place.wrong, 0u);
  CHECK_MSG(row.out_of_place.spread_us.low > 0 && row.out_of_place.time_us < kSoLong_us / 2,
            "%.1f us", row.out_of_place.time_us);
}

RINGSIDE_TEST(bench_circumstances, the_time_beside_computing_holds_both) {
  Arguments arguments = four_calls();
  arguments.overlap_us = kSoLong_us;
  const tools::RowTiming row = row_of(arguments);
  CHECK_EQ(row.out_of_place.wrong, 0u);
  CHECK_MSG(row.out_of_place.time_us > kSoLong_us / 2, "%.1f us", row.out_of_place.time_us);
}

RINGSIDE_TEST(bench_circumstances, every_call_is_right_beside_computing) {
  for (const Kind kind : {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather,
                          Kind::reduce_scatter_v, Kind::all_gather_v, Kind::broadcast, Kind::reduce,
                          Kind::gather, Kind::scatter, Kind::all_to_all, Kind::send_recv}) {
    const Operation what = tools::operation_of(kind, DType::i32, Reduction::sum, 4 * kCount, 3);
    CHECK_MSG(wrong_overlap<tools::Ringside>(what) == 0, "%s", tools::row_name(kind));
  }
  CHECK_EQ(wrong_overlap<Idles>(kCall), 0u);
  CHECK_EQ(wrong_overlap<Blocks>(kCall), 0u);
  CHECK_EQ(wrong_overlap<Forgets>(kCall), 3 * kCount);
}

RINGSIDE_TEST(bench_circumstances, a_baseline_is_asked_the_same_and_the_head_says_so) {
  if (!test::have_mpi()) SKIP(test::kNoMpi);
  const test::Words few = {"--baseline", "mpi", "-b", "4K", "-e", "4K", "-n", "3", "-w", "1"};
  const auto bench = [&](const test::Words& words) {
    const test::Words argv = with(test::mpirun_argv(2), {test::tool_path("bench")});
    return test::run(with(with(argv, few), words));
  };
  const test::RunResult skew = bench({"--skew", "100", "--op", "all"});
  CHECK_MSG(skew.exit_code == 0 && test::contains(skew.out, " 100 us after the others"), "%s",
            (skew.out + skew.err).c_str());
  const test::RunResult overlap = bench({"--overlap", "100", "--op", "all"});
  CHECK_MSG(overlap.exit_code == 0 && test::contains(overlap.out, "0 OK") &&
                test::contains(overlap.out, "computes for 100 us"),
            "%s", (overlap.out + overlap.err).c_str());
  const test::RunResult json = bench({"--overlap", "100", "--json"});
  CHECK(test::contains(json.out, "\"overlap_us\": 100"));
}

RINGSIDE_TEST(bench_circumstances, what_makes_no_sense_is_refused) {
  struct Refusal {
    test::Words words;
    std::string part;
  };
  for (const Refusal& it :
       std::vector<Refusal>{{{"--skew", "0"}, "--skew"},
                            {{"--overlap", "x"}, "--overlap"},
                            {{"--skew", "1", "--overlap", "1"}, "two questions"},
                            {{"--skew", "1", "--lower-bound"}, "no lower bound"},
                            {{"--overlap", "1", "--explain"}, "no lower bound"},
                            {{"--overlap", "1", "--memory", "device"}, "the host's memory"}}) {
    const test::RunResult result =
        test::run(with({test::tool_path("bench"), "--threads", "2"}, it.words));
    CHECK_MSG(result.exit_code == 2 && test::contains(result.err, it.part), "%s: %s",
              it.part.c_str(), result.err.c_str());
  }
}
RINGSIDE_TEST(moving_cores, row_is_measured_again_when_they_moved_meanwhile) {
  const Played still = bench_while(kStill), moved = bench_while(kMoveInTheFirstRow);
  CHECK_EQ(moved.status, 0);
  CHECK_MSG(still.all_reduces > 0 && 2 * moved.all_reduces == 3 * still.all_reduces,
            "%d calls where nothing moves, %d where the first of two rows is measured twice",
            still.all_reduces, moved.all_reduces);
  CHECK(!contains(moved.words, "of no one situation"));
  const test::Json run = test::parse_json(bench_while(kMoveInTheFirstRow, true).words);
  const std::vector<test::Json>& rows = run.at("rows").items;
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].at("times_measured").number == 2 && rows[1].at("times_measured").number == 1);
  for (const test::Json& row : rows) CHECK_EQ(row.at("cores").words, "apart");
  CHECK(run.at("cores_before").words == "one_cache" && run.at("cores_after").words == "apart");
}

RINGSIDE_TEST(moving_cores, row_is_measured_so_often_and_then_marked_when_they_move_without_end) {
  const Played still = bench_while(kStill), moved = bench_while(kMoveWithoutEnd);
  CHECK_EQ(moved.status, 0);
  CHECK_EQ(moved.all_reduces, tools::kMostTimes * still.all_reduces);
  CHECK_EQ(lines_with(moved.words, "of no one situation: measured 4 times"), 2u);
  const test::Json run = test::parse_json(bench_while(kMoveWithoutEnd, true).words);
  CHECK(contains(bench_while(kMoveWithoutEnd, true).words, "\"cores_moved\": true"));
  for (const test::Json& row : run.at("rows").items)
    CHECK(row.at("cores").words == "moved" && row.at("times_measured").number == 4);
}

RINGSIDE_TEST(moving_cores, table_says_where_they_are_before_after_and_from_which_row_on) {
  const Played still = bench_while(kStill), moved = bench_while(kMoveBetweenTheRows);
  CHECK_EQ(moved.all_reduces, still.all_reduces);  // no row is of two situations
  check_has(t, still.words,
            {"# cores: probably cores of one cache (a flag takes 58 ns)\n",
             "# cores afterwards: probably cores of one cache (a flag takes 58 ns)\n"});
  CHECK_EQ(lines_with(still.words, "# cores"), 2u);
  CHECK(!contains(still.words, "# no means"));
  const std::string& words = moved.words;
  const std::size_t before =
      words.find("# cores: probably two threads of one core (a flag takes 24");
  const std::size_t first = words.find("\n         8 "), second = words.find("\n        16 ");
  const std::size_t between = words.find("# cores: probably cores without a cache in common");
  CHECK_MSG(before < first && first < between && between < second &&
                second < words.find("# cores afterwards: probably cores without"),
            "%s", words.c_str());
  CHECK(contains(words, "# no means: rows are of several situations of the cores\n"));
}

RINGSIDE_TEST(moving_cores, means_are_of_one_situation_and_leave_marked_rows_out) {
  const auto row = [](double ratio, double before_ns, double after_ns) {
    tools::Row it{};
    it.baseline = tools::BaselineTiming{};
    it.baseline->ratio.median = ratio;
    it.stand = {before_ns, after_ns, 1};
    return it;
  };
  const std::vector<tools::Row> marked = {row(2, 58, 58), row(0.1, 58, 260), row(2, 60, 60)};
  REQUIRE(tools::baseline_summary(marked).has_value());
  CHECK_EQ(tools::baseline_summary(marked)->rows, 2);
  CHECK_EQ(tools::baseline_summary(marked)->worst, 2.0);
  CHECK(!tools::baseline_summary({row(2, 58, 58), row(3, 260, 260)}).has_value());
}

}  // namespace ringside
