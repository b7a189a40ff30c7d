// Collectives on device memory without a device: the CPU plays it (tests/support/cpu_device.h), and
// all that is above a GPU's own hardware is held to the oracle, bit for bit: the device lane's
// kernel, the stream lane's orders, staging, and what happens when ranks differ, die or are late.
#include <chrono>
#include <thread>

#include "comm/bootstrap_threads.h"
#include "comm/communicator.h"
#include "tests/support/collective_case.h"
#include "tests/support/cpu_device.h"

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
