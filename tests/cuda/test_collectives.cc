// Collectives on the memory of a GPU, held to the oracle bit for bit, with ranks as threads that
// share one GPU. What is asked of them, and what happens when ranks differ, die or are late, is
// told in tests/device/rig.h and asked of a CPU that plays a device as well; here is what
// only CUDA has.
#include <cuda_runtime_api.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/cuda/device_memory.h"
#include "tests/cuda/gpu_rig.h"
#include "tests/device/rig.h"
#include "tests/errors/endings.h"

using namespace ringside;
using namespace ringside::test;

// --- results ---

RINGSIDE_TEST(cuda_collectives, every_operation_has_the_bits_of_the_oracle_on_every_executor) {
  check_every_operation(t, gpu_rig(4), {1, 2, 3, 4}, {0, 1, 5, 100, 1003, 5001, 30'011});
}

RINGSIDE_TEST(cuda_collectives, eight_ranks_have_the_bits_of_the_oracle_on_every_executor) {
  check_every_operation(t, gpu_rig(8), {8}, {0, 5, 1003});
}

RINGSIDE_TEST(cuda_collectives, who_has_returned_may_write_to_what_he_gave) {
  check_writing_at_once(t, gpu_rig(3), {2, 3}, {100, 5001});
}

RINGSIDE_TEST(cuda_collectives, zero_copy_changes_no_bit) { check_zero_copy(t, gpu_rig(3)); }

RINGSIDE_TEST(cuda_collectives, algorithms_change_no_bit) {
  const Rig rig = gpu_rig(8);
  for (const int ranks : {2, 3, 4, 8})
    for (const Algorithm algorithm : {Algorithm::ring, Algorithm::one_shot, Algorithm::two_shot})
      for (const std::size_t direct_from : {std::size_t{1}, SIZE_MAX}) {
        Options options = rig.options(ExecutorChoice::device);
        options.algorithm = algorithm;
        options.zero_copy_from_bytes = direct_from;
        run_kind(t, rig, ranks, options, Kind::all_reduce);
      }
}

// 64 MiB a rank, and 12 bytes more, with the slots that communicators have if nothing is said.
RINGSIDE_TEST(cuda_collectives, large_messages_have_the_bits_of_the_oracle) {
  constexpr std::size_t kCount = (std::size_t{16} << 20) + 3;
  constexpr int kRanks = 4;
  const Rig rig = gpu_rig(kRanks, kCount * sizeof(float) + 4096);
  std::vector<Case> cases = {
      {{Kind::all_reduce, DType::f32, Reduction::sum, 0, kCount}, true, 0},
      {{Kind::all_reduce, DType::f32, Reduction::sum, 0, kCount}, false, 0},
      {{Kind::reduce_scatter, DType::f32, Reduction::sum, 0, kCount / kRanks}, false, 0},
      {{Kind::all_gather, DType::f32, Reduction::sum, 0, kCount / kRanks}, false, 0}};
  std::vector<Expectation> expected = expect_all({cases[0], cases[2], cases[3]}, kRanks);
  expected.insert(expected.begin(), expected[0]);
  for (const ExecutorChoice executor : kExecutors) {
    Options options = rig.options(executor);
    options.device_slot_bytes = Options().device_slot_bytes;
    options.stream_slot_bytes = Options().stream_slot_bytes;
    run_cases(t, kRanks, options, cases, expected, Exposing::nothing, rig.memory);
  }
}

RINGSIDE_TEST(cuda_collectives, a_changed_input_is_seen) {
  check_that_a_changed_input_is_seen(t, gpu_rig(3));
}

// --- who carries calls out ---

RINGSIDE_TEST(cuda_collectives, a_program_need_only_make_its_gpu_current) {
  need_device();
  for (const bool makes_current : {true, false})
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      // Without it this thread has no current GPU, whatever others of the process have.
      if (makes_current || bootstrap.rank() == 1) make_gpu_current();
      Communicator comm(bootstrap, test_options());
      const ExecutorInUse executor = comm.device_executor();
      if (makes_current)
        CHECK_MSG(executor.name == std::string("device") && contains(executor.why, "run at once"),
                  "%s: %s", executor.name, executor.why.c_str());
      else
        CHECK_MSG(
            executor.name == std::string("host") && contains(executor.why, "made a device current"),
            "%s: %s", executor.name, executor.why.c_str());
    });
}

namespace {

// Rank 0 gives the GPU's memory, rank 1 the host's.
Ending all_reduce_of_both_kinds(const Rig& rig, Communicator& comm, std::vector<float>& sums) {
  const std::size_t bytes = sums.size() * sizeof(float);
  auto* const host = reinterpret_cast<std::byte*>(sums.data());
  if (comm.rank() == 1)
    return ending_of([&] { comm.all_reduce(host, host, sums.size(), DType::f32, Reduction::sum); });
  Elsewhere& memory = *rig.memory(0);
  std::byte* const there = memory.room(0, bytes);
  memory.write(there, host, bytes);
  const Ending ending =
      ending_of([&] { comm.all_reduce(there, there, sums.size(), DType::f32, Reduction::sum); });
  memory.read(host, there, bytes);
  return ending;
}

constexpr std::size_t kMany = 3000;

}  // namespace

RINGSIDE_TEST(cuda_collectives, memory_of_another_kind_is_a_mismatch) {
  const Rig rig = gpu_rig(1);
  for (const ExecutorChoice executor : kDeviceExecutors)
    check_all_broken(t,
                     endings_of(2, rig.options(executor),
                                [&](Communicator& comm) {
                                  std::vector<float> sums(kMany, 1);
                                  const Ending ending = all_reduce_of_both_kinds(rig, comm, sums);
                                  if (ending.failed) throw Error(ending.fault, ending.sentence);
                                }),
                     Fault::mismatch, "the memory differs: ");
}

RINGSIDE_TEST(cuda_collectives, staged_calls_take_either_memory) {
  const Rig rig = gpu_rig(1);
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, rig.options(ExecutorChoice::host));
    std::vector<float> sums(kMany, static_cast<float>(comm.rank() + 1));
    const Ending ending = all_reduce_of_both_kinds(rig, comm, sums);
    CHECK_MSG(!ending.failed, "%s", ending.sentence.c_str());
    CHECK(sums[0] == 3 && sums[kMany - 1] == 3);
  });
}

// --- when it goes wrong ---

RINGSIDE_TEST(cuda_collectives, different_calls_are_a_mismatch_on_all_ranks) {
  check_different_calls(t, gpu_rig(3));
}

RINGSIDE_TEST(cuda_collectives, a_message_of_another_call_is_seen_by_its_flag) {
  check_a_message_of_another_call(t, gpu_rig(2));
}

RINGSIDE_TEST(cuda_collectives, straggler_ends_the_wait_on_the_device_when_time_is_up) {
  check_a_straggler(t, gpu_rig(3));
}

RINGSIDE_TEST(cuda_collectives, a_rank_that_has_left_is_named) {
  check_a_rank_that_has_left(t, gpu_rig(2));
}

RINGSIDE_TEST(cuda_collectives, abort_ends_what_waits_on_the_device) { check_abort(t, gpu_rig(2)); }

RINGSIDE_TEST(cuda_collectives, a_communicator_may_end_while_anothers_call_waits) {
  check_an_end_beside_a_call(t, gpu_rig(2));
}

// After all that has gone wrong above the GPU is as it was.
RINGSIDE_TEST(cuda_collectives, after_failures_calls_work) {
  check_every_operation(t, gpu_rig(2), {2}, {100});
}

// --- on the caller's stream ---

RINGSIDE_TEST(cuda_collectives, calls_on_a_stream_are_in_its_order_and_do_not_wait) {
  check_the_order_of_streams(t, gpu_rig(3));
}

RINGSIDE_TEST(cuda_collectives, a_call_on_a_stream_that_fails_tells_its_work_and_every_later_call) {
  check_a_failure_on_a_stream(t, gpu_rig(2));
}

namespace {

// A stream stays in this call until the gate is open.
void wait_for_gate(void* gate) {
  while (!static_cast<std::atomic<bool>*>(gate)->load()) nap_ms(1);
}

// With nothing but what a program has: a cudaStream_t, its copies, and its synchronisation.
void check_stream_of_a_program(Context& t, Bootstrap& bootstrap, GpuMemory& memory,
                               std::atomic<bool>& gate) {
  constexpr std::size_t kBytes = kMany * sizeof(float);
  make_gpu_current();
  const Stream stream;
  std::vector<float> values(kMany, static_cast<float>(bootstrap.rank() + 1)), out(kMany, -1);
  std::byte* const before = memory.room(0, kBytes);
  std::byte* const after = memory.room(1, kBytes);
  memory.write(after, reinterpret_cast<const std::byte*>(out.data()), kBytes);
  Communicator comm(bootstrap, test_options());
  const cudaStream_t it = static_cast<cuda::Launch>(stream).stream;
  cuda::check_cuda(cudaLaunchHostFunc(it, wait_for_gate, &gate), "a gate");
  cuda::check_cuda(cudaMemcpyAsync(before, values.data(), kBytes, cudaMemcpyHostToDevice, it),
                   "a copy");
  Work work = comm.all_reduce_on(it, before, after, kMany, DType::f32, Reduction::sum);
  CHECK_MSG(!work.test(), "rank %d: the call has not waited for what is before it", comm.rank());
  comm.barrier();  // every rank has come so far while the gate is shut
  gate = true;
  cuda::check_cuda(cudaMemcpyAsync(out.data(), after, kBytes, cudaMemcpyDeviceToHost, it),
                   "a copy");
  stream.wait();
  CHECK_MSG(out[0] == 3 && out[kMany - 1] == 3, "rank %d: %g", comm.rank(),
            static_cast<double>(out[0]));
  work.wait();
  comm.barrier();
}

}  // namespace

RINGSIDE_TEST(cuda_collectives, a_program_synchronises_its_stream_and_has_the_sum) {
  need_device();
  make_gpu_current();
  std::vector<std::unique_ptr<GpuMemory>> memory;
  for (int rank = 0; rank < 2; ++rank) memory.push_back(std::make_unique<GpuMemory>());
  std::atomic<bool> gate{false};
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    check_stream_of_a_program(t, bootstrap, *memory[index(bootstrap.rank())], gate);
  });
}
