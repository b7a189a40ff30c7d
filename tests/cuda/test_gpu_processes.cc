// Processes that share one GPU: without CUDA's multi-process service (MPS) their kernels take
// turns, so calls go by the stream executor; and when one of them is killed while the others'
// streams wait, the others say so and end, and the GPU is as good as before.
#include <signal.h>

#include <chrono>
#include <string>

#include "comm/error.h"
#include "tests/cuda/device_memory.h"
#include "tests/cuda/gpu_rig.h"
#include "tests/launcher/launched.h"
#include "tests/support/folder.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

constexpr int kRanks = 3;
const std::string kProgram = test::program_path("tests/programs/rank_cuda");

// A rank says how it has ended: launch tells only of the first that failed.
test::Words job_argv(int ranks, const std::string& mode) {
  return test::launch_scripts(ranks, {},
                              "'" + kProgram + "' " + mode +
                                  "; status=$?; echo \"rank $RANK exits $status\" >&2; "
                                  "exit $status");
}

void check_ok(test::Context& t) {
  Job job;
  const RunResult result = job.run(job_argv(2, "ok"), {.timeout_s = 90});
  CHECK_MSG(result.ok(), "exit status %d: %s", result.exit_code, result.err.c_str());
  const bool mps = test::current_gpu()->facts().shared_by_processes;
  check_has(t, result.out,
            {mps ? "executor device: " : "executor stream: ", mps ? "run at once" : "without MPS"});
  check_nothing_left(t, job);
}

// Both survivors name rank 1, fail by themselves, and that long before any deadline.
void check_death(test::Context& t, const Job& job, const RunResult& result) {
  CHECK_MSG(result.exit_code != 0 && !result.timed_out, "exit status %d", result.exit_code);
  for (const int rank : {0, 2}) {
    check_says(t, result, rank, {"rank 1 (pid ", "has died"});
    CHECK_MSG(contains(result.err, text("rank %d exits 1\n", rank)), "rank %d: %s", rank,
              result.err.c_str());
  }
  check_nothing_left(t, job);
}

}  // namespace

RINGSIDE_TEST(cuda_processes,
              that_share_a_gpu_have_the_stream_executor_and_the_bits_of_the_oracle) {
  need_device();
  check_ok(t);
}

RINGSIDE_TEST(cuda_processes, death_while_streams_wait_is_named_and_the_gpu_goes_on) {
  need_device();
  Job job;
  const RunResult result = job.run(job_argv(kRanks, "die"), {.timeout_s = 60});
  check_death(t, job, result);
  check_has(t, result.err, {"rank 1 exits 137\n"});
  CHECK_MSG(result.seconds < 30, "it took %g s", result.seconds);
  check_ok(t);
}

RINGSIDE_TEST(cuda_processes, a_rank_that_is_killed_from_outside_is_named) {
  need_device();
  const test::ReadyFile ready;
  Job job;
  std::chrono::steady_clock::time_point killed;
  const RunResult result =
      job.run(test::launch(kRanks, {}, {kProgram, "loop", "--ready", ready.path()}),
              {.timeout_s = 60}, [&] {
                ready.wait();
                killed = std::chrono::steady_clock::now();
                if (const auto pid = job.rank(1)) ::kill(*pid, SIGKILL);
              });
  const std::chrono::duration<double> after = std::chrono::steady_clock::now() - killed;
  CHECK_MSG(result.exit_code == 128 + SIGKILL, "exit status %d: %s", result.exit_code,
            result.err.c_str());
  for (const int rank : {0, 2}) check_has(t, result.err, {text("rank %d: ", rank)});
  check_has(t, result.err, {"rank 1 (pid ", "has died"});
  CHECK_MSG(after.count() < 20, "it took %g s", after.count());
}

}  // namespace ringside
