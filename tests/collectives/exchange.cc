// Batches of messages: everything at once, nothing out of order, and what happens without them.
#include <algorithm>
#include <barrier>
#include <memory>
#include <utility>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"
#include "tests/transport/network_transport.h"
#include "tools/support/faulty_transport.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr DType kI32 = DType::i32;
constexpr std::size_t kMebibyte = (std::size_t{1} << 20) / sizeof(std::int32_t);

Options narrow(double timeout_s = 20) {
  Options options = with_slots(64, 1);
  options.timeout_s = timeout_s;
  return options;
}

// What `from` sends to `to`, as its `nth` message: every element says whose it is.
std::vector<std::int32_t> letter(int from, int to, int nth, std::size_t count) {
  std::vector<std::int32_t> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = (from * 31 + to * 7 + nth * 1000) * 2048 + static_cast<std::int32_t>(i % 2039);
  return values;
}

// Letters from and to one peer: out is what this rank sends, in what it gets, due what it should
// get.
struct Correspondence {
  Correspondence(int me, int peer, int nth, std::size_t out_count, std::size_t in_count)
      : with(peer),
        out(letter(me, peer, nth, out_count)),
        in(in_count, -1),
        due(letter(peer, me, nth, in_count)) {}
  Message send() const { return Message::to(with, out.data(), out.size(), kI32); }
  Message receive() { return Message::from(with, in.data(), in.size(), kI32); }
  bool complete() const { return in == due; }

  int with;
  std::vector<std::int32_t> out, in, due;
};

// While rank 0 waits, the message arrives and its sender leaves, both after a look in vain: when
// the waiter comes to read rank 1's status page.
class Distracted : public PeerWindowAround {
 public:
  Distracted(std::unique_ptr<PeerWindow> inner, std::barrier<>* gate)
      : PeerWindowAround(std::move(inner)), gate_(gate) {}
  std::byte* mapped() const override {
    if (gate_ != nullptr) {
      gate_->arrive_and_wait();  // rank 1 sends and leaves
      gate_->arrive_and_wait();  // it has
      gate_ = nullptr;
    }
    return inner_->mapped();
  }

 private:
  mutable std::barrier<>* gate_;
};

}  // namespace

// Two ranks: each is the other's neighbour on both sides, two messages each way, matched in order.
RINGSIDE_TEST(exchange, neighbours_swap_a_mebibyte_through_one_slot_of_64_bytes) {
  for (const int ranks : {2, 3})
    on_ranks(ranks, narrow(), [&](Communicator& comm) {
      const std::size_t count = kMebibyte / (kUnderTsan || ranks > 2 || OverRig::routes() ? 16 : 1);
      const int me = comm.rank(), right = (me + 1) % ranks, left = (me + ranks - 1) % ranks;
      Correspondence r(me, right, 0, count, count), l(me, left, 0, count, count);
      comm.exchange({r.send(), l.send(), l.receive(), r.receive()});
      CHECK_MSG(r.complete() && l.complete(), "rank %d of %d", me, ranks);
    });
}

RINGSIDE_TEST(exchange, batches_under_way) {
  on_ranks(3, narrow(), [&](Communicator& comm) {
    const int me = comm.rank(), right = (me + 1) % 3, left = (me + 2) % 3;
    Correspondence r(me, right, 0, 5000, 5000), l(me, left, 0, 5000, 5000);
    Correspondence again(me, right, 1, 70, 70), back(me, left, 1, 70, 70);
    Work first = comm.exchange_async({r.receive(), r.send(), l.receive(), l.send()});
    Work second = comm.exchange_async({again.send(), back.receive(), back.send(), again.receive()});
    second.wait();
    CHECK(first.test() && r.complete() && l.complete());
    CHECK(again.complete() && back.complete());
  });
}

RINGSIDE_TEST(exchange, all_pairs_at_once) {
  for (const Options& options : {narrow(), test_options()})
    for (const int ranks : {2, 4, 6})
      on_ranks(ranks, options, [&](Communicator& comm) {
        const int me = comm.rank();
        // From a to b go a·100 + b elements: no two messages are equally long.
        std::vector<Correspondence> all;
        for (int peer = 0; peer < ranks; ++peer)
          if (peer != me)
            all.emplace_back(me, peer, 0, index(me * 100 + peer), index(peer * 100 + me));
        std::vector<Message> messages;
        for (Correspondence& it : all) messages.push_back(it.receive());
        // Each rank lists its sends from another peer on: there is no order that they agree on.
        std::rotate(all.begin(), all.begin() + me % (ranks - 1), all.end());
        for (const Correspondence& it : all) messages.push_back(it.send());
        comm.exchange(messages);
        for (const Correspondence& it : all)
          CHECK_MSG(it.complete(), "rank %d of %d, from rank %d", me, ranks, it.with);
      });
}

RINGSIDE_TEST(exchange, messages_of_a_pair_stay_in_order) {
  on_ranks(2, narrow(), [&](Communicator& comm) {
    const int me = comm.rank(), other = 1 - me;
    std::vector<Correspondence> all;
    for (int nth = 0; nth < 40; ++nth) all.emplace_back(me, other, nth, 33, 33);
    std::vector<Message> messages;
    for (Correspondence& it : all) messages.push_back(it.send());
    for (Correspondence& it : all) messages.push_back(it.receive());
    comm.exchange(messages);
    for (std::size_t nth = 0; nth < all.size(); ++nth)
      CHECK_MSG(all[nth].complete(), "rank %d, message %zu", me, nth);
    // A batch on one side fits single calls on the other.
    std::fill(all[0].in.begin(), all[0].in.end(), -1);
    if (me == 0) {
      comm.exchange({all[0].receive(), all[0].send()});
    } else {
      comm.send(all[0].out.data(), 33, kI32, other);
      comm.recv(all[0].in.data(), 33, kI32, other);
    }
    CHECK(all[0].complete());
  });
}

RINGSIDE_TEST(exchange, empty_messages_and_empty_batches) {
  on_ranks(2, narrow(), [&](Communicator& comm) {
    const int other = 1 - comm.rank();
    std::int32_t mine = comm.rank(), theirs = -1;
    comm.exchange({});
    comm.exchange({Message::to(other, nullptr, 0, kI32), Message::to(other, &mine, 1, kI32),
                   Message::from(other, nullptr, 0, kI32), Message::from(other, &theirs, 1, kI32)});
    CHECK_EQ(theirs, other);
    comm.exchange_async({}).wait();
    comm.barrier();
  });
  run_as_threads(1, [&](Bootstrap& bootstrap) {
    Communicator alone(bootstrap, narrow());
    alone.exchange({});
  });
}

RINGSIDE_TEST(exchange, different_counts_are_reported_to_both) {
  const Endings endings = endings_of(2, narrow(), [&](Communicator& comm) {
    const int me = comm.rank();
    Correspondence it(me, 1 - me, 0, 100, me == 0 ? 101 : 100);
    comm.exchange({it.send(), it.receive()});
    comm.barrier();  // a rank that had all it wanted hears of it here, at the latest
  });
  check_all_broken(t, endings, Fault::mismatch, "the count differs: 101 here, 100 there");
}

RINGSIDE_TEST(exchange, what_makes_no_sense_is_refused) {
  on_ranks(2, test_options(), [&](Communicator& comm) {
    const int me = comm.rank(), other = 1 - me;
    std::int32_t mine = me, theirs = -1;
    const Message good = Message::to(other, &mine, 1, kI32);
    const auto refused = [&](const char* words, const Message& bad) {
      const Ending ending = ending_of([&] { comm.exchange({good, bad}); });
      check_fault(t, ending, Fault::usage, {words, text("rank %d: ", me)});
    };
    refused("rank 2 does not exist", Message::to(2, &mine, 1, kI32));
    refused("rank -1 does not exist", Message::from(-1, &theirs, 1, kI32));
    refused("itself", Message::to(me, &mine, 1, kI32));
    refused("itself", Message::from(me, &theirs, 1, kI32));
    refused("null", Message::to(other, nullptr, 1, kI32));
    refused("null", Message::from(other, nullptr, 1, kI32));
    refused("no type number 99", Message::to(other, &mine, 1, static_cast<DType>(99)));
    refused("cannot be addressed", Message::to(other, &mine, SIZE_MAX / 2, kI32));
    // Not even the good message of a refused batch was sent.
    comm.exchange({good, Message::from(other, &theirs, 1, kI32)});
    CHECK_EQ(theirs, other);
  });
}

RINGSIDE_TEST(exchange, a_message_counts_even_if_its_sender_has_left) {
  std::barrier gate(2);
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    std::int32_t value = bootstrap.rank();
    Options options = test_options();
    if (bootstrap.rank() == 0) options.decorate = decorate_with<Distracted>(&gate);
    {
      Communicator comm(bootstrap, options);
      if (comm.rank() == 0) {
        const Ending ending = ending_of([&] { comm.recv(&value, 1, kI32, 1); });
        CHECK_MSG(!ending.failed, "%s", ending.sentence.c_str());
        CHECK_EQ(value, 1);
        return;
      }
      gate.arrive_and_wait();
      comm.send(&value, 1, kI32, 0);
    }
    gate.arrive_and_wait();
  });
}

// The batch is what happens at once, and batches take turns: in a ring of three that first exchange
// with the right, everybody's partner is waiting for somebody else.
RINGSIDE_TEST(exchange_mutants, batches_that_should_be_one_wait_until_their_deadline) {
  const Endings endings = endings_of(3, narrow(0.3), [&](Communicator& comm) {
    const int me = comm.rank();
    Correspondence r(me, (me + 1) % 3, 0, 100, 100), l(me, (me + 2) % 3, 0, 100, 100);
    Work first = comm.exchange_async({r.send(), r.receive()});
    Work second = comm.exchange_async({l.send(), l.receive()});
    first.wait();
    second.wait();
  });
  check_all_broken(t, endings, Fault::timeout, "longer than RINGSIDE_TIMEOUT=0.3 allows");
}

// What exchange is for. Both send first: each waits for room that the other would make by
// receiving.
RINGSIDE_TEST(exchange_mutants, two_that_both_send_first_wait_until_their_deadline) {
  const Endings endings = endings_of(2, narrow(0.3), [&](Communicator& comm) {
    Correspondence it(comm.rank(), 1 - comm.rank(), 0, kMebibyte, kMebibyte);
    comm.send(it.out.data(), it.out.size(), kI32, it.with);
    comm.recv(it.in.data(), it.in.size(), kI32, it.with);
  });
  check_all_broken(t, endings, Fault::timeout, "to make room for slice 2 of 16384");
  for (const Ending& ending : endings.first) CHECK(ending.seconds < 1.3 * test::kSlack);
}
