// Ranks that call different things which do not even use the same channels. No message of the wrong
// call is ever looked at, so flags alone would leave everybody waiting until the deadline;
// collective numbers on the status page and chained fingerprints are what tells
// (comm/host/waiter.cc, comm/algorithms/operation.h).
//
// A control by hand: take check_different out of Waiter::wait_patiently, and ranks say only after
// 20 s, which is the deadline, that one of them is late.
#include <chrono>
#include <cstring>
#include <thread>

#include "comm/communicator.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr DType kU8 = DType::u8;
constexpr Reduction kSum = Reduction::sum;
constexpr std::size_t kHuge = std::size_t{16} << 20;

struct Memory {
  explicit Memory(std::size_t bytes) : send(bytes), recv(bytes) {}
  Bytes send, recv;
};

void check_quick(Context& t, const Endings& endings) {
  for (const Ending& ending : endings.first)
    CHECK_MSG(ending.seconds < 5 * test::kSlack, "it took %g s to say: %s", ending.seconds,
              ending.sentence.c_str());
}

// Each rank either does not notice at once, or says what differs; the next call fails on all.
void check_noticed(Context& t, const Endings& endings, const std::string& words) {
  check_quick(t, endings);
  for (const Ending& ending : endings.first)
    CHECK_MSG(
        !ending.failed || (ending.fault == Fault::mismatch && contains(ending.sentence, words)),
        "wanted '%s', got: %s", words.c_str(), ending.sentence.c_str());
  for (const Ending& later : endings.later) check_fault(t, later, Fault::mismatch, {words});
}

}  // namespace

// 1 byte takes one step over the mesh, 16 MiB go around the ring.
RINGSIDE_TEST(errors, one_small_and_the_others_huge) {
  for (const int ranks : {2, 3, 4, 8})
    for (const bool one_is_small : {true, false}) {
      const Endings endings = endings_of(ranks, test_options(), [&](Communicator& comm) {
        const bool small = (comm.rank() == ranks - 1) == one_is_small;
        Memory memory(small ? 1 : kHuge);
        comm.all_reduce(memory.send.data(), memory.recv.data(), memory.send.size(), kU8, kSum);
      });
      check_quick(t, endings);
      check_all_broken(t, endings, Fault::mismatch, "the count differs");
    }
}

// The ring against the mesh, both ways round, whatever fits a slot or does not.
RINGSIDE_TEST(errors, ring_and_mesh_operations_mixed_up) {
  for (const std::size_t count : {std::size_t{3}, kHuge / 4})
    for (const int odd_one : {0, 2}) {
      const Endings endings = endings_of(3, test_options(), [&](Communicator& comm) {
        Memory memory(3 * count);
        if (comm.rank() == odd_one)
          comm.all_to_all(memory.send.data(), memory.recv.data(), count, kU8);
        else
          comm.all_gather(memory.send.data(), memory.recv.data(), count, kU8);
      });
      check_quick(t, endings);
      check_all_broken(t, endings, Fault::mismatch, "the operation differs");
    }
}

RINGSIDE_TEST(errors, two_roots_over_the_mesh_are_noticed) {
  for (const std::size_t count : {std::size_t{3}, kHuge / 4})
    for (const int ranks : {2, 3, 5})
      for (const Kind kind : {Kind::reduce, Kind::gather, Kind::scatter})
        for (const int odd_one : {0, 1}) {
          const Endings endings = endings_of(ranks, test_options(), [&](Communicator& comm) {
            Memory memory(count * static_cast<std::size_t>(ranks));
            const int root = comm.rank() == odd_one ? 1 : 0;
            make_call(comm, {.what = {kind, kU8, kSum, root, count}}, memory.send.data(),
                      memory.recv.data());
          });
          check_noticed(t, endings, "the root differs");
        }
}

// Everybody has what it waited for, or waited for nothing: only the chain of fingerprints knows.
RINGSIDE_TEST(errors, what_nobody_waited_for_is_noticed_in_the_next_call) {
  const Endings endings = endings_of(2, test_options(), [&](Communicator& comm) {
    float parts[2] = {1, 2}, mine = 0;
    comm.scatter(parts, &mine, 1, DType::f32, comm.rank());
    CHECK_EQ(mine, parts[comm.rank()]);
  });
  for (int rank = 0; rank < 2; ++rank) {
    CHECK(!endings.first[index(rank)].failed);
    const Ending& later = endings.later[index(rank)];
    check_fault(t, later, Fault::mismatch,
                {"in barrier #2: an earlier collective differed, scatter "
                 "#1 (f32 × 1, root ",
                 "the root differs"});
  }
}

// Two ranks have made 100 calls that the third knows nothing of: calls are numbered differently,
// and collectives are not.
RINGSIDE_TEST(errors, messages_between_two_do_not_confuse_collective_numbers) {
  const auto chat = [](Communicator& comm) {
    if (comm.rank() == 2) return;
    for (std::int32_t i = 0; i < 50; ++i) {
      std::int32_t heard = -1;
      if (comm.rank() == 0) comm.send(&i, 1, DType::i32, 1);
      if (comm.rank() == 1) comm.recv(&heard, 1, DType::i32, 0);
      if (comm.rank() == 1) comm.send(&heard, 1, DType::i32, 0);
      if (comm.rank() == 0) comm.recv(&heard, 1, DType::i32, 1);
    }
  };
  const auto collectives = [](Communicator& comm, std::size_t count) {
    Memory memory(3 * count);
    comm.all_to_all(memory.send.data(), memory.recv.data(), count, kU8);
    comm.all_reduce(memory.send.data(), memory.recv.data(), count, kU8, kSum);
    comm.broadcast(memory.send.data(), count, kU8, 2);
    comm.reduce(memory.send.data(), memory.recv.data(), count, kU8, kSum, 1);
  };
  const Endings right = endings_of(3, test_options(), [&](Communicator& comm) {
    for (int round = 0; round < 10; ++round) {
      chat(comm);
      // Late enough for the others to ask what this rank is doing.
      if (comm.rank() == round % 3) nap_ms(5);
      collectives(comm, 5);
    }
  });
  for (std::size_t rank = 0; rank < 3; ++rank)
    CHECK_MSG(!right.first[rank].failed && !right.later[rank].failed, "rank %zu: %s", rank,
              right.first[rank].sentence.c_str());
  const Endings wrong = endings_of(3, test_options(), [&](Communicator& comm) {
    collectives(comm, 5);
    chat(comm);
    Memory memory(kHuge);
    const std::size_t count = comm.rank() == 0 ? 7 : kHuge;
    comm.all_reduce(memory.send.data(), memory.recv.data(), count, kU8, kSum);
  });
  check_quick(t, wrong);
  check_all_broken(t, wrong, Fault::mismatch, "the count differs");
}
