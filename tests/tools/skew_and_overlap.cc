// The bench under circumstances: one rank late, or computing during each call.
#include <cstddef>
#include <string>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"
#include "tools/measure/measure.h"
#include "tools/measure/overlap.h"

namespace ringside {
namespace {

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
}  // namespace ringside
