// Ranks that call different things: an error on all of them, at once, that says what differs. Not a
// hang, and not a wrong result.
#include <cstdlib>
#include <memory>

#include "comm/communicator.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr std::size_t k64MiB = std::size_t{64} << 20;

void make_call(Communicator& comm, const Operation& what) {
  // Zeroed pages that nobody touches cost nothing, whatever their number.
  const std::size_t bytes = (what.count + 1) * bytes_of(what.dtype) * index(comm.size());
  const std::unique_ptr<void, decltype(&std::free)> send(std::calloc(bytes, 1), std::free);
  const std::unique_ptr<void, decltype(&std::free)> recv(std::calloc(bytes, 1), std::free);
  Case it{.what = what, .receiver = 1};
  // The operation's `root` is the rank that has all of it.
  if (is_ragged(what.kind)) {
    it.counts.assign(index(comm.size()), 0);
    it.counts[index(what.root)] = what.count;
  }
  make_call(comm, it, send.get(), recv.get());
}

Endings endings_of_mismatch(int ranks, int odd_one, const Operation& ours,
                            const Operation& theirs) {
  return endings_of(ranks, test_options(), [&](Communicator& comm) {
    make_call(comm, comm.rank() == odd_one ? theirs : ours);
  });
}

}  // namespace

RINGSIDE_TEST(errors, mismatch_is_reported_to_both_at_4_bytes_and_at_64_MiB) {
  const Reduction sum = Reduction::sum;
  for (const std::size_t bytes : {std::size_t{4}, k64MiB}) {
    const std::size_t count = bytes / 4;
    const Operation reduce{Kind::all_reduce, DType::f32, sum, 0, count};
    const struct {
      Operation ours, theirs;
      const char* words;
    } mismatches[] = {
        {{Kind::all_reduce, DType::u8, sum, 0, bytes},
         {Kind::all_reduce, DType::u8, sum, 0, bytes + 1},
         "the count differs"},
        {reduce, {Kind::all_reduce, DType::i32, sum, 0, count}, "the type differs: "},
        {reduce, {Kind::all_reduce, DType::f32, Reduction::max, 0, count}, "the reduction differs"},
        {{Kind::all_gather, DType::f32, sum, 0, count / 2 + 1},
         {Kind::reduce_scatter, DType::f32, sum, 0, count / 2 + 1},
         "the operation differs"},
        {reduce, {Kind::all_gather, DType::f32, sum, 0, count}, "the operation differs"},
        {reduce, {}, "the operation differs"},
        {{Kind::all_gather_v, DType::f32, sum, 0, count},
         {Kind::all_gather_v, DType::f32, sum, 1, count},
         "the counts differ, though not their sum"},
        {{Kind::reduce_scatter_v, DType::f32, sum, 0, count},
         {Kind::reduce_scatter_v, DType::f32, sum, 0, count + 1},
         "the count differs"},
    };
    for (const auto& it : mismatches) {
      const Clock::time_point start = Clock::now();
      check_all_broken(t, endings_of_mismatch(2, 1, it.ours, it.theirs), Fault::mismatch, it.words);
      CHECK_MSG(seconds_since(start) < 5, "'%s' took %g s", it.words, seconds_since(start));
    }
  }
}

// Both believe to be the root, so both send, and neither expects anything from the other.
RINGSIDE_TEST(errors, two_roots_are_noticed) {
  const auto endings_from = [](std::size_t count) {
    return endings_of(2, test_options(), [&](Communicator& comm) {
      make_call(comm, {Kind::broadcast, DType::u8, Reduction::sum, comm.rank(), count});
    });
  };
  // What fits the slots has been sent before anybody could know: it is the next call that fails.
  for (const Ending& later : endings_from(4).later)
    check_fault(t, later, Fault::mismatch, {"broadcast #1 (u8 × 4, root "});
  // With more than that both wait for room, and look at what comes meanwhile: long before the
  // deadline each sees that the other is a root too.
  const Endings large = endings_from(k64MiB);
  for (const std::vector<Ending>& endings : {large.first, large.later})
    for (const Ending& ending : endings)
      check_fault(t, ending, Fault::mismatch, {"the root differs"});
}

RINGSIDE_TEST(errors, send_and_recv_of_different_counts) {
  const Operation ours{Kind::send_recv, DType::f64, Reduction::sum, 0, 3};
  Operation theirs = ours;
  theirs.count = 4;
  const Endings endings = endings_of_mismatch(2, 1, ours, theirs);
  // The sender may have gone on; it hears of it in its next call.
  CHECK(endings.first[1].failed && contains(endings.first[1].sentence, "the count differs"));
  for (const Ending& later : endings.later)
    CHECK(later.failed && contains(later.sentence, "the count differs: 4 here, 3 there"));
}

RINGSIDE_TEST(errors, mismatch_of_one_is_reported_to_all) {
  const Operation ours{Kind::all_reduce, DType::f32, Reduction::sum, 0, 1000};
  Operation theirs = ours;
  theirs.count = 1001;
  for (const int ranks : {3, 4, 8})
    for (int odd_one = 0; odd_one < ranks; odd_one += 2)
      check_all_broken(t, endings_of_mismatch(ranks, odd_one, ours, theirs), Fault::mismatch,
                       "the count differs");
}

// The ranks agree on ten calls, and one then makes one call too few.
RINGSIDE_TEST(errors, a_call_left_out_is_a_mismatch) {
  const Endings endings = endings_of(3, test_options(), [&](Communicator& comm) {
    std::int32_t value = 1;
    for (int i = 0; i < 10; ++i) comm.all_reduce(&value, &value, 1, DType::i32, Reduction::max);
    if (comm.rank() != 1) comm.broadcast(&value, 1, DType::i32, 0);
    comm.all_reduce(&value, &value, 1, DType::i32, Reduction::max);
    comm.all_reduce(&value, &value, 1, DType::i32, Reduction::max);
  });
  check_all_broken(t, endings, Fault::mismatch, "the operation differs");
}
