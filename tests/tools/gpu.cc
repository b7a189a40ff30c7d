// Measuring on device memory, where the host plays the GPU and threads play its kernels: the
// header, the check of every bit, the lower bound, the explanation, and what is refused. What a
// real GPU adds is tools/support/gpu_cuda.cc, which is run in tests/cuda alone.
#include <cmath>
#include <string>
#include <utility>

#include "comm/error.h"
#include "tests/device/cpu_device.h"
#include "tests/support/test.h"
#include "tests/tools/bench.h"
#include "tools/limits/gpu_lower_bound.h"

namespace ringside {
namespace {

using test::BenchResult;
using test::contains;
using test::HostGpuOptions;
using tools::Arguments;
using tools::Memory;

using GpuOfRank = std::function<HostGpuOptions(int rank)>;

BenchResult bench(int ranks, Arguments arguments, const GpuOfRank& gpu_of = {},
                  ExecutorChoice executor = ExecutorChoice::automatic) {
  arguments.memory = Memory::device;
  Options options;
  options.executor = executor;
  options.device = [] { return test::make_cpu_device(); };
  return test::bench_with_threads(ranks, arguments, options, gpu_of);
}

Arguments few_calls(Kind kind, std::size_t bytes) { return test::few_calls(kind, bytes, 1); }

std::vector<int> all_ranks(int size) {
  std::vector<int> ranks;
  for (int rank = 0; rank < size; ++rank) ranks.push_back(rank);
  return ranks;
}

}  // namespace

RINGSIDE_TEST(bench_gpu, every_operation_is_right_on_every_executor_and_a_spoiled_read_is_counted) {
  const HostGpuOptions spoiled{.spoils_reads = true};
  for (const ExecutorChoice executor :
       {ExecutorChoice::host, ExecutorChoice::stream, ExecutorChoice::device})
    for (const Kind kind : tools::kMeasuredKinds) {
      const BenchResult good = bench(2, few_calls(kind, 6000), {}, executor);
      CHECK_MSG(good.status == 0 && contains(good.words, "0 OK"), "%s: %s", tools::row_name(kind),
                (good.words + good.refused).c_str());
      check_has(t, good.words, {std::string("# executor: ") + name_of(executor) + "; "});
      if (kind == Kind::barrier) continue;
      const BenchResult bad = bench(
          2, few_calls(kind, 6000), [&](int) { return spoiled; }, executor);
      CHECK_MSG(bad.status == 1 && contains(bad.words, " FAILED"), "%s: %s", tools::row_name(kind),
                (bad.words + bad.refused).c_str());
    }
}

RINGSIDE_TEST(bench_gpu, the_header_says_whose_memory_and_how_many_share_it) {
  const Arguments arguments = few_calls(Kind::all_reduce, 4096);
  CHECK(contains(bench(1, arguments).words, "# memory: of a GPU that the host plays\n"));
  CHECK(contains(bench(3, arguments).words, "host plays, 3 ranks share one\n"));
  const auto own = [](int rank) {
    return HostGpuOptions{.uuid = static_cast<unsigned char>(rank + 1)};
  };
  CHECK(contains(bench(2, arguments, own).words,
                 "# memory: of 2 GPUs (a GPU that the host plays), one for each rank\n"));
  const auto two = [](int rank) {
    return HostGpuOptions{.uuid = static_cast<unsigned char>(rank == 0 ? 1 : 2)};
  };
  CHECK(contains(bench(3, arguments, two).words, "up to 2 ranks share one\n"));
}

RINGSIDE_TEST(bench_gpu, inputs_are_rewritten_between_timed_calls) {
  test::HostGpu::rewrites = 0;
  CHECK_EQ(bench(1, few_calls(Kind::all_reduce, 8192)).status, 0);
  // A warm-up and three samples, out of place and in place.
  CHECK_EQ(test::HostGpu::rewrites.load(), 8);
}

// gpu_lower_bound.h's table. S divides by every n here, so that formulas are exact.
RINGSIDE_TEST(bench_gpu, bytes_that_must_move_are_those_of_the_table) {
  for (const int size : {1, 2, 3, 4, 8}) {
    const auto n = static_cast<std::size_t>(size);
    const std::size_t S = 4 * 24 * 36;  // and by their shares n(n+1)/2
    const auto moved = [&](Kind kind) {
      return tools::moved_bytes(tools::operation_of(kind, DType::f32, Reduction::sum, S, size),
                                all_ranks(size), size);
    };
    for (const Kind kind : {Kind::all_reduce, Kind::all_to_all, Kind::send_recv})
      CHECK_EQ(moved(kind), 2 * n * S);
    for (const Kind kind : {Kind::reduce, Kind::reduce_scatter, Kind::reduce_scatter_v,
                            Kind::all_gather, Kind::all_gather_v})
      CHECK_EQ(moved(kind), (n + 1) * S);
    CHECK_EQ(moved(Kind::broadcast), size == 1 ? 0 : n * S);
    CHECK_EQ(moved(Kind::gather), 2 * S);
    CHECK_EQ(moved(Kind::scatter), 2 * S);
    CHECK_EQ(moved(Kind::barrier), 0u);
  }
}

RINGSIDE_TEST(bench_gpu, the_lower_bound_is_bytes_at_the_measured_rate_of_the_busiest_gpu) {
  const Operation what = tools::operation_of(Kind::all_reduce, DType::f32, Reduction::sum, 4000, 3);
  const tools::LowerBound all = tools::gpu_lower_bound(what, {0, 1, 2}, 3, {{1000, 2.0}});
  CHECK_EQ(all.work.moved_bytes, 24000u);
  CHECK(std::abs(all.time_us - 12.0) < 1e-9);
  CHECK(std::abs(tools::gpu_lower_bound(what, {1}, 3, {{1000, 2.0}}).time_us - 4.0) < 1e-9);
}

RINGSIDE_TEST(bench_gpu, lower_bound_and_explain_show_lower_bound_executor_and_bytes) {
  Arguments arguments = few_calls(Kind::all_reduce, 1 << 20);
  arguments.lower_bound = arguments.explain = true;
  const BenchResult table = bench(2, arguments, {}, ExecutorChoice::stream);
  CHECK_EQ(table.status, 0);
  check_has(t, table.words,
            {"xbound", "1000.0@16M", "#   ring, by the stream executor: RINGSIDE_EXECUTOR says so",
             "#   moves 4M bytes at least, 4.19 us at 1000 GB/s"});
  arguments.kinds = {Kind::gather};
  const BenchResult gather = bench(2, arguments, {}, ExecutorChoice::stream);
  check_has(t, gather.words,
            {"by the host executor: the stream executor has the ring's primitives alone"});
  // Of three ranks: by size in one step, or in two.
  for (const auto& [bytes, way] : {std::pair{64, "one-shot"}, {1 << 18, "two-shot"}}) {
    Arguments three = few_calls(Kind::all_reduce, static_cast<std::size_t>(bytes));
    three.lower_bound = three.explain = true;
    const BenchResult result = bench(3, three);
    check_has(t, result.words, {text("#   %s, by the device executor: ", way)});
  }
  arguments.json = true;
  const BenchResult json = bench(2, arguments);
  check_has(t, json.words,
            {"\"memory\": \"device\"", "\"ranks_on_busiest_gpu\": 2", "\"executor\": \"device\"",
             "\"moved_bytes\": 2097152", "\"gpu_copy\": [", "\"gbs\": "});
}

RINGSIDE_TEST(bench_gpu, buffers_that_do_not_fit_are_refused_on_all_ranks) {
  const auto little = [](int rank) {
    HostGpuOptions it;
    if (rank == 1) it.free_bytes = 10'000;
    return it;
  };
  const BenchResult result = bench(2, few_calls(Kind::all_reduce, 8192), little);
  CHECK_EQ(result.status, -1);
  check_has(t, result.refused, {"some GPU has not that much free"});
}

RINGSIDE_TEST(bench_gpu, one_rank_without_a_gpu_is_everybodys_refusal) {
  const auto missing = [](int rank) -> HostGpuOptions {
    if (rank == 1) throw Error(Fault::usage, "there is none");
    return {};
  };
  CHECK_EQ(bench(3, few_calls(Kind::all_reduce, 8192), missing).refused, "there is none");
}

}  // namespace ringside
