// Many calls: on one communicator, on several, and the identities that hold between calls.
#include <atomic>
#include <random>

#include "comm/bootstrap/threads.h"
#include "tests/collectives/collective_case.h"
#include "tests/transport/network_transport.h"
#include "tools/support/faulty_transport.h"

using namespace ringside;
using namespace ringside::test;

namespace {

Case random_case(std::mt19937_64& random, int ranks) {
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  Case it;
  do it.what.kind = kOperations[below(kOperations.size())].kind;
  while (is_ragged(it.what.kind));  // whose cases have counts
  it.what.dtype = kAllDTypes[below(kAllDTypes.size())];
  it.what.reduction = kAllReductions[below(kAllReductions.size())];
  it.what.count = below(4) == 0 ? below(3000) : below(60);
  it.what.root = static_cast<int>(below(static_cast<std::size_t>(ranks)));
  if (it.what.kind == Kind::send_recv) {
    it.receiver = (it.what.root + 1 + static_cast<int>(below(static_cast<std::size_t>(ranks) - 1)));
    it.receiver %= ranks;
  } else if (it.what.kind != Kind::all_to_all) {
    it.in_place = below(2) == 0;
  }
  // What a call does not use is left alone, as a caller would.
  if (it.what.kind == Kind::barrier) it.what = Operation{};
  it.misaligned_bytes = static_cast<int>(below(4));
  it.seed = random();
  it.special = below(4) == 0;
  return it;
}

std::vector<Case> random_cases(std::uint64_t seed, int ranks, int count) {
  std::mt19937_64 random(seed);
  std::vector<Case> cases;
  for (int i = 0; i < count; ++i) cases.push_back(random_case(random, ranks));
  return cases;
}

// Makes one call and notes what is wrong with it.
void perform_checked(Context& t, Communicator& comm, const Case& it, const Expectation& expected) {
  RankMemory memory(Exposing::in_turn);
  const std::string wrong = perform(comm, it, expected, memory);
  CHECK_MSG(wrong.empty(), "rank %d: %s: %s", comm.rank(), describe(it).c_str(), wrong.c_str());
}

// all_reduce's bits against those of its two halves, for one type, reduction and shape of input.
void compare_halves(Context& t, Communicator& comm, DType dtype, Reduction reduction,
                    bool special) {
  const auto n = static_cast<std::size_t>(comm.size());
  const std::size_t part = 37, count = n * part;
  const Bytes input = make_input(comm.rank(), count, dtype, reduction, 5, special);
  Bytes whole(input.size()), own(part * bytes_of(dtype)), gathered(input.size());
  comm.all_reduce(input.data(), whole.data(), count, dtype, reduction);
  comm.reduce_scatter(input.data(), own.data(), part, dtype, reduction);
  comm.all_gather(own.data(), gathered.data(), part, dtype);
  const std::string wrong = difference(gathered.data(), whole.data(), count, dtype);
  CHECK_MSG(wrong.empty(), "%s %s of %d: %s", name_of(dtype), name_of(reduction), comm.size(),
            wrong.c_str());
}

// How many of `count` elements differ between all_reduce and its ragged halves.
std::string compare_ragged_halves(Communicator& comm, const std::vector<std::size_t>& counts,
                                  std::size_t count, DType dtype, Reduction reduction) {
  const Bytes input = make_input(comm.rank(), count, dtype, reduction, 6, false);
  Bytes whole(input.size()), gathered(input.size());
  Bytes own(counts[static_cast<std::size_t>(comm.rank())] * bytes_of(dtype));
  comm.all_reduce(input.data(), whole.data(), count, dtype, reduction);
  comm.reduce_scatter_v(input.data(), own.data(), counts, dtype, reduction);
  comm.all_gather_v(own.data(), gathered.data(), counts, dtype);
  return difference(gathered.data(), whole.data(), count, dtype);
}

}  // namespace

RINGSIDE_TEST(collectives, hundreds_of_mixed_calls_on_one_communicator) {
  const int calls = kUnderTsan || OverRig::routes() ? 150 : 600;
  for (const int ranks : {2, 3, 4, 7}) {
    const std::vector<Case> cases = random_cases(static_cast<std::uint64_t>(ranks), ranks, calls);
    const std::vector<Expectation> expected = expect_all(cases, ranks);
    run_cases(t, ranks, with_slots(512, 2), cases, expected);
    run_cases(t, ranks, with_slots(64, 1), cases, expected);
    run_cases(t, ranks, test_options(), cases, expected);
    Options exposes = with_slots(512, 2);
    exposes.zero_copy_from_bytes = 100;
    run_cases(t, ranks, exposes, cases, expected, Exposing::in_turn);
  }
}

RINGSIDE_TEST(collectives, barrier_holds_everyone_back) {
  for (const int ranks : {1, 2, 5, 8}) {
    std::atomic<int> entered{0};
    on_ranks(ranks, with_slots(64, 1), [&](Communicator& comm) {
      for (int round = 1; round <= 100; ++round) {
        // Relaxed: only a barrier that synchronises makes the others' steps visible.
        entered.fetch_add(1, std::memory_order_relaxed);
        comm.barrier();
        CHECK_MSG(entered.load(std::memory_order_relaxed) >= round * ranks,
                  "rank %d of %d left barrier %d before all had entered", comm.rank(), ranks,
                  round);
      }
    });
    CHECK_EQ(entered.load(), 100 * ranks);
  }
}

// What a rank wrote before a barrier, another may read after it, without any lock.
RINGSIDE_TEST(collectives, barrier_orders_plain_memory) {
  constexpr int kRanks = 4;
  std::vector<int> plain(kRanks, 0);
  on_ranks(kRanks, test_options(), [&](Communicator& comm) {
    for (int round = 1; round <= 50; ++round) {
      plain[static_cast<std::size_t>(comm.rank())] = round;
      comm.barrier();
      for (const int value : plain) CHECK_EQ(value, round);
      comm.barrier();
    }
  });
}

RINGSIDE_TEST(collectives, all_reduce_has_the_bits_of_its_two_halves) {
  for (const int ranks : {1, 2, 3, 5, 8})
    for (const Options& options : {with_slots(8, 1), with_slots(64, 2), test_options()})
      on_ranks(ranks, options, [&](Communicator& comm) {
        for (const DType dtype : kAllDTypes)
          for (const Reduction reduction : kAllReductions)
            for (const bool special : {false, true})
              compare_halves(t, comm, dtype, reduction, special);
        comm.barrier();
      });
}

// With counts of their own the halves are halves for any count, also where the ranks do not divide
// it.
RINGSIDE_TEST(collectives, all_reduce_has_the_bits_of_its_ragged_halves) {
  for (const int ranks : {1, 2, 3, 5, 8})
    for (const Options& options : {with_slots(8, 1), with_slots(64, 2), test_options()})
      on_ranks(ranks, options, [&](Communicator& comm) {
        for (const std::size_t count : {0, 1, 4, 7, 101})
          for (const DType dtype : {DType::f32, DType::bf16, DType::u8})
            for (const Reduction reduction : {Reduction::sum, Reduction::avg}) {
              const std::string wrong =
                  compare_ragged_halves(comm, tools::dealt(count, ranks), count, dtype, reduction);
              CHECK_MSG(wrong.empty(), "%s %s × %zu of %d: %s", name_of(dtype), name_of(reduction),
                        count, comm.size(), wrong.c_str());
            }
        comm.barrier();
      });
}

// The control: other lengths are other chunks, whose sums begin with other ranks.
RINGSIDE_TEST(collectives, other_chunks_have_other_bits) {
  on_ranks(3, test_options(), [&](Communicator& comm) {
    const std::vector<std::size_t> reversed = {33, 33, 35};
    CHECK(!compare_ragged_halves(comm, reversed, 101, DType::f32, Reduction::sum).empty());
    comm.barrier();
  });
}

RINGSIDE_TEST(collectives, communicators_one_after_another) {
  const int ranks = 3;
  const std::vector<Case> cases = random_cases(11, ranks, 10);
  const std::vector<Expectation> expected = expect_all(cases, ranks);
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    for (int i = 0; i < 20; ++i) {
      Communicator comm(bootstrap, i % 2 == 0 ? with_slots(64, 1 + i % 3) : test_options());
      for (std::size_t k = 0; k < cases.size(); ++k)
        perform_checked(t, comm, cases[k], expected[k]);
      // No barrier: a rank that has finished its last call may leave while others still read.
    }
  });
}

RINGSIDE_TEST(collectives, two_communicators_at_once) {
  const int ranks = 3;
  const std::vector<Case> cases = random_cases(12, ranks, 100);
  const std::vector<Expectation> expected = expect_all(cases, ranks);
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    Communicator one(bootstrap, with_slots(64, 1));
    Communicator other(bootstrap, with_slots(256, 3));
    for (std::size_t k = 0; k < cases.size(); ++k) {
      perform_checked(t, k % 3 == 0 ? other : one, cases[k], expected[k]);
      perform_checked(t, k % 3 == 0 ? one : other, cases[k], expected[k]);
    }
    // Moved from one variable to another, a communicator goes on where it was.
    Communicator moved = std::move(one);
    perform_checked(t, moved, cases[0], expected[0]);
    moved.barrier();
  });
}

// Everyone sends first and receives later: the slots between two ranks hold that much.
RINGSIDE_TEST(collectives, sends_wait_in_slots_of_their_own) {
  on_ranks(3, with_slots(1024, 2), [&](Communicator& comm) {
    const int right = (comm.rank() + 1) % 3, left = (comm.rank() + 2) % 3;
    for (int round = 0; round < 50; ++round) {
      const std::int32_t first = comm.rank() * 1000 + round, second = ~first;
      std::int32_t got = 0, sum = 0;
      comm.send(&first, 1, DType::i32, right);
      comm.send(&second, 1, DType::i32, left);
      // A collective passes by the messages that nobody has received yet.
      comm.all_reduce(&round, &sum, 1, DType::i32, Reduction::sum);
      CHECK_EQ(sum, 3 * round);
      comm.recv(&got, 1, DType::i32, left);
      CHECK_EQ(got, left * 1000 + round);
      comm.recv(&got, 1, DType::i32, right);
      CHECK_EQ(got, ~(right * 1000 + round));
    }
    comm.barrier();
  });
}
