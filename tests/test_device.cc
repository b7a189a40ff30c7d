// Collectives on device memory without a device: the CPU plays it (tests/support/cpu_device.h), and
// all that is above a GPU's own hardware is held to the oracle, bit for bit: the device lane's
// kernel, the stream lane's orders, staging, and what happens when ranks differ, die or are late.
#include <atomic>
#include <barrier>
#include <chrono>
#include <thread>

#include "comm/bootstrap_threads.h"
#include "comm/communicator.h"
#include "tests/support/collective_case.h"
#include "tests/support/cpu_device.h"
#include "tests/support/endings.h"

using namespace ringside;
using namespace ringside::test;

namespace {

Options on_device(LaneChoice lane, const CpuDeviceOptions& device = {}) {
  Options options = test_options();
  options.lane = lane;
  options.device = [device] { return make_cpu_device(device); };
  options.device_slot_bytes = 256;  // many slices, and chunks that fill none
  options.stream_slot_bytes = 512;
  return options;
}

constexpr LaneChoice kLanes[] = {LaneChoice::host, LaneChoice::stream, LaneChoice::device};

std::vector<Case> cases_for(int ranks, Kind kind) {
  std::vector<Case> cases;
  std::uint64_t seed = 1;
  for (const std::size_t count : {0u, 1u, 5u, 100u, 1003u, 5001u})
    for (const DType dtype : kAllDTypes) {
      const bool short_list = count > 100 && dtype != DType::f32 && dtype != DType::bf16;
      if (short_list) continue;
      for (const Reduction reduction : kAllReductions) {
        if (reduction != Reduction::sum && !has_reduction(kind)) continue;
        ++seed;
        Case it{{kind, dtype, reduction, static_cast<int>(seed) % ranks, count},
                seed % 3 == 0 && kind != Kind::all_to_all,
                static_cast<int>(seed % 4),
                static_cast<int>(seed + 1) % ranks,
                seed,
                seed % 5 == 0};
        if (is_ragged(kind)) {
          for (int rank = 0; rank < ranks; ++rank)
            it.counts.push_back(count / static_cast<std::size_t>(1 + (rank + seed) % 3));
          it.what.count = 0;
          for (const std::size_t each : it.counts) it.what.count += each;
          it.what.layout = layout_of(it.counts);
        }
        cases.push_back(std::move(it));
      }
    }
  return cases;
}

constexpr Kind kKinds[] = {Kind::all_reduce, Kind::reduce_scatter,   Kind::all_gather,
                           Kind::broadcast,  Kind::reduce_scatter_v, Kind::all_gather_v,
                           Kind::reduce,     Kind::gather,           Kind::scatter,
                           Kind::all_to_all, Kind::send_recv,        Kind::barrier};

void run_kind(Context& t, int ranks, const Options& options, Kind kind) {
  if (kind == Kind::send_recv && ranks == 1) return;
  std::vector<Case> cases = cases_for(ranks, kind);
  if (kind == Kind::send_recv)
    for (Case& it : cases) {
      it.in_place = false;
      if (it.receiver == it.what.root) it.receiver = (it.receiver + 1) % ranks;
    }
  run_cases(t, ranks, options, cases, expect_all(cases, ranks));
}

}  // namespace

RINGSIDE_TEST(device, every_operation_has_the_bits_of_the_oracle_on_every_lane) {
  for (const LaneChoice lane : kLanes)
    for (const int ranks : {1, 2, 3, 4})
      for (const Kind kind : kKinds) run_kind(t, ranks, on_device(lane), kind);
}

// Pieces that are read where they lie, of any length; and none, though they could be.
RINGSIDE_TEST(device, loans_change_no_bit) {
  for (const std::size_t from : {std::size_t{1}, std::size_t{200}, SIZE_MAX})
    for (const int ranks : {2, 3})
      for (const Kind kind : kKinds) {
        Options options = on_device(LaneChoice::device);
        options.direct_from_bytes = from;
        run_kind(t, ranks, options, kind);
      }
}

// Blocks, threads, slots and algorithms decide how the work is cut, and nothing else.
RINGSIDE_TEST(device, cutting_changes_no_bit) {
  for (const int blocks : {2, 7, 40})
    for (const unsigned threads : {1u, 32u})
      for (const std::size_t slot_bytes : {std::size_t{64}, std::size_t{4096}}) {
        CpuDeviceOptions device;
        device.resident_blocks = blocks * 3;
        device.threads_a_block = threads;
        Options options = on_device(LaneChoice::device, device);
        options.device_slot_bytes = slot_bytes;
        for (const Algorithm algorithm :
             {Algorithm::ring, Algorithm::one_shot, Algorithm::two_shot}) {
          options.algorithm = algorithm;
          options.direct_from_bytes = blocks == 7 ? 1 : SIZE_MAX;
          run_kind(t, 3, options, Kind::all_reduce);
        }
        run_kind(t, 3, options, Kind::reduce_scatter_v);
      }
}

// Ranks that no kernel can reach, or that take turns on a device, have another lane; and say why.
RINGSIDE_TEST(device, the_lane_is_what_the_devices_allow) {
  const auto lane_of = [](const Options& options) {
    LaneInUse lane{};
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      Communicator comm(bootstrap, options);
      std::vector<float> values(1000, 1);
      comm.all_reduce(values.data(), values.data(), values.size(), DType::f32, Reduction::sum);
      if (values[999] != 2) throw Error(Fault::protocol, "a wrong sum");
      if (comm.rank() == 0) lane = comm.device_lane();
    });
    return lane;
  };
  const auto check = [&](const Options& options, const char* name, const char* why) {
    const LaneInUse lane = lane_of(options);
    CHECK_MSG(lane.name == std::string(name) && contains(lane.why, why), "%s: %s instead of %s",
              lane.name, lane.why.c_str(), name);
  };
  check(on_device(LaneChoice::automatic), "device", "run at once");
  check(on_device(LaneChoice::stream), "stream", "RINGSIDE_LANE");
  check(on_device(LaneChoice::automatic, {.several_processes = true}), "stream", "without MPS");
  check(on_device(LaneChoice::device, {.several_processes = true}), "stream", "without MPS");
  check(on_device(LaneChoice::automatic, {.resident_blocks = 2}), "stream", "too many ranks");
  check(on_device(LaneChoice::automatic, {.no_way = true}), "host", "no way between");
  check(on_device(LaneChoice::automatic, {.connections = 5}), "device", "run at once");
  check(on_device(LaneChoice::automatic, {.connections = 4}), "host", "MAX_CONNECTIONS");
  check(on_device(LaneChoice::stream, {.connections = 7}), "stream", "RINGSIDE_LANE");
  check(on_device(LaneChoice::stream, {.connections = 6}), "host", "MAX_CONNECTIONS");
  check(test_options(), "host", "made a device current");
}

// --- when it goes wrong ---

namespace {

constexpr std::size_t kMany = 3000;

void all_reduce(Communicator& comm, std::size_t count = kMany) {
  std::vector<float> values(kMany + 1, 1);
  comm.all_reduce(values.data(), values.data(), count, DType::f32, Reduction::max);
}

void nap_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

constexpr LaneChoice kDeviceLanes[] = {LaneChoice::stream, LaneChoice::device};

}  // namespace

RINGSIDE_TEST(device, different_calls_are_a_mismatch_on_all_ranks) {
  for (const LaneChoice lane : kDeviceLanes)
    for (const int ranks : {2, 3}) {
      check_all_broken(t,
                       endings_of(ranks, on_device(lane),
                                  [](Communicator& comm) {
                                    all_reduce(comm);
                                    all_reduce(comm, comm.rank() == 1 ? kMany + 1 : kMany);
                                  }),
                       Fault::mismatch, "the count differs");
      check_all_broken(t,
                       endings_of(ranks, on_device(lane),
                                  [](Communicator& comm) {
                                    all_reduce(comm);
                                    std::vector<float> values(kMany, 1), sums(kMany, 1);
                                    if (comm.rank() != 1) return all_reduce(comm);
                                    comm.reduce_scatter(values.data(), sums.data(), 7, DType::f32,
                                                        Reduction::max);
                                  }),
                       Fault::mismatch, "the operation differs");
    }
}

// A message that comes just in time for the wrong call: both ranks have what they wait for, and
// only the fingerprint tells. (Ranks 0 and 1 send each other messages of the same length.)
RINGSIDE_TEST(device, a_message_of_another_call_is_seen_by_its_flag) {
  for (const LaneChoice lane : kDeviceLanes)
    check_all_broken(t,
                     endings_of(2, on_device(lane),
                                [](Communicator& comm) {
                                  std::vector<float> values(8, 1);
                                  comm.all_reduce(
                                      values.data(), values.data(), 8, DType::f32,
                                      comm.rank() == 1 ? Reduction::max : Reduction::sum);
                                }),
                     Fault::mismatch, "the reduction differs: ");
}

// A rank whose buffers are the host's, though it has a device.
RINGSIDE_TEST(device, memory_of_another_kind_is_a_mismatch) {
  static std::atomic<bool> owns_nothing{false};
  for (const LaneChoice lane : kDeviceLanes) {
    std::vector<Ending> endings(2);
    std::barrier together(2);
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      const bool odd = bootstrap.rank() == 1;
      Communicator comm(bootstrap, on_device(lane, {.owns_all = odd ? &owns_nothing : nullptr}));
      endings[index(comm.rank())] = ending_of([&] { all_reduce(comm); });
      together.arrive_and_wait();
    });
    for (const Ending& it : endings)
      CHECK_MSG(
          it.failed && it.fault == Fault::mismatch && contains(it.sentence, "the memory differs: "),
          "%s", it.sentence.c_str());
  }
}

// On the host lane it does not matter: what is staged looks like any memory.
RINGSIDE_TEST(device, staged_calls_take_either_memory) {
  static std::atomic<bool> owns_nothing{false};
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    const bool odd = bootstrap.rank() == 1;
    Communicator comm(bootstrap,
                      on_device(LaneChoice::host, {.owns_all = odd ? &owns_nothing : nullptr}));
    std::vector<float> values(kMany, static_cast<float>(comm.rank() + 1));
    comm.all_reduce(values.data(), values.data(), kMany, DType::f32, Reduction::sum);
    CHECK(values[0] == 3 && values[kMany - 1] == 3);
  });
}

RINGSIDE_TEST(device, late_rank_ends_the_wait_on_the_device_when_time_is_up) {
  for (const LaneChoice lane : kDeviceLanes) {
    Options options = on_device(lane);
    options.timeout_s = 0.5;
    const Endings endings = endings_of(3, options, [&](Communicator& comm) {
      all_reduce(comm);
      if (comm.rank() == 1) nap_ms(1500);
      all_reduce(comm);
    });
    check_all_broken(t, endings, Fault::timeout, "waiting for the device");
  }
}

RINGSIDE_TEST(device, a_rank_that_has_left_is_named) {
  for (const LaneChoice lane : kDeviceLanes) {
    std::vector<Ending> endings(2);
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      Communicator comm(bootstrap, on_device(lane));
      all_reduce(comm);
      if (comm.rank() == 1) return;
      endings[0] = ending_of([&] { all_reduce(comm); });
    });
    CHECK_MSG(endings[0].failed && endings[0].fault == Fault::left &&
                  contains(endings[0].sentence, "rank 1 ") &&
                  contains(endings[0].sentence, "has left"),
              "%s", endings[0].sentence.c_str());
  }
}

RINGSIDE_TEST(device, abort_ends_what_waits_on_the_device) {
  for (const LaneChoice lane : kDeviceLanes)
    for (const int caller : {0, 1}) {
      std::barrier together(2);
      run_as_threads(2, [&](Bootstrap& bootstrap) {
        Communicator comm(bootstrap, on_device(lane));
        std::thread other;
        if (comm.rank() == caller)
          other = std::thread([&] {
            nap_ms(100);
            comm.abort("the loss is not a number");
          });
        // Rank 0 waits for rank 1, which never comes.
        if (comm.rank() == 0) {
          const Ending ending = ending_of([&] { all_reduce(comm); });
          CHECK_MSG(ending.failed && ending.fault == Fault::aborted && ending.seconds < 5 &&
                        contains(ending.sentence, "the loss is not a number"),
                    "after %g s: %s", ending.seconds, ending.sentence.c_str());
        }
        together.arrive_and_wait();
        if (other.joinable()) other.join();
        together.arrive_and_wait();
      });
    }
}

// --- on the caller's stream ---

RINGSIDE_TEST(device, calls_on_a_stream_are_in_its_order_and_do_not_wait) {
  for (const LaneChoice lane : kLanes)
    run_as_threads(3, [&](Bootstrap& bootstrap) {
      const Options options = on_device(lane);
      const std::shared_ptr<Device> device = make_cpu_device();
      const Device::Stream stream = device->make_stream(), other = device->make_stream();
      Communicator comm(bootstrap, options);
      std::vector<float> source(kMany, static_cast<float>(comm.rank() + 1)), values(kMany, -1),
          sums(kMany, -1), again(kMany, -1), copied(kMany, -1);
      const std::size_t bytes = kMany * sizeof(float);
      // The stream cannot go on before this thread lets it.
      DeviceCell gate{};
      DeviceTrouble none;
      device->await(stream, &gate, device_signal(1, 0), &none);
      device->copy(stream, values.data(), source.data(), bytes);
      if (lane == LaneChoice::host)
        __atomic_store_n(&gate.bits, device_signal(1, 0), __ATOMIC_RELEASE);
      Work first =
          comm.all_reduce_on(stream, values.data(), sums.data(), kMany, DType::f32, Reduction::sum);
      // On another stream, and yet after the first.
      Work second =
          comm.all_reduce_on(other, sums.data(), again.data(), kMany, DType::f32, Reduction::max);
      device->copy(other, copied.data(), again.data(), bytes);
      const Device::Event end = device->make_event();
      device->record(end, other);
      if (lane != LaneChoice::host) {
        CHECK_MSG(!first.test() && !second.test() && !device->is_done(end),
                  "rank %d: something has not waited for the stream", comm.rank());
        __atomic_store_n(&gate.bits, device_signal(1, 0), __ATOMIC_RELEASE);
      }
      second.wait();
      CHECK(first.test());
      while (!device->is_done(end)) nap_ms(1);
      for (const std::vector<float>* const it : {&sums, &again, &copied})
        CHECK_MSG((*it)[0] == 6 && (*it)[kMany - 1] == 6, "rank %d, %s lane: %g", comm.rank(),
                  name_of(lane), static_cast<double>((*it)[0]));
      // Calls on the host's own thread, and asynchronous ones, come in the same order.
      comm.all_reduce_async(sums.data(), sums.data(), kMany, DType::f32, Reduction::sum);
      comm.all_reduce_on(stream, sums.data(), sums.data(), kMany, DType::f32, Reduction::sum)
          .wait();
      CHECK_MSG(sums[7] == 54, "%g", static_cast<double>(sums[7]));
      comm.barrier();
      device->end_event(end);
      device->end_stream(stream);
      device->end_stream(other);
    });
}

RINGSIDE_TEST(device, a_stream_on_which_ranks_could_wait_for_each_other_is_refused) {
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, on_device(LaneChoice::device, {.is_blocking = true}));
    const std::shared_ptr<Device> device = make_cpu_device();
    const Device::Stream stream = device->make_stream();
    std::vector<float> values(kMany, 1);
    const Ending ending = ending_of([&] {
      comm.all_reduce_on(stream, values.data(), values.data(), kMany, DType::f32, Reduction::sum);
    });
    CHECK_MSG(ending.failed && ending.fault == Fault::usage &&
                  contains(ending.sentence, "cudaStreamNonBlocking"),
              "%s", ending.sentence.c_str());
    all_reduce(comm);  // nothing was sent
    device->end_stream(stream);
  });
}

RINGSIDE_TEST(device, a_call_on_a_stream_that_fails_tells_its_work_and_every_later_call) {
  for (const LaneChoice lane : kDeviceLanes) {
    Options options = on_device(lane);
    options.timeout_s = 0.5;
    const std::shared_ptr<Device> device = make_cpu_device();
    check_all_broken(t,
                     endings_of(2, options,
                                [&](Communicator& comm) {
                                  const Device::Stream stream = device->make_stream();
                                  std::vector<float> values(kMany, 1);
                                  if (comm.rank() == 1) nap_ms(1500);
                                  Ending ending;
                                  ending = ending_of([&] {
                                    comm.all_reduce_on(stream, values.data(), values.data(), kMany,
                                                       DType::f32, Reduction::max)
                                        .wait();
                                  });
                                  device->end_stream(stream);  // ends only when its orders have
                                  if (ending.failed) throw Error(ending.fault, ending.sentence);
                                }),
                     Fault::timeout, "waiting for the device");
  }
}

// --- and afterwards ---

RINGSIDE_TEST(device, nothing_is_left_behind) {
  const int before = cpu_device_leftovers();
  for (const LaneChoice lane : kDeviceLanes)
    run_as_threads(3, [&](Bootstrap& bootstrap) {
      Communicator comm(bootstrap, on_device(lane));
      all_reduce(comm);
      std::optional<Communicator> half = comm.split(comm.rank() % 2, 0);
      all_reduce(*half);
    });
  CHECK_EQ(cpu_device_leftovers(), before);
}
