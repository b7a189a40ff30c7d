// What the world does wrong must be said, in time, on every rank.
//
// Three things are looked at in each case: which Fault, what the sentence says, and that nobody
// hangs. (What the caller does wrong: tests/errors/usage.cc; what the ranks do differently:
// tests/errors/mismatch.cc.)
#include <atomic>
#include <barrier>
#include <thread>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"

using namespace ringside;
using namespace ringside::test;

RINGSIDE_TEST(errors, different_options_are_refused_alike_on_all_ranks) {
  for (const bool slot_bytes_differ : {true, false}) {
    std::vector<Ending> endings(4);
    run_as_threads(4, [&](Bootstrap& bootstrap) {
      Options options = test_options();
      if (bootstrap.rank() == 2)
        (slot_bytes_differ ? options.slot_bytes = 4096 : options.slot_count = 7);
      endings[index(bootstrap.rank())] = ending_of([&] { Communicator comm(bootstrap, options); });
    });
    for (const Ending& ending : endings) {
      check_fault(t, ending, Fault::usage, {});
      CHECK(contains(ending.sentence, "rank 2"));
      CHECK(contains(ending.sentence, slot_bytes_differ ? "RINGSIDE_SLOT_BYTES" : "SLOT_COUNT"));
      CHECK_EQ(ending.sentence, endings[0].sentence);
    }
  }
}

RINGSIDE_TEST(errors, different_algorithms_are_refused_alike_on_all_ranks) {
  std::vector<Ending> endings(3);
  run_as_threads(3, [&](Bootstrap& bootstrap) {
    Options options = test_options();
    if (bootstrap.rank() == 1) options.algorithm = Algorithm::ring;
    endings[index(bootstrap.rank())] = ending_of([&] { Communicator comm(bootstrap, options); });
  });
  for (const Ending& ending : endings)
    check_fault(t, ending, Fault::usage, {"rank 1", "RINGSIDE_ALGORITHM"});
}

RINGSIDE_TEST(errors, a_rank_that_leaves_is_named) {
  std::vector<Ending> endings(3);
  on_ranks(3, test_options(), [&](Communicator& comm) {
    if (comm.rank() == 1) return;
    endings[index(comm.rank())] = ending_of([&] { comm.barrier(); });
  });
  for (const int rank : {0, 2}) {
    const Ending& ending = endings[index(rank)];
    check_fault(t, ending, Fault::left, {"rank 1 ", "has left"});
    CHECK(ending.seconds < 5 * test::kSlack);
  }
}

// A rank may have done its part of the first before it failed, and over a network that part can
// arrive before the news does. Of the second it did nothing.
static void two_barriers(Communicator& comm) {
  comm.barrier();
  comm.barrier();
}

// The rank that failed has long destroyed its communicator when another enters its next call.
RINGSIDE_TEST(errors, the_cause_outlives_the_rank_that_wrote_it) {
  const Options impatient = test_options(0.3);
  std::vector<Ending> endings(2);
  std::barrier together(2);
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    {
      Communicator comm(bootstrap, impatient);
      if (comm.rank() == 1) together.arrive_and_wait();
      endings[index(comm.rank())] = ending_of([&] { two_barriers(comm); });
    }
    if (bootstrap.rank() == 0) together.arrive_and_wait();
  });
  check_fault(t, endings[0], Fault::timeout, {});
  check_fault(t, endings[1], Fault::timeout, {});
  CHECK(contains(endings[1].sentence, endings[0].sentence));
}

RINGSIDE_TEST(errors, a_straggler_is_named_with_what_it_does) {
  const Options impatient = test_options(0.3);
  const struct {
    int calls_before;
    const char* words;
  } cases[] = {{0, "has not entered any call yet"}, {1, "all_reduce #1 (f32"}};
  for (const auto& it : cases) {
    const Endings endings = endings_of(2, impatient, [&](Communicator& comm) {
      float value = 1;
      for (int i = 0; i < it.calls_before; ++i)
        comm.all_reduce(&value, &value, 1, DType::f32, Reduction::sum);
      // Late by more than the deadline, and only rank 1.
      if (comm.rank() == 1) nap_ms(900);
      comm.broadcast(&value, 1, DType::f32, 1);
      comm.barrier();
    });
    const Ending& waiting = endings.first[0];
    check_has(t, waiting.sentence,
              {"rank 0, in broadcast", "from rank 1", "RINGSIDE_TIMEOUT=0.3", it.words});
    CHECK(waiting.seconds >= 0.3 && waiting.seconds < 1.3 * test::kSlack);
    check_all_broken(t, endings, Fault::timeout, it.words);
  }
}

RINGSIDE_TEST(errors, a_late_start_is_an_error_too) {
  const Options impatient = test_options(0.3);
  std::vector<Ending> endings(2);
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    if (bootstrap.rank() == 1) nap_ms(900);
    endings[index(bootstrap.rank())] = ending_of([&] { Communicator comm(bootstrap, impatient); });
  });
  check_fault(t, endings[0], Fault::timeout, {});
  CHECK(endings[0].seconds < 1.3 * test::kSlack);
  CHECK(endings[1].failed);
}

RINGSIDE_TEST(errors, an_interrupted_wait_ends_within_a_second) {
  std::atomic<int> interrupted{0};
  Options options = test_options();
  std::vector<Ending> endings(2);
  std::barrier together(2);
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Options mine = options;
    if (bootstrap.rank() == 0) mine.interrupted = &interrupted;
    Communicator comm(bootstrap, mine);
    if (comm.rank() == 1) {
      nap_ms(50);
      interrupted = 15;
      together.arrive_and_wait();
    }
    endings[index(comm.rank())] = ending_of([&] { two_barriers(comm); });
    if (comm.rank() == 0) together.arrive_and_wait();
  });
  for (const Ending& ending : endings) {
    check_fault(t, ending, Fault::interrupted, {});
    check_has(t, ending.sentence, {"rank 0", "signal 15"});
    CHECK(ending.seconds < 1.05 * test::kSlack);
  }
}
