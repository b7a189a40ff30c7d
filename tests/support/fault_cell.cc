// Running a cell, and the words that its fault must lead to.
#include "tests/support/fault_cell.h"

#include <algorithm>
#include <atomic>
#include <barrier>

#include "comm/error.h"
#include "comm/peers.h"
#include "tests/support/collective_case.h"
#include "tests/support/faulty_transport.h"

namespace ringside::test {
namespace {

using What = Injection::What;
constexpr DType kF32 = DType::f32;
constexpr Reduction kSum = Reduction::sum;

// Of a rank's part: too long for a cell, so the bytes go through slots. The whole of five ranks'
// parts fits into one slot, so each piece is one message.
constexpr std::size_t kPart = 20;
constexpr std::size_t kMostRanks = 5;

Options cell_options(const FaultyCall& call, double timeout_s) {
  Options options = test_options();
  options.slot_bytes = 512;
  options.slot_count = 2;
  options.algorithm = call.algorithm;
  options.timeout_s = timeout_s;
  options.warn_s = 0;
  return options;
}

std::size_t all_of(const Communicator& comm) { return kPart * index(comm.size()); }

void all_reduce(Communicator& comm, std::vector<float>& send, std::vector<float>& recv) {
  comm.all_reduce(send.data(), recv.data(), all_of(comm), kF32, kSum);
}
void reduce_scatter(Communicator& comm, std::vector<float>& send, std::vector<float>& recv) {
  comm.reduce_scatter(send.data(), recv.data(), kPart, kF32, kSum);
}
void all_gather(Communicator& comm, std::vector<float>& send, std::vector<float>& recv) {
  comm.all_gather(send.data(), recv.data(), kPart, kF32);
}
void broadcast(Communicator& comm, std::vector<float>& send, std::vector<float>&) {
  comm.broadcast(send.data(), kPart, kF32, 0);
}
void reduce(Communicator& comm, std::vector<float>& send, std::vector<float>& recv) {
  comm.reduce(send.data(), recv.data(), all_of(comm), kF32, kSum, 0);
}
void gather(Communicator& comm, std::vector<float>& send, std::vector<float>& recv) {
  comm.gather(send.data(), recv.data(), kPart, kF32, 0);
}
void scatter(Communicator& comm, std::vector<float>& send, std::vector<float>& recv) {
  comm.scatter(send.data(), recv.data(), kPart, kF32, 0);
}
void all_to_all(Communicator& comm, std::vector<float>& send, std::vector<float>& recv) {
  comm.all_to_all(send.data(), recv.data(), kPart, kF32);
}

struct Buffers {
  std::vector<float> send = std::vector<float>(kPart * kMostRanks, 1);
  std::vector<float> recv = std::vector<float>(kPart * kMostRanks);
};

// Counts messages: what is not credit.
class CountedMessages : public PeerWindowAround {
 public:
  CountedMessages(std::unique_ptr<PeerWindow> inner, WindowPlan plan, std::atomic<int>* messages)
      : PeerWindowAround(std::move(inner)), plan_(plan), messages_(messages) {}
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    if (!plan_.is_credit_cell(cell)) ++*messages_;
    PeerWindowAround::signal(cell, value, payload, payload_bytes);
  }

 private:
  WindowPlan plan_;
  std::atomic<int>* messages_;
};

using Parts = std::vector<std::string>;

// What every sentence must be: of one kind, and in one of these ways, with all of its parts.
struct Wanted {
  Fault fault;
  std::vector<Parts> ways;
};

// Two ranks meet that mean different things. Either may notice, and some only in the next call.
std::vector<Parts> ways_of_other_op(int rank) {
  const std::string here = text("rank %d, in barrier #", rank);
  const std::string different = ": the ranks are doing different things";
  const std::string there = text("the ranks are doing different things; rank %d (pid ", rank);
  return {{here + "2" + different},
          {here + "3" + different, "barrier #2 here"},
          {there, " is in barrier #2"},
          {there, "barrier #2 there"}};
}

Wanted wanted(const FaultCell& cell) {
  const int rank = cell.fault.rank;
  const std::string who = text("rank %d (pid ", rank);
  const std::string call = text("%s #%d", cell.call->name, static_cast<int>(kFaultyOp));
  const std::string no_start = text("rank %d could not start: cannot ", rank);
  switch (cell.fault.what) {
    case What::drop_signal:
      return {Fault::timeout, {{"a message of " + who, " was lost: rank ", " is in " + call}}};
    case What::corrupt_header:
      return {Fault::protocol, {{"a flag from " + who, " is damaged", "in " + call}}};
    case What::other_op:
      return {Fault::mismatch, ways_of_other_op(rank)};
    case What::refuse:
      return {Fault::system, {{no_start + "open the window of rank"}}};
    case What::no_memory:
      return {Fault::system, {{no_start + "allocate "}}};
    default:
      if (cell.fault.step > 0)
        return {Fault::timeout, {{"; " + who, "is alive, and it has been in " + call}}};
      return {Fault::timeout,
              {{"; " + who, "is alive, and it has not entered ", "last call was all_reduce #1"}}};
  }
}

bool has(const std::string& sentence, const Wanted& wanted) {
  return std::any_of(wanted.ways.begin(), wanted.ways.end(), [&](const Parts& parts) {
    return std::all_of(parts.begin(), parts.end(),
                       [&](const std::string& part) { return contains(sentence, part); });
  });
}

}  // namespace

const std::vector<FaultyCall>& faulty_calls() {
  static const std::vector<FaultyCall> calls = {
      {"all_reduce", Algorithm::ring, all_reduce},
      {"all_reduce", Algorithm::one_shot, all_reduce},
      {"reduce_scatter", Algorithm::ring, reduce_scatter},
      {"all_gather", Algorithm::ring, all_gather},
      {"broadcast", Algorithm::ring, broadcast},
      {"reduce", Algorithm::ring, reduce},
      {"gather", Algorithm::ring, gather},
      {"scatter", Algorithm::ring, scatter},
      {"all_to_all", Algorithm::ring, all_to_all},
  };
  return calls;
}

std::string describe(const FaultCell& cell) {
  const Injection& it = cell.fault;
  return text("fault %d in %s (%s) of %d ranks, rank=%d,op=%d,step=%d", static_cast<int>(it.what),
              cell.call->name, name_of(cell.call->algorithm), cell.ranks, it.rank,
              static_cast<int>(it.op), static_cast<int>(it.step));
}

std::vector<int> messages_of(const FaultyCall& call, int ranks) {
  const Options options = cell_options(call, 30);
  const WindowPlan plan = WindowPlan::make(ranks, options.slot_bytes, options.slot_count);
  std::vector<int> counts(index(ranks));
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    std::atomic<int> messages{0};
    Options mine = options;
    mine.decorate = decorate_with<CountedMessages>(plan, &messages);
    Communicator comm(bootstrap, mine);
    Buffers buffers;
    call.make(comm, buffers.send, buffers.recv);
    counts[index(comm.rank())] = messages;
  });
  return counts;
}

std::vector<Ending> run_cell(const FaultCell& cell, double timeout_s) {
  std::vector<Ending> endings(index(cell.ranks));
  std::barrier together(cell.ranks);
  run_as_threads(cell.ranks, [&](Bootstrap& bootstrap) {
    std::optional<Communicator> comm;
    Buffers buffers;
    endings[index(bootstrap.rank())] = ending_of([&] {
      Options options = cell_options(*cell.call, timeout_s);
      options.control = cell.control;
      inject(options, cell.fault, bootstrap);
      comm.emplace(bootstrap, options);
      all_reduce(*comm, buffers.send, buffers.recv);
      cell.call->make(*comm, buffers.send, buffers.recv);
      comm->barrier();
      comm->barrier();
    });
    together.arrive_and_wait();  // what is seen is the fault, and nobody's leaving
  });
  return endings;
}

std::string judge(const FaultCell& cell, const std::vector<Ending>& endings) {
  const Wanted want = wanted(cell);
  std::string complaint;
  for (std::size_t rank = 0; rank < endings.size(); ++rank) {
    const Ending& it = endings[rank];
    if (it.failed && it.fault == want.fault && has(it.sentence, want)) continue;
    complaint += text("%s: rank %zu wanted %s with '%s', got %s: %s\n", describe(cell).c_str(),
                      rank, name_of(want.fault), want.ways[0][0].c_str(),
                      it.failed ? name_of(it.fault) : "nothing", it.sentence.c_str());
  }
  return complaint;
}

}  // namespace ringside::test
