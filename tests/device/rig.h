// Tests of collectives on device memory, written once for two devices: one that the CPU emulates
// (cpu_device.h, tests/device/device.cc) and a GPU (tests/cuda/test_collectives.cc).
//
// What the two differ in is a Rig: how a communicator gets its device, and how a rank gets memory
// there. All memory is allocated before the first communicator is made: a GPU's allocations may
// wait for kernels that run, and a kernel of ours may wait for the rank that allocates.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "comm/device/device.h"
#include "comm/options.h"
#include "tests/collectives/collective_case.h"
#include "tests/support/test.h"

namespace ringside::test {

struct Rig {
  // For a communicator on this device, with small slots: many slices, and chunks that fill none.
  std::function<Options(ExecutorChoice)> options;
  // Of the test's own, for streams.
  std::function<std::shared_ptr<Device>()> device;
  // A rank's memory there; both buffers have room for kRoomBytes. Lives as long as the rig.
  std::function<Elsewhere*(int rank)> memory;
};
inline constexpr std::size_t kRoomBytes = std::size_t{1} << 20;

inline constexpr ExecutorChoice kExecutors[] = {ExecutorChoice::host, ExecutorChoice::stream,
                                                ExecutorChoice::device};
inline constexpr ExecutorChoice kDeviceExecutors[] = {ExecutorChoice::stream,
                                                      ExecutorChoice::device};

// --- results ---

// Calls of one kind with every type and reduction; `counts` beyond 100 with two types only.
std::vector<Case> cases_for(int ranks, Kind kind, const std::vector<std::size_t>& counts);
std::vector<Case> cases_for_all(int ranks, const std::vector<std::size_t>& counts);
inline const std::vector<std::size_t> kCounts = {0, 1, 5, 100, 1003, 5001};

void run_kind(Context& t, const Rig& rig, int ranks, const Options& options, Kind kind);

// Every operation, type and reduction on every executor, held to the oracle. In runs of the second
// kind two ranks of three write over their buffers as soon as a call returns.
void check_every_operation(Context& t, const Rig& rig, const std::vector<int>& ranks,
                           const std::vector<std::size_t>& counts);
void check_writing_at_once(Context& t, const Rig& rig, const std::vector<int>& ranks,
                           const std::vector<std::size_t>& counts);

// Pieces that are read in place, of any length; and none, though they could be.
void check_zero_copy(Context& t, const Rig& rig);

// A mutant: one bit of one rank's input is flipped, and the outputs of all ranks are found to be
// wrong.
void check_that_a_changed_input_is_seen(Context& t, const Rig& rig);

// --- when it goes wrong ---

void check_different_calls(Context& t, const Rig& rig);
// A message that comes just in time for the wrong call: both ranks get what they wait for, and only
// the fingerprint differs. (Ranks 0 and 1 send each other messages of the same length.)
void check_a_message_of_another_call(Context& t, const Rig& rig);
void check_a_straggler(Context& t, const Rig& rig);
void check_a_rank_that_has_left(Context& t, const Rig& rig);
void check_abort(Context& t, const Rig& rig);
// Freeing memory on a GPU may wait for all its kernels; one of them may wait for the rank that
// frees.
void check_an_end_beside_a_call(Context& t, const Rig& rig);

// --- on the caller's stream ---

void check_the_order_of_streams(Context& t, const Rig& rig);
void check_a_failure_on_a_stream(Context& t, const Rig& rig);

}  // namespace ringside::test
