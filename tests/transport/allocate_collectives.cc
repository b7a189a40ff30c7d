// Calls on memory that is exposed (comm/allocate.h): when it may be written again, and that nobody
// takes what was written too soon for the truth.
//
// That the results are right in every operation is the matrix's to tell
// (tests/collectives/matrix.cc has shapes whose buffers are exposed). Here one rank is slow where
// it matters, or fails where it matters:
//
//     owner    exposes ───────────────▶ fails, raises the alarm, and its caller writes
//     reader            reads slowly ─────────────────────▶ must see the alarm
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "comm/allocate.h"
#include "comm/peers/peers.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"
#include "tools/support/faulty_transport.h"

using namespace ringside;
using namespace ringside::test;

namespace {

using std::chrono::milliseconds;

constexpr DType kI32 = DType::i32;

struct Free {
  void operator()(std::int32_t* memory) const { deallocate(memory); }
};
using Exposed = std::unique_ptr<std::int32_t, Free>;
Exposed expose(std::size_t count) {
  return Exposed(static_cast<std::int32_t*>(allocate(count * sizeof(std::int32_t))));
}

Options zero_copy_options() {
  Options options = test_options();
  options.zero_copy_from_bytes = 1;
  options.algorithm = Algorithm::ring;
  options.slot_bytes = 1024;
  options.slot_count = 2;
  return options;
}

std::vector<Case> ring_cases() {
  std::vector<Case> cases;
  for (std::uint64_t seed = 0; seed < 3; ++seed)
    for (const Kind kind : {Kind::all_gather, Kind::reduce_scatter, Kind::all_reduce})
      cases.push_back({{kind, kI32, Reduction::sum, 0, 200}, false, 0, 0, seed});
  return cases;
}

int failures_of(int ranks, const Options& options, Exposing exposing) {
  const std::vector<Case> cases = ring_cases();
  Context probe;
  run_cases(probe, ranks, options, cases, expect_all(cases, ranks), exposing);
  return probe.failure_count();
}

// Every rank gathers everybody's `count` numbers. Who fails writes over its memory at once; who
// does not must have what was meant. `before_call` runs on each rank.
constexpr std::size_t kCount = 20'000;
std::int32_t number_of(int rank, std::size_t i) {
  return static_cast<std::int32_t>(static_cast<std::size_t>(rank + 1) * 1'000'000 + i);
}

struct Gathered {
  Exposed input, output;  // exposed as long as this is there, unless given back at once
  Ending ending;
  bool wrong = false;
};

Gathered gather_or_fail(Communicator& comm, bool gives_back) {
  const std::size_t n = index(comm.size());
  Gathered outcome{expose(kCount), expose(n * kCount), {}};
  Exposed &input = outcome.input, &output = outcome.output;
  for (std::size_t i = 0; i < kCount; ++i) input.get()[i] = number_of(comm.rank(), i);
  outcome.ending = ending_of([&] { comm.all_gather(input.get(), output.get(), kCount, kI32); });
  if (outcome.ending.failed) {
    // While somebody reads, and throws away what he has read. That is a race, and it is meant; but
    // ThreadSanitizer would tell of it.
    const int written = 0xee;
    if (!kUnderTsan) std::memset(input.get(), written, kCount * sizeof(std::int32_t));
    if (!kUnderTsan) std::memset(output.get(), written, n * kCount * sizeof(std::int32_t));
    if (gives_back) input.reset();
    if (gives_back) output.reset();
    return outcome;
  }
  for (int rank = 0; rank < comm.size(); ++rank)
    for (std::size_t i = 0; i < kCount; ++i)
      outcome.wrong |= output.get()[index(rank) * kCount + i] != number_of(rank, i);
  return outcome;
}

// What `aborts` is to have said by every rank that `fails`.
void check_aborted(Context& t, int rank, const Gathered& outcome, const char* by) {
  const Ending& it = outcome.ending;
  CHECK_MSG(!outcome.wrong, "rank %d returns what was written after the failure", rank);
  check_fault(t, it, Fault::aborted, {by});
}

// On the edge to `peer` no alarm is passed on.
class NoAlarm : public PeerWindowAround {
 public:
  using PeerWindowAround::PeerWindowAround;
  std::byte* mapped() const override { return inner_->mapped(); }
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    if (cell != WindowLayout::kAlarmCell)
      PeerWindowAround::signal(cell, value, payload, payload_bytes);
  }
};
// Windows are opened in the order of the ranks, without one's own.
Options::Decorate no_alarm_to(int peer) {
  return [peer](std::unique_ptr<Transport> inner) -> std::unique_ptr<Transport> {
    auto opened = std::make_shared<int>(0);
    return std::make_unique<TransportAround>(
        std::move(inner),
        [peer, opened](std::unique_ptr<PeerWindow> window) -> std::unique_ptr<PeerWindow> {
          if ((*opened)++ != peer) return window;
          return std::make_unique<NoAlarm>(std::move(window));
        });
  };
}

}  // namespace

// Also with what is the default, and with buffers of many slices.
RINGSIDE_TEST(allocate_collectives, same_bits_whatever_is_exposed) {
  for (const int ranks : {2, 3, 4}) {
    std::vector<Case> cases;
    for (const Kind kind : {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather,
                            Kind::broadcast, Kind::reduce, Kind::gather, Kind::scatter})
      for (const bool in_place : {false, true})
        for (const std::size_t count : {std::size_t{3000}, std::size_t{70'001}})
          cases.push_back({{kind, DType::bf16, Reduction::sum, ranks - 1, count},
                           in_place,
                           static_cast<int>(cases.size() % 4),
                           0,
                           cases.size()});
    const std::vector<Expectation> expected = expect_all(cases, ranks);
    for (const std::size_t direct_from : {std::size_t{1}, Options{}.zero_copy_from_bytes, SIZE_MAX})
      for (const Exposing exposing : {Exposing::both, Exposing::in_turn}) {
        Options options = test_options();
        options.zero_copy_from_bytes = direct_from;
        run_cases(t, ranks, options, cases, expected, exposing);
      }
  }
}

// Whether the ranks' memory is exposed is each one's own affair. Without shared alarms none is.
RINGSIDE_TEST(allocate_collectives, ranks_need_not_choose_alike) {
  const std::vector<Case> cases = ring_cases();
  const std::vector<Expectation> expected = expect_all(cases, 3);
  run_as_threads(3, [&](Bootstrap& bootstrap) {
    Options options = zero_copy_options();
    const std::size_t from[] = {1, 300, SIZE_MAX};
    options.zero_copy_from_bytes = from[bootstrap.rank()];
    Communicator comm(bootstrap, options);
    RankMemory memory(Exposing::both);
    for (std::size_t i = 0; i < cases.size(); ++i)
      CHECK_EQ(perform(comm, cases[i], expected[i], memory), "");
    comm.barrier();
  });
  Options sockets = zero_copy_options();
  sockets.control = ControlChoice::socket;
  // With it nothing would be right (below).
  sockets.decorate = early_return(WindowLayout::kRingCreditCell);
  CHECK_EQ(failures_of(2, sockets, Exposing::both), 0);
}

// A call returns when all that it exposed has been read: a reader that is slow makes it wait.
RINGSIDE_TEST(allocate_collectives, slow_readers_read_what_was_meant) {
  Options options = zero_copy_options();
  options.decorate = slow_read(milliseconds(2));
  for (const int ranks : {2, 3}) CHECK_EQ(failures_of(ranks, options, Exposing::both), 0);
}

// The owner's call fails while a reader has not read yet: by abort(), and by its own deadline.
RINGSIDE_TEST(allocate_collectives, who_reads_from_a_rank_that_failed_fails) {
  for (const bool gives_back : {false, true})
    for (const bool late : {false, true}) {
      std::barrier together(2);
      run_as_threads(2, [&](Bootstrap& bootstrap) {
        const int rank = bootstrap.rank();
        Options options = zero_copy_options();
        options.slot_bytes = kCount * sizeof(std::int32_t);
        if (rank == 0 && late) options.timeout_s = 0.1;
        if (rank == 1) options.decorate = slow_read(milliseconds(300));
        Communicator comm(bootstrap, options);
        std::thread other([&] {
          if (late || rank == 1) return;
          nap_ms(100);
          comm.abort("by hand");
        });
        const Gathered outcome = gather_or_fail(comm, gives_back);
        other.join();
        if (late)
          CHECK_MSG(!outcome.wrong && outcome.ending.fault == Fault::timeout &&
                        contains(outcome.ending.sentence, "RINGSIDE_TIMEOUT=0.1"),
                    "rank %d: '%s'", rank, outcome.ending.sentence.c_str());
        else
          check_aborted(t, rank, outcome, "rank 0 has aborted: by hand");
        together.arrive_and_wait();
      });
    }
}

// Rank 2 fails, rank 0 hears of it, fails too and writes; rank 1 reads from rank 0 and has not
// heard of rank 2. So whoever fails passes the alarm on first.
RINGSIDE_TEST(allocate_collectives, an_alarm_is_passed_on_before_memory_is_written) {
  std::barrier together(3);
  run_as_threads(3, [&](Bootstrap& bootstrap) {
    const int rank = bootstrap.rank();
    Options options = zero_copy_options();
    options.slot_bytes = kCount * sizeof(std::int32_t);
    if (rank == 1) options.decorate = slow_read(milliseconds(200));
    if (rank == 2) options.decorate = no_alarm_to(1);
    Communicator comm(bootstrap, options);
    std::thread other([&] {
      if (rank != 2) return;
      nap_ms(100);
      comm.abort("by hand");
    });
    const Gathered outcome = gather_or_fail(comm, false);
    other.join();
    check_aborted(t, rank, outcome, "rank 2 has aborted: by hand");
    together.arrive_and_wait();
  });
}

// At any moment of a call, with readers as fast as they are.
RINGSIDE_TEST(allocate_collectives, aborts_at_any_moment_make_nothing_wrong) {
  std::mt19937_64 random(7);
  int failed = 0;
  for (int round = 0; round < (kUnderTsan ? 20 : 100); ++round) {
    const int ranks = 2 + round % 3, aborts = static_cast<int>(random() % index(ranks));
    const std::chrono::microseconds pause(random() % 2000);
    std::vector<Gathered> outcomes(index(ranks));
    std::barrier together(ranks);
    on_ranks(ranks, zero_copy_options(), [&](Communicator& comm) {
      const std::size_t me = index(comm.rank());
      together.arrive_and_wait();
      std::thread other([&] {
        if (comm.rank() != aborts) return;
        std::this_thread::sleep_for(pause);
        comm.abort("by hand");
      });
      for (int call = 0; call < 5 && !outcomes[me].ending.failed; ++call)
        outcomes[me] = gather_or_fail(comm, call % 2 == 0);
      other.join();
      together.arrive_and_wait();
    });
    for (int rank = 0; rank < ranks; ++rank) {
      const Gathered& it = outcomes[index(rank)];
      if (it.ending.failed) check_aborted(t, rank, it, "has aborted: by hand");
      CHECK(!it.wrong);
      failed += it.ending.failed;
    }
  }
  CHECK_MSG(failed > 10, "only %d calls were interrupted", failed);
}

// --- mutants ---

// Of the ranks, which come in any order, one is faulty.
Options::Decorate on_one_rank(const Options::Decorate& faulty) {
  auto taken = std::make_shared<std::atomic_flag>();
  return [faulty, taken](std::unique_ptr<Transport> inner) {
    return taken->test_and_set() ? std::move(inner) : faulty(std::move(inner));
  };
}

// A owner that does not wait for its reader: the reader sees what was written meanwhile. The same
// without zero-copy messages is right.
RINGSIDE_TEST(allocate_mutants, an_early_read_note_is_caught_by_the_oracle) {
  if (kUnderTsan) SKIP("the race that is made here is ThreadSanitizer's to see, and it does");
  for (const int ranks : {2, 3}) {
    Options options = zero_copy_options();
    options.decorate = on_one_rank(early_return(WindowLayout::kRingCreditCell));
    CHECK(failures_of(ranks, options, Exposing::both) > 0);
    options.decorate = on_one_rank(early_return(WindowLayout::kRingCreditCell));
    CHECK_EQ(failures_of(ranks, options, Exposing::nothing), 0);
  }
}
