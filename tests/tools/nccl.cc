// NCCL as a baseline, with a library that plays NCCL (tests/tools/fake_nccl.cc): it is used, and
// a wrong result of its is seen; a refusal and an absence are each reported in one line, and the
// run goes on without it. The true one is compared in tests/cuda/test_nccl.cc.
#include <string>

#include "comm/error.h"
#include "tests/device/cpu_device.h"
#include "tests/support/environment.h"
#include "tests/support/process.h"
#include "tests/support/test.h"
#include "tests/tools/bench.h"
#include "tools/support/call.h"

#if defined(RINGSIDE_HAVE_NCCL) && defined(RINGSIDE_HAVE_CUDA)
namespace ringside {
namespace {

using test::BenchResult;
using test::contains;
using test::Environment;

Environment environment_of(const std::string& library, const char* behaviour) {
  return Environment(Environment::Variables{{"RINGSIDE_NCCL", library}, {"FAKE_NCCL", behaviour}});
}

std::string fake() { return test::program_path("tests/libfake_nccl.so"); }

BenchResult bench(int ranks, Kind kind, bool share_gpu, Reduction reduction = Reduction::sum) {
  tools::Arguments arguments = test::few_calls(kind, 6000);
  arguments.reductions = {reduction};
  arguments.memory = tools::Memory::device;
  arguments.baseline = "nccl";
  Options options;
  options.device = [] { return test::make_cpu_device(); };
  return test::bench_with_threads(ranks, arguments, options, [&](int rank) {
    test::HostGpuOptions gpu;
    if (!share_gpu) gpu.uuid = static_cast<unsigned char>(rank + 1);
    return gpu;
  });
}

constexpr const char* kCompared = "nccl / ringside";

}  // namespace

RINGSIDE_TEST(bench_nccl, is_compared_in_every_operation_that_it_has) {
  const Environment environment = environment_of(fake(), "");
  for (const Kind kind :
       {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather, Kind::broadcast, Kind::reduce,
        Kind::gather, Kind::scatter, Kind::all_to_all, Kind::send_recv}) {
    const BenchResult result = bench(3, kind, false);
    CHECK_MSG(result.status == 0 && contains(result.words, kCompared) &&
                  contains(result.words, "# baseline nccl: NCCL 2.28.99; the same processes"),
              "%s: %s", tools::row_name(kind), result.words.c_str());
  }
  const BenchResult average = bench(3, Kind::all_reduce, false, Reduction::avg);
  CHECK(average.status == 0 && contains(average.words, "its side of those rows is a sum"));
  const BenchResult barrier = bench(2, Kind::barrier, false);
  CHECK_MSG(barrier.status == 0 && contains(barrier.words, "nccl has no call for barrier"), "%s",
            barrier.words.c_str());
}

RINGSIDE_TEST(bench_nccl, a_wrong_result_of_its_is_counted) {
  const Environment environment = environment_of(fake(), "wrong");
  for (const Kind kind : {Kind::all_reduce, Kind::all_gather}) {
    const BenchResult result = bench(2, kind, false);
    CHECK_MSG(result.status == 1 && contains(result.words, " FAILED"), "%s", result.words.c_str());
  }
}

RINGSIDE_TEST(bench_nccl, a_refusal_is_one_line_and_the_run_goes_on) {
  const Environment environment = environment_of(fake(), "duplicate");
  const BenchResult result = bench(2, Kind::all_reduce, true);
  CHECK_EQ(result.status, 0);
  CHECK_MSG(contains(result.words,
                     "# baseline nccl: takes no part: NCCL does not start: invalid usage:"
                     " Duplicate GPU detected") &&
                contains(result.words, "NCCL_MULTI_RANK_GPU_ENABLE=1\n") &&
                !contains(result.words, kCompared) && contains(result.words, "0 OK"),
            "%s", result.words.c_str());
  // Where nobody shares, that advice would be none.
  CHECK(!contains(bench(2, Kind::all_reduce, false).words, "MULTI_RANK"));
}

RINGSIDE_TEST(bench_nccl, an_absence_is_one_line_and_the_run_goes_on) {
  const Environment environment = environment_of("/nowhere/libnccl.so.2", "");
  const BenchResult result = bench(2, Kind::all_reduce, false);
  CHECK_MSG(result.status == 0 &&
                contains(result.words,
                         "# baseline nccl: takes no part: NCCL cannot be loaded: /nowhere/"),
            "%s", result.words.c_str());
}

RINGSIDE_TEST(bench_nccl, another_library_in_its_place_is_reported) {
  const Environment environment = environment_of("libm.so.6", "");
  const BenchResult result = bench(1, Kind::all_reduce, false);
  CHECK_MSG(result.status == 0 && contains(result.words, "libm.so.6 has no nccl"), "%s",
            result.words.c_str());
}

}  // namespace ringside
#endif
