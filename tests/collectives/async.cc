// Calls that return at once: what comes out, in which order, how errors arrive, and who finishes
// what.
//
// Each promise of work.h and of communicator.h's "Threads" has its test here. Where a test says
// that something does not hang, a control beside it shows that the same thing done otherwise would.
#include <barrier>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr DType kI64 = DType::i64;
constexpr Reduction kSum = Reduction::sum;

// Element i of what `rank` gives to call k. No two calls, ranks or neighbouring elements are alike.
std::int64_t given(int k, int rank, std::size_t i) {
  return 1'000'003 * (k + 1) + 1009 * (rank + 1) + static_cast<std::int64_t>(i % 997);
}

std::vector<std::int64_t> given_by(int k, int rank, std::size_t count) {
  std::vector<std::int64_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = given(k, rank, i);
  return values;
}

// One of many calls under way: its number decides what it is and how long.
struct Pending {
  Pending(Communicator& comm, int k) : number(k), count(1 + static_cast<std::size_t>(k * k) % 700) {
    const int n = comm.size(), root = k % n;
    buffer = given_by(k, comm.rank(), count);
    gathered.resize(count * static_cast<std::size_t>(n));
    if (k % 3 == 0) {
      work = comm.all_reduce_async(buffer.data(), buffer.data(), count, kI64, kSum);
    } else if (k % 3 == 1) {
      work = comm.broadcast_async(buffer.data(), count, kI64, root);
    } else {
      work = comm.all_gather_async(buffer.data(), gathered.data(), count, kI64);
    }
  }

  // How many elements are not what they should be.
  int wrong(int ranks) const {
    int wrongs = 0;
    for (std::size_t i = 0; i < count; ++i) {
      std::int64_t sum = 0;
      for (int rank = 0; rank < ranks; ++rank) sum += given(number, rank, i);
      if (number % 3 == 0) wrongs += buffer[i] != sum;
      if (number % 3 == 1) wrongs += buffer[i] != given(number, number % ranks, i);
      if (number % 3 != 2) continue;
      for (int rank = 0; rank < ranks; ++rank)
        wrongs += gathered[index(rank) * count + i] != given(number, rank, i);
    }
    return wrongs;
  }

  int number;
  std::size_t count;
  std::vector<std::int64_t> buffer, gathered;
  Work work;
};

void check_pending(Context& t, const Communicator& comm, const Pending& it) {
  const int wrong = it.wrong(comm.size());
  CHECK_MSG(wrong == 0, "rank %d of %d: call %d of %zu elements: %d wrong", comm.rank(),
            comm.size(), it.number, it.count, wrong);
}

// A call of one element, for where only its end matters.
struct Small {
  std::int64_t value = 1;
  Work start(Communicator& comm) { return comm.all_reduce_async(&value, &value, 1, kI64, kSum); }
};

}  // namespace

RINGSIDE_TEST(async, fifty_calls_in_flight) {
  for (int ranks = 1; ranks <= 5; ++ranks)
    for (const Options& options : {with_slots(64, 1), test_options()})
      on_ranks(ranks, options, [&](Communicator& comm) {
        std::vector<std::unique_ptr<Pending>> calls;
        for (int k = 0; k < 50; ++k) calls.push_back(std::make_unique<Pending>(comm, k));
        // Waited for from both ends: the order of waiting is the caller's own affair.
        for (std::size_t k = 0; k < calls.size(); ++k)
          calls[k % 2 == 0 ? k : calls.size() - k]->work.wait();
        for (const auto& it : calls) check_pending(t, comm, *it);
        comm.barrier();
      });
}

// The counts are the caller's only until the call returns.
RINGSIDE_TEST(async, ragged_counts_are_copied) {
  on_ranks(3, test_options(), [&](Communicator& comm) {
    const auto mine = index(comm.rank());
    const std::vector<std::int64_t> given = {1, 10, 100, 1000};
    std::vector<std::int64_t> part(2, -1), whole(4, -1);
    Work work;
    {
      std::vector<std::size_t> counts = {1, 2, 1};
      comm.reduce_scatter_v_async(given.data(), part.data(), counts, kI64, kSum);
      work = comm.all_gather_v_async(part.data(), whole.data(), counts, kI64);
      counts.assign(3, 0);
    }
    work.wait();
    CHECK_EQ(part[0], 3 * given[mine == 0 ? 0 : mine == 1 ? 1 : 3]);
    for (std::size_t i = 0; i < whole.size(); ++i) CHECK_EQ(whole[i], 3 * given[i]);
    comm.barrier();
  });
}

// Each call works on what the one before it left behind: any other order gives another number.
RINGSIDE_TEST(async, calls_are_carried_out_in_the_order_in_which_they_were_made) {
  for (const int ranks : {1, 2, 4})
    on_ranks(ranks, test_options(), [&](Communicator& comm) {
      std::int64_t value = comm.rank() + 1, expected = ranks * (ranks + 1) / 2;
      Work last = comm.all_reduce_async(&value, &value, 1, kI64, kSum);
      for (int round = 0; round < 10; ++round) {
        last = comm.all_reduce_async(&value, &value, 1, kI64, Reduction::max);
        last = comm.all_reduce_async(&value, &value, 1, kI64, kSum);
        expected *= ranks;
      }
      last.wait();  // the last one has ended, so all have
      CHECK_EQ(value, expected);
      comm.barrier();
    });
}

RINGSIDE_TEST(async, a_blocking_call_takes_its_turn) {
  on_ranks(3, with_slots(64, 2), [&](Communicator& comm) {
    for (int round = 0; round < 20; ++round) {
      Pending before(comm, 3 * round);
      std::int64_t total = 0;
      comm.all_reduce(before.buffer.data(), &total, 1, kI64, kSum);  // of the sum: thrice the sum
      check_pending(t, comm, before);
      CHECK_EQ(total, 3 * before.buffer[0]);
      CHECK(before.work.test());  // what was asked for earlier ended earlier
      comm.barrier();             // nothing is under way: on this very thread
    }
  });
}

// Rank 1 comes only when rank 0 has asked thrice in vain. If asking waited, both would time out.
RINGSIDE_TEST(async, test_never_waits_and_is_true_in_the_end) {
  std::barrier asked(2);
  on_ranks(2, test_options(10), [&](Communicator& comm) {
    if (comm.rank() == 1) asked.arrive_and_wait();
    Work work = comm.barrier_async();
    if (comm.rank() == 0) {
      for (int i = 0; i < 3; ++i) CHECK(!work.test());
      asked.arrive_and_wait();
    }
    const Clock::time_point start = Clock::now();
    while (!work.test() && seconds_since(start) < 10) std::this_thread::yield();
    CHECK(work.test());
    work.wait();
  });
}

RINGSIDE_TEST(async, a_work_can_be_copied_moved_and_empty) {
  Work nothing;
  CHECK(nothing.test());
  nothing.wait();
  on_ranks(2, test_options(), [&](Communicator& comm) {
    Small small;
    Work work = small.start(comm);
    Work copy = work;
    Work moved = std::move(work);
    work = Work();
    CHECK(work.test());
    copy.wait();
    CHECK(moved.test());
    moved.wait();
    CHECK_EQ(small.value, 2);
    // It speaks of its call even when the communicator has gone.
    comm.barrier();
    { const Communicator gone = std::move(comm); }
    copy.wait();
    CHECK(moved.test());
  });
}

// The buffers live on: freeing them would be the caller's mistake, which nobody here can see.
RINGSIDE_TEST(async, a_work_may_be_dropped) {
  on_ranks(3, with_slots(64, 1), [&](Communicator& comm) {
    std::vector<std::unique_ptr<Pending>> calls;
    for (int k = 0; k < 10; ++k) {
      calls.push_back(std::make_unique<Pending>(comm, k));
      calls.back()->work = Work();
    }
    comm.barrier();
    for (const auto& it : calls) check_pending(t, comm, *it);
  });
}

RINGSIDE_TEST(async, a_communicator_ends_when_its_calls_have_ended) {
  run_as_threads(3, [&](Bootstrap& bootstrap) {
    std::vector<std::unique_ptr<Pending>> calls;
    {
      Communicator comm(bootstrap, with_slots(64, 1));
      if (comm.rank() == 2) nap_ms(50);
      for (int k = 0; k < 10; ++k) calls.push_back(std::make_unique<Pending>(comm, k));
      Communicator moved = std::move(comm);  // while they are under way
    }
    for (const auto& it : calls) {
      CHECK(it->work.test());
      CHECK_MSG(it->wrong(3) == 0, "call %d: %d wrong", it->number, it->wrong(3));
    }
  });
}

RINGSIDE_TEST(async, an_error_comes_out_of_the_work_each_time) {
  std::barrier together(2);
  on_ranks(2, test_options(), [&](Communicator& comm) {
    std::vector<float> buffer(8, 1.0f);
    Work wrong = comm.all_reduce_async(buffer.data(), buffer.data(), 4 + index(comm.rank()),
                                       DType::f32, kSum);
    Small small;
    Work behind = small.start(comm);
    const Ending first = ending_of([&] { wrong.wait(); });
    check_fault(t, first, Fault::mismatch, {"the count differs"});
    CHECK(first.seconds < 5 * test::kSlack);
    const auto fails_alike = [&](const char* how, const auto& action) {
      const Ending ending = ending_of(action);
      check_fault(t, ending, Fault::mismatch, {first.sentence}, how);
      CHECK(ending.seconds < 0.5 * test::kSlack);
    };
    Work copy = wrong;
    fails_alike("waiting again", [&] { wrong.wait(); });
    fails_alike("testing", [&] { wrong.test(); });
    fails_alike("a copy", [&] { copy.wait(); });
    fails_alike("the call behind it", [&] { behind.wait(); });
    fails_alike("a later call", [&] { comm.barrier(); });
    fails_alike("a later asynchronous call", [&] { small.start(comm).wait(); });
    fails_alike("a later message", [&] { comm.send(&small, 1, kI64, 1 - comm.rank()); });
    CHECK(comm.broken() && contains(*comm.broken(), first.sentence));
    CHECK_EQ(small.value, 1);
    Work dropped = small.start(comm);
    together.arrive_and_wait();  // and the destructor has one to finish, on a broken world
  });
}

// Nobody waits for the Work that fails. The failure is not lost with it: the next call throws.
RINGSIDE_TEST(async, a_failure_whose_work_was_dropped_comes_out_of_the_next_call) {
  on_ranks(2, test_options(), [&](Communicator& comm) {
    std::vector<float> buffer(8, 1.0f);
    comm.all_reduce_async(buffer.data(), buffer.data(), 4 + index(comm.rank()), DType::f32, kSum);
    const Ending ending = ending_of([&] { comm.barrier(); });
    check_fault(t, ending, Fault::mismatch, {"the count differs"});
    CHECK(ending.seconds < 5 * test::kSlack);
  });
}

RINGSIDE_TEST(async, usage_errors_are_thrown_by_the_call_itself) {
  on_ranks(2, test_options(), [&](Communicator& comm) {
    float a[8] = {}, b[8] = {};
    const int me = comm.rank();
    const auto refused = [&](const char* words, const auto& action) {
      const Ending ending = ending_of(action);
      check_fault(t, ending, Fault::usage, {words});
    };
    const DType f32 = DType::f32;
    refused("null", [&] { comm.all_reduce_async(nullptr, b, 4, f32, kSum); });
    refused("overlap", [&] { comm.all_reduce_async(a, a + 1, 4, f32, kSum); });
    refused("null", [&] { comm.reduce_scatter_async(a, nullptr, 4, f32, kSum); });
    refused("null", [&] { comm.all_gather_async(nullptr, b, 4, f32); });
    refused("root 2", [&] { comm.broadcast_async(a, 4, f32, 2); });
    refused("root -1", [&] { comm.reduce_async(a, b, 4, f32, kSum, -1); });
    refused("root 9", [&] { comm.gather_async(a, b, 4, f32, 9); });
    refused("root 9", [&] { comm.scatter_async(a, b, 4, f32, 9); });
    refused("overlap", [&] { comm.all_to_all_async(a, a, 4, f32); });
    refused("does not exist", [&] { comm.send_async(a, 4, f32, 2); });
    refused("itself", [&] { comm.recv_async(a, 4, f32, me); });
    refused("null", [&] { comm.exchange_async({Message::to(1 - me, nullptr, 4, f32)}); });
    CHECK(!comm.broken());
    Small small;
    small.start(comm).wait();
    CHECK_EQ(small.value, 2);
  });
}

RINGSIDE_TEST(async, a_straggler_ends_the_work_by_its_deadline) {
  std::barrier together(2);
  on_ranks(2, test_options(0.3), [&](Communicator& comm) {
    if (comm.rank() == 1) nap_ms(900);
    Small small;
    Work work = small.start(comm);
    const Ending ending = ending_of([&] { work.wait(); });
    check_fault(t, ending, Fault::timeout, {"rank 1 ", "has not entered any call yet"});
    CHECK_MSG(ending.seconds < 1.3 * test::kSlack, "rank %d: %g s", comm.rank(), ending.seconds);
    together.arrive_and_wait();
  });
}

RINGSIDE_TEST(async, two_communicators_need_not_be_ordered_alike) {
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Communicator a(bootstrap, test_options()), b(bootstrap, test_options());
    const bool even = bootstrap.rank() == 0;
    Communicator &first = even ? a : b, &second = even ? b : a;
    for (int round = 0; round < 30; ++round) {
      Pending one(first, 3 * round), other(second, 3 * round);
      one.work.wait();
      other.work.wait();
      check_pending(t, first, one);
      check_pending(t, second, other);
    }
    a.barrier();
    b.barrier();
  });
}

// The same with blocking calls: each rank waits in the communicator that the other has not come to.
RINGSIDE_TEST(async_mutants, blocking_calls_must_be_ordered_alike) {
  std::barrier together(2);
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Communicator a(bootstrap, test_options(0.3)), b(bootstrap, test_options(0.3));
    const bool even = bootstrap.rank() == 0;
    const Ending ending = ending_of([&] { (even ? a : b).barrier(); });
    check_fault(t, ending, Fault::timeout, {});
    CHECK(ending.seconds < 1.3 * test::kSlack);
    together.arrive_and_wait();
  });
}

// One queue, one thread: a call waits for those before it, asynchronous or not. Both ranks receive
// first, so neither ever comes to its send; exchange() is what does both at once.
RINGSIDE_TEST(async_mutants, asynchronous_is_not_at_the_same_time) {
  std::barrier together(2);
  on_ranks(2, test_options(0.3), [&](Communicator& comm) {
    std::int64_t mine = comm.rank(), theirs = -1;
    const int other = 1 - comm.rank();
    Work receive = comm.recv_async(&theirs, 1, kI64, other);
    Work send = comm.send_async(&mine, 1, kI64, other);
    const Ending ending = ending_of([&] { receive.wait(); });
    check_fault(t, ending, Fault::timeout, {});
    CHECK(ending.seconds < 1.3 * test::kSlack);
    CHECK_EQ(theirs, -1);
    CHECK(ending_of([&] { send.wait(); }).failed);
    together.arrive_and_wait();
  });
}
