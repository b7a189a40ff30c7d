// Collectives on device memory without a device: the CPU emulates it (tests/device/cpu_device.h),
// and all that is above a GPU's own hardware is checked against the oracle, bit for bit: the device
// executor's kernel, what the stream executor enqueues, staging, and what happens when ranks
// differ, die or are late. The tests that a GPU runs, too, are in tests/device/rig.h.
#include <atomic>
#include <barrier>
#include <cstring>
#include <stdexcept>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/collectives/collective_case.h"
#include "tests/device/cpu_device.h"
#include "tests/device/rig.h"
#include "tests/errors/endings.h"

using namespace ringside;
using namespace ringside::test;

namespace {

Options on_device(ExecutorChoice executor, const CpuDeviceOptions& device = {}) {
  Options options = test_options();
  options.executor = executor;
  options.device = [device] { return make_cpu_device(device); };
  options.device_slot_bytes = 256;
  options.stream_slot_bytes = 512;
  return options;
}

// The memory of a device that the CPU emulates is the host's.
class HostMemory : public Elsewhere {
 public:
  std::byte* room(int which, std::size_t bytes) override {
    if (bytes > kRoomBytes) throw Error(Fault::usage, "a test wants more room than there is");
    return memory_[which].data();
  }
  void write(std::byte* to, const std::byte* from_host, std::size_t bytes) override {
    std::memcpy(to, from_host, bytes);
  }
  void read(std::byte* to_host, const std::byte* from, std::size_t bytes) override {
    std::memcpy(to_host, from, bytes);
  }

 private:
  Bytes memory_[2] = {Bytes(kRoomBytes), Bytes(kRoomBytes)};
};

Rig emulated() {
  const auto memory = std::make_shared<std::vector<HostMemory>>(4);
  return {[](ExecutorChoice executor) { return on_device(executor); },
          [] { return make_cpu_device(); }, [memory](int rank) { return &(*memory)[index(rank)]; }};
}

constexpr std::size_t kMany = 3000;

void all_reduce(Communicator& comm) {
  std::vector<float> values(kMany, 1);
  comm.all_reduce(values.data(), values.data(), kMany, DType::f32, Reduction::max);
}

}  // namespace

RINGSIDE_TEST(device, every_operation_has_the_bits_of_the_oracle_on_every_executor) {
  check_every_operation(t, emulated(), {1, 2, 3, 4}, kCounts);
}

RINGSIDE_TEST(device, who_has_returned_may_write_to_what_he_gave) {
  check_writing_at_once(t, emulated(), {2, 3}, kCounts);
}

RINGSIDE_TEST(device, zero_copy_changes_no_bit) { check_zero_copy(t, emulated()); }

RINGSIDE_TEST(device, a_changed_input_is_seen) {
  check_that_a_changed_input_is_seen(t, emulated());
}

// Blocks, threads, slots and algorithms decide how the work is cut, and nothing else.
RINGSIDE_TEST(device, cutting_changes_no_bit) {
  for (const int blocks : {2, 7, 40})
    for (const unsigned threads : {1u, 32u})
      for (const std::size_t slot_bytes : {std::size_t{64}, std::size_t{4096}}) {
        CpuDeviceOptions device;
        device.resident_blocks = blocks * 3;
        device.threads_a_block = threads;
        Options options = on_device(ExecutorChoice::device, device);
        options.device_slot_bytes = slot_bytes;
        for (const Algorithm algorithm :
             {Algorithm::ring, Algorithm::one_shot, Algorithm::two_shot}) {
          options.algorithm = algorithm;
          options.zero_copy_from_bytes = blocks == 7 ? 1 : SIZE_MAX;
          run_kind(t, emulated(), 3, options, Kind::all_reduce);
        }
        run_kind(t, emulated(), 3, options, Kind::reduce_scatter_v);
      }
}

// Ranks that no kernel can reach, or that take turns on a device, have another executor; and report
// why.
RINGSIDE_TEST(device, the_executor_is_what_the_devices_allow) {
  const auto executor_of = [](const Options& options) {
    ExecutorInUse executor{};
    on_ranks(2, options, [&](Communicator& comm) {
      std::vector<float> values(1000, 1);
      comm.all_reduce(values.data(), values.data(), values.size(), DType::f32, Reduction::sum);
      if (values[999] != 2) throw Error(Fault::protocol, "a wrong sum");
      if (comm.rank() == 0) executor = comm.device_executor();
    });
    return executor;
  };
  const auto check = [&](const Options& options, const char* name, const char* why) {
    const ExecutorInUse executor = executor_of(options);
    CHECK_MSG(executor.name == std::string(name) && contains(executor.why, why),
              "%s: %s instead of %s", executor.name, executor.why.c_str(), name);
  };
  check(on_device(ExecutorChoice::automatic), "device", "run at once");
  check(on_device(ExecutorChoice::stream), "stream", "RINGSIDE_EXECUTOR");
  check(on_device(ExecutorChoice::automatic, {.several_processes = true}), "stream", "without MPS");
  check(on_device(ExecutorChoice::device, {.several_processes = true}), "stream", "without MPS");
  check(on_device(ExecutorChoice::automatic, {.resident_blocks = 2}), "stream", "too many ranks");
  check(on_device(ExecutorChoice::automatic, {.no_way = true}), "host", "no way between");
  check(on_device(ExecutorChoice::automatic, {.connections = 5}), "device", "run at once");
  check(on_device(ExecutorChoice::automatic, {.connections = 4}), "host", "MAX_CONNECTIONS");
  check(on_device(ExecutorChoice::stream, {.connections = 7}), "stream", "RINGSIDE_EXECUTOR");
  check(on_device(ExecutorChoice::stream, {.connections = 6}), "host", "MAX_CONNECTIONS");
  check(test_options(), "host", "made a device current");
}

// --- when it goes wrong ---

RINGSIDE_TEST(device, different_calls_are_a_mismatch_on_all_ranks) {
  check_different_calls(t, emulated());
}

RINGSIDE_TEST(device, a_message_of_another_call_is_seen_by_its_flag) {
  check_a_message_of_another_call(t, emulated());
}

// A rank whose buffers are the host's, though it has a device.
RINGSIDE_TEST(device, memory_of_another_kind_is_a_mismatch) {
  static std::atomic<bool> owns_nothing{false};
  for (const ExecutorChoice executor : kDeviceExecutors) {
    std::vector<Ending> endings(2);
    std::barrier together(2);
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      const bool odd = bootstrap.rank() == 1;
      Communicator comm(bootstrap,
                        on_device(executor, {.owns_all = odd ? &owns_nothing : nullptr}));
      endings[index(comm.rank())] = ending_of([&] { all_reduce(comm); });
      together.arrive_and_wait();
    });
    for (const Ending& it : endings) check_fault(t, it, Fault::mismatch, {"the memory differs: "});
  }
}

// On the host executor it does not matter: what is staged looks like any memory.
RINGSIDE_TEST(device, staged_calls_take_either_memory) {
  static std::atomic<bool> owns_nothing{false};
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    const bool odd = bootstrap.rank() == 1;
    Communicator comm(bootstrap,
                      on_device(ExecutorChoice::host, {.owns_all = odd ? &owns_nothing : nullptr}));
    std::vector<float> values(kMany, static_cast<float>(comm.rank() + 1));
    comm.all_reduce(values.data(), values.data(), kMany, DType::f32, Reduction::sum);
    CHECK(values[0] == 3 && values[kMany - 1] == 3);
  });
}

RINGSIDE_TEST(device, straggler_ends_the_wait_on_the_device_when_time_is_up) {
  check_a_straggler(t, emulated());
}

RINGSIDE_TEST(device, a_rank_that_has_left_is_named) { check_a_rank_that_has_left(t, emulated()); }

RINGSIDE_TEST(device, abort_ends_what_waits_on_the_device) { check_abort(t, emulated()); }

RINGSIDE_TEST(device, a_communicator_may_end_while_anothers_call_waits) {
  check_an_end_beside_a_call(t, emulated());
}

// --- on the caller's stream ---

RINGSIDE_TEST(device, calls_on_a_stream_are_in_its_order_and_do_not_wait) {
  check_the_order_of_streams(t, emulated());
}

RINGSIDE_TEST(device, a_stream_on_which_ranks_could_wait_for_each_other_is_refused) {
  on_ranks(2, on_device(ExecutorChoice::device, {.is_blocking = true}), [&](Communicator& comm) {
    const std::shared_ptr<Device> device = make_cpu_device();
    const Device::Stream stream = device->make_stream();
    std::vector<float> values(kMany, 1);
    const Ending ending = ending_of([&] {
      comm.all_reduce_on(stream, values.data(), values.data(), kMany, DType::f32, Reduction::sum);
    });
    check_fault(t, ending, Fault::usage, {"cudaStreamNonBlocking"});
    all_reduce(comm);  // nothing was sent
    device->end_stream(stream);
  });
}

RINGSIDE_TEST(device, a_call_on_a_stream_that_fails_ends_its_work_and_every_later_call) {
  check_a_failure_on_a_stream(t, emulated());
}

// The thread that waits for it fails while the communicator ends, and still needs it.
RINGSIDE_TEST(device, a_communicator_ends_with_a_failing_call_on_a_stream) {
  for (const ExecutorChoice executor : kDeviceExecutors) {
    Options options = on_device(executor);
    options.timeout_s = 0.5;
    const std::shared_ptr<Device> device = make_cpu_device();
    const Device::Stream stream = device->make_stream();
    std::vector<float> values(kMany, 1);
    std::barrier together(2);
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      std::optional<Communicator> comm(std::in_place, bootstrap, options);
      if (bootstrap.rank() == 0) {
        Work work = comm->all_reduce_on(stream, values.data(), values.data(), kMany, DType::f32,
                                        Reduction::sum);
        comm.reset();
        const Ending ending = ending_of([&] { work.wait(); });
        check_fault(t, ending, Fault::timeout, {});
      }
      together.arrive_and_wait();
    });
    device->end_stream(stream);
  }
}

// --- and afterwards ---

RINGSIDE_TEST(device, nothing_is_left_behind) {
  const int before = cpu_device_retired_windows();
  for (const ExecutorChoice executor : kDeviceExecutors)
    on_ranks(3, on_device(executor), [&](Communicator& comm) {
      all_reduce(comm);
      std::optional<Communicator> half = comm.split(comm.rank() % 2, 0);
      all_reduce(*half);
    });
  CHECK_EQ(cpu_device_retired_windows(), before);
}

// A rank whose device fails reports it to the others during the set-up, where they would wait for
// it otherwise.
RINGSIDE_TEST(device, a_device_that_does_not_answer_ends_the_start_of_all_ranks) {
  std::vector<Ending> endings(3);
  run_as_threads(3, [&](Bootstrap& bootstrap) {
    Options options = test_options();
    options.device = [rank = bootstrap.rank()]() -> std::shared_ptr<Device> {
      if (rank == 1) throw std::runtime_error("the device is gone");
      return make_cpu_device();
    };
    endings[index(bootstrap.rank())] = ending_of([&] { Communicator comm(bootstrap, options); });
  });
  for (const Ending& it : endings)
    CHECK_MSG(it.failed && contains(it.sentence, "rank 1 could not start: the device is gone"),
              "%s", it.sentence.c_str());
}
