// Mutants: mistakes made on purpose, and what catches each.
//
//     mistake                                       caught by
//     a sender that does not wait for credit        the flag's sequence: Fault::protocol
//     a ring whose steps are shifted                the oracle
//     a ring that mixes up a chunk                  the oracle
//     a signal before the put that it announces     the transports' contract suite
//     a signal without release                      ThreadSanitizer
//
// A test that has never failed may be one that cannot. Each harness is also run without the
// mistake, where it must find nothing.
#include "comm/algorithms/ring.h"
#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "comm/host/executor.h"
#include "comm/peers/peers.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"
#include "tests/support/process.h"
#include "tests/transport/contract.h"
#include "tools/support/faulty_transport.h"

using namespace ringside;
using namespace ringside::test;

namespace {

// --- rings with a mistake; what they do not override is the true ring's ---

struct TrueRing : Ring {
  constexpr TrueRing(int rank_, int size_) : Ring{rank_, size_} {}
  constexpr int chunk(int position) const { return (position % size + size) % size; }
};

// Every rank is a step ahead in its reduce-scatter: consistent, so every message is of the chunk
// that is expected, and yet each rank ends with a chunk that is not its own.
struct ShiftedReduce : TrueRing {
  using TrueRing::TrueRing;
  constexpr int reduce_send(int step) const { return Ring::reduce_send(step + 1); }
  constexpr int reduce_receive(int step) const { return Ring::reduce_receive(step + 1); }
};

struct ShiftedGather : TrueRing {
  using TrueRing::TrueRing;
  constexpr int gather_send(int step) const { return Ring::gather_send(step + 1); }
  constexpr int gather_receive(int step) const { return Ring::gather_receive(step + 1); }
};

// One rank alone is a step behind.
struct OneShifted : TrueRing {
  using TrueRing::TrueRing;
  constexpr int late() const { return rank == 1 ? 1 : 0; }
  constexpr int reduce_send(int step) const { return Ring::reduce_send(step - late()); }
  constexpr int reduce_receive(int step) const { return Ring::reduce_receive(step - late()); }
};

// One rank takes one message for another chunk's.
struct WrongChunk : TrueRing {
  using TrueRing::TrueRing;
  constexpr int reduce_receive(int step) const {
    return chunk(Ring::reduce_receive(step) + (rank == 0 && step == 0 ? 1 : 0));
  }
};

struct WrongGatheredChunk : TrueRing {
  using TrueRing::TrueRing;
  constexpr int gather_receive(int step) const {
    return chunk(Ring::gather_receive(step) + (rank == size - 1 && step == steps() - 1 ? 1 : 0));
  }
};

// One contribution gets lost: a ring that stops a step too early.
struct OneStepShort : TrueRing {
  using TrueRing::TrueRing;
  constexpr int steps() const { return size - 2; }
};

// An all_reduce of the true text on the true executor over a ring of our choice. Returns how many
// ranks' results differ from the oracle's.
template <class ChosenRing>
int wrong_results(int ranks, DType dtype, std::size_t count) {
  const Operation what{Kind::all_reduce, dtype, Reduction::sum, 0, count};
  const Expectation expected = expect({.what = what}, ranks);
  Options options = test_options();
  options.slot_bytes = 64;
  std::atomic<int> wrong{0};
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    Peers peers(bootstrap, options);
    CallContext context(peers, options);
    Waiter waiter(peers, context, options);
    Scratch scratch(options.slot_bytes);
    Edges edges;
    edges.right_rank = peers.right();
    edges.left_rank = peers.left();
    edges.right.emplace(peers.ring_send_end());
    edges.left.emplace(peers.ring_receive_end());
    const std::size_t me = static_cast<std::size_t>(peers.rank());
    Bytes output(expected.outputs[me].size());
    const Plan plan =
        make_plan({peers.rank(), ranks}, {Kind::all_reduce, dtype, Reduction::sum, 0, count},
                  expected.inputs[me].data(), output.data());
    HostCall call{{}, plan, fingerprint(what)};
    call.slice_count = options.slot_bytes / plan.element_bytes;
    call.slices = slices_for(plan.chunks.longest(), call.slice_count);
    HostExecutor executor(call, edges, peers, waiter, scratch);
    all_reduce(executor, ChosenRing(peers.rank(), ranks));
    wrong += !difference(output.data(), expected.outputs[me].data(), count, dtype).empty();
    bootstrap.barrier(Deadline::after_seconds(20));
  });
  return wrong;
}

template <class ChosenRing>
void expect_caught(Context& t, const char* mistake) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i64})
    for (const int ranks : {3, 4, 5})
      CHECK_MSG(wrong_results<ChosenRing>(ranks, dtype, 30 * static_cast<std::size_t>(ranks)) > 0,
                "%s: nobody noticed, %d ranks, %s", mistake, ranks, name_of(dtype));
}

}  // namespace

RINGSIDE_TEST(mutants, the_true_ring_passes_where_the_mutants_fail) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i64})
    for (const int ranks : {2, 3, 4, 5})
      CHECK_EQ(wrong_results<TrueRing>(ranks, dtype, 30 * static_cast<std::size_t>(ranks)), 0);
}

RINGSIDE_TEST(mutants, shifted_step_is_caught_by_the_oracle) {
  expect_caught<ShiftedReduce>(t, "reduce-scatter shifted");
  expect_caught<ShiftedGather>(t, "all-gather shifted");
  expect_caught<OneShifted>(t, "one rank shifted");
  expect_caught<OneStepShort>(t, "a step missing");
}

RINGSIDE_TEST(mutants, wrong_chunk_is_caught_by_the_oracle) {
  expect_caught<WrongChunk>(t, "wrong chunk reduced");
  expect_caught<WrongGatheredChunk>(t, "wrong chunk gathered");
}

// The channel's own view: a sender that never asks overwrites, and the next flag shows it.
RINGSIDE_TEST(mutants, dropped_credit_is_caught_by_the_flag) {
  for (int slots = 1; slots <= 4; ++slots) {
    const ChannelShape shape{slots, 64};
    Pair pair(shm_of_threads(), shape.total_bytes(), slots + 1);
    SendEnd send(*pair.to_right, pair.left_window->cell(0), {1, 0}, shape);
    ReceiveEnd receive(*pair.right_window, *pair.to_left, 0, {1, 0}, shape);
    const std::byte bytes[64] = {};
    for (int i = 0; i < slots; ++i) send.send(1, bytes, sizeof bytes);
    CHECK(!send.may_send());
    CHECK(receive.arrived() && !receive.overtaken());
    send.send(1, bytes, sizeof bytes);
    CHECK(!receive.arrived() && receive.overtaken());
  }
}

// The same in a collective: a receiver that returns more credit than it has, and is then slow.
RINGSIDE_TEST(mutants, excess_credit_is_an_error_on_all_ranks) {
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Options mine = with_slots(64, 2);
    if (bootstrap.rank() == 1) mine.decorate = generous_credit(WindowLayout::kRingCreditCell);
    Communicator comm(bootstrap, mine);
    std::vector<float> data(16 * 64);  // 64 messages
    const Ending ending = ending_of([&] {
      comm.broadcast(data.data(), data.size(), DType::f32, 0);
      comm.barrier();
    });
    check_fault(t, ending, Fault::protocol, {"rank 1", "overwritten before they were read"});
    bootstrap.barrier(Deadline::after_seconds(20));
  });
}

RINGSIDE_TEST(mutants, signal_before_its_put_is_caught_by_the_contract) {
  const TransportUnderTest honest = around("unmapped", unmapped());
  const TransportUnderTest faulty = around("late put", late_put());
  CHECK_EQ(check_signal_after_put(honest, 50), "");
  CHECK_EQ(check_put_lands_exactly(honest), "");
  const std::string verdict = check_signal_after_put(faulty, 50);
  check_has(t, verdict, {"was seen before"});
  CHECK(!check_put_lands_exactly(faulty).empty());
}

RINGSIDE_TEST(mutants, a_source_that_is_copied_late_is_caught_by_the_contract) {
  const TransportUnderTest faulty = around("late copy", late_copy());
  CHECK_EQ(check_put_lands_exactly(faulty), "");
  const std::string verdict = check_put_frees_source(faulty, 1);
  check_has(t, verdict, {"into a source after its put"});
}

RINGSIDE_TEST(mutants, relaxed_release_is_caught_by_thread_sanitizer) {
  if (!kUnderTsan) SKIP("on this processor only ThreadSanitizer sees it: make tsan");
  const std::string program = program_path("tests/programs/relaxed_release");
  const RunResult relaxed = run({program, "relaxed"});
  CHECK(relaxed.exit_code != 0);
  check_has(t, relaxed.err, {"data race"});
  const RunResult release = run({program, "release"});
  CHECK_MSG(release.exit_code == 0, "%s", release.err.c_str());
}
