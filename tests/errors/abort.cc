// Communicator::abort: every rank that waits gets an error with the reason, at once. Nothing hangs.
#include <pthread.h>

#include <barrier>
#include <chrono>
#include <thread>

#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr const char* kReason = "rank 1 has aborted: the loss is not a number";

void check_aborted(Context& t, int rank, const Ending& ending) {
  check_fault(t, ending, Fault::aborted, {kReason});
  CHECK_MSG(ending.seconds < 5 * kSlack, "rank %d: after %g s", rank, ending.seconds);
}

}  // namespace

// The others wait for rank 1, which sees that it will not come.
RINGSIDE_TEST(abort, ends_what_the_others_wait_in) {
  std::barrier together(4);
  on_ranks(4, test_options(), [&](Communicator& comm) {
    const bool caller = comm.rank() == 1;
    if (caller) nap_ms(100);
    if (caller) comm.abort("the loss is not a number");
    check_aborted(t, comm.rank(), ending_of([&] { comm.barrier(); }));
    check_aborted(t, comm.rank(), ending_of([&] { comm.barrier(); }));
    CHECK(comm.broken() && contains(*comm.broken(), kReason));
    together.arrive_and_wait();
  });
}

// The caller's own call is under way on another thread; its peer will never come.
RINGSIDE_TEST(abort, ends_a_call_of_its_own_rank) {
  std::barrier together(2);
  on_ranks(2, test_options(), [&](Communicator& comm) {
    if (comm.rank() == 1) {
      std::thread other([&] {
        nap_ms(100);
        comm.abort("the loss is not a number");
      });
      check_aborted(t, 1, ending_of([&] { comm.barrier(); }));
      other.join();
    }
    together.arrive_and_wait();
    check_aborted(t, comm.rank(), ending_of([&] { comm.barrier(); }));
    together.arrive_and_wait();
  });
}

RINGSIDE_TEST(abort, fails_pending_work_and_lets_destructors_finish) {
  std::barrier together(3);
  run_as_threads(3, [&](Bootstrap& bootstrap) {
    std::vector<float> values(100'000, 1);
    std::vector<Work> works;
    const Clock::time_point start = Clock::now();
    {
      Communicator comm(bootstrap, test_options());
      for (int i = 0; i < 5 && comm.rank() != 1; ++i)
        works.push_back(comm.all_reduce_async(values.data(), values.data(), values.size(),
                                              DType::f32, Reduction::max));
      if (comm.rank() == 1) nap_ms(100);
      if (comm.rank() == 1) comm.abort("the loss is not a number");
      for (Work& work : works) check_aborted(t, comm.rank(), ending_of([&] { work.wait(); }));
      together.arrive_and_wait();
    }
    CHECK(seconds_since(start) < 5);
  });
}

// What broke it first remains the cause; a second one is not reported.
RINGSIDE_TEST(abort, does_not_hide_an_earlier_cause) {
  std::barrier together(2);
  on_ranks(2, test_options(), [&](Communicator& comm) {
    float value = 1;
    const Reduction mine = comm.rank() == 0 ? Reduction::sum : Reduction::max;
    CHECK(ending_of([&] { comm.all_reduce(&value, &value, 1, DType::f32, mine); }).failed);
    together.arrive_and_wait();
    comm.abort("too late");
    const Ending later = ending_of([&] { comm.barrier(); });
    CHECK(later.fault == Fault::mismatch && !contains(later.sentence, "too late"));
    together.arrive_and_wait();
  });
}

// A group is a communicator of its own.
RINGSIDE_TEST(abort, of_a_group_leaves_its_parent_alone) {
  std::barrier together(4);
  on_ranks(4, test_options(), [&](Communicator& comm) {
    std::optional<Communicator> pair = comm.split(comm.rank() / 2, 0);
    if (comm.rank() == 1) pair->abort("the loss is not a number");
    if (comm.rank() < 2)
      check_aborted(t, comm.rank(), ending_of([&] { pair->barrier(); }));
    else
      pair->barrier();
    comm.barrier();
    CHECK(!comm.broken());
    together.arrive_and_wait();
  });
}

// A thread that is cancelled has left its call half made, and says nothing by itself.
RINGSIDE_TEST(abort, by_cancelling_the_thread_of_a_call) {
  if (kSanitized) SKIP("sanitizers cannot follow a thread that is cancelled");
  std::barrier together(2);
  on_ranks(2, test_options(), [&](Communicator& comm) {
    if (comm.rank() == 1) {
      std::thread inside([&] { comm.barrier(); });
      nap_ms(50);
      ::pthread_cancel(inside.native_handle());
      inside.join();
      CHECK(comm.broken() && contains(*comm.broken(), "pthread_cancel"));
    }
    together.arrive_and_wait();
    check_fault(t, ending_of([&] { comm.barrier(); }), Fault::aborted,
                {"rank 1, in barrier #1: its thread was ended"});
    together.arrive_and_wait();
  });
}

RINGSIDE_TEST(abort, by_a_hook_that_throws_what_is_no_exception) {
  for (const bool async : {false, true}) {
    std::barrier together(2);
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      Options options = test_options();
      if (bootstrap.rank() == 1)
        options.on_call = [](std::uint64_t number, Operation&) {
          if (number == 2) throw 42;
        };
      Communicator comm(bootstrap, options);
      comm.barrier();
      try {
        const Ending ending =
            ending_of([&] { async ? comm.barrier_async().wait() : comm.barrier(); });
        CHECK(ending.failed && ending.fault == Fault::aborted);
        CHECK(async || comm.rank() == 0);
      } catch (int what) {
        CHECK(what == 42 && !async && comm.rank() == 1);
      }
      CHECK(comm.broken() && contains(*comm.broken(), "no std::exception"));
      together.arrive_and_wait();
    });
  }
}
