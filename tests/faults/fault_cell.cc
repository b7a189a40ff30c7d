// Where a fault can happen, and running it; what must be said of it is fault_verdict.cc's.
#include "tests/faults/fault_cell.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdlib>
#include <memory>
#include <thread>

#include "comm/error.h"
#include "comm/peers/peers.h"
#include "tests/transport/network_transport.h"
#include "tools/support/buffers.h"
#include "tools/support/faulty_transport.h"

namespace ringside::test {
namespace {

using What = Injection::What;
constexpr DType kF32 = DType::f32;
constexpr Reduction kSum = Reduction::sum;

// Of a rank's part: too long for a cell, so the bytes go through slots. The whole of five ranks'
// parts fits into one slot, so each piece is one message.
constexpr std::size_t kPart = 20;
constexpr std::size_t kMostRanks = 5;
// Of a message: three slices, one more than there are slots.
constexpr std::size_t kMessage = 300;

Options cell_options(const FaultyCall& call, double timeout_s) {
  Options options;
  options.slot_bytes = 512;
  options.slot_count = 2;
  options.algorithm = call.algorithm;
  options.timeout_s = timeout_s;
  options.warn_s = 0;
  options.routes = OverRig::routes();
  return options;
}

std::size_t all_of(const Communicator& comm) { return kPart * index(comm.size()); }

void all_reduce(Communicator& comm, float* send, float* recv) {
  comm.all_reduce(send, recv, all_of(comm), kF32, kSum);
}
void reduce_scatter(Communicator& comm, float* send, float* recv) {
  comm.reduce_scatter(send, recv, kPart, kF32, kSum);
}
void all_gather(Communicator& comm, float* send, float* recv) {
  comm.all_gather(send, recv, kPart, kF32);
}
void broadcast(Communicator& comm, float* send, float*) { comm.broadcast(send, kPart, kF32, 0); }
void reduce(Communicator& comm, float* send, float* recv) {
  comm.reduce(send, recv, all_of(comm), kF32, kSum, 0);
}
void gather(Communicator& comm, float* send, float* recv) {
  comm.gather(send, recv, kPart, kF32, 0);
}
void scatter(Communicator& comm, float* send, float* recv) {
  comm.scatter(send, recv, kPart, kF32, 0);
}
void all_to_all(Communicator& comm, float* send, float* recv) {
  comm.all_to_all(send, recv, kPart, kF32);
}

// Ranks 0 and 1, 2 and 3, …: the one sends, and then the other. Who is left over does nothing.
int partner(int rank, int) { return rank ^ 1; }
void pairs(Communicator& comm, float* send, float* recv) {
  const int other = partner(comm.rank(), comm.size());
  if (other >= comm.size()) return;
  if (other > comm.rank()) comm.send(send, kMessage, kF32, other);
  comm.recv(recv, kMessage, kF32, other);
  if (other < comm.rank()) comm.send(send, kMessage, kF32, other);
}
// Everybody sends to the right and receives from the left.
int right(int rank, int ranks) { return (rank + 1) % ranks; }
void exchange(Communicator& comm, float* send, float* recv) {
  const int left = (comm.rank() + comm.size() - 1) % comm.size();
  comm.exchange({Message::to(right(comm.rank(), comm.size()), send, kMessage, kF32),
                 Message::from(left, recv, kMessage, kF32)});
}
// From rank 0 to the last, through all.
void chain(Communicator& comm, float* send, float* recv) {
  if (comm.rank() > 0) comm.recv(recv, kMessage, kF32, comm.rank() - 1);
  if (comm.rank() + 1 < comm.size()) comm.send(send, kMessage, kF32, comm.rank() + 1);
}

// What a rank gives and gets; exposed if that is asked for.
struct Buffers {
  explicit Buffers(bool exposes)
      : memory(kMessage * sizeof(float),
               exposes ? tools::Memory::allocate : tools::Memory::ordinary),
        send(reinterpret_cast<float*>(memory.first())),
        recv(reinterpret_cast<float*>(memory.second())) {
    std::fill_n(send, kMessage, 1.0f);
  }
  tools::Buffers memory;
  float *const send, *const recv;
};
static_assert(kMessage >= kPart * kMostRanks);

// Counts messages, which is what is not credit, for the latest place.
class CountedMessages : public PeerWindowAround {
 public:
  CountedMessages(std::unique_ptr<PeerWindow> inner, WindowLayout plan, std::vector<Place>* places)
      : PeerWindowAround(std::move(inner)), plan_(plan), places_(places) {}
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    if (!plan_.is_credit_cell(cell)) ++places_->back().messages;
    PeerWindowAround::signal(cell, value, payload, payload_bytes);
  }

 private:
  WindowLayout plan_;
  std::vector<Place>* places_;
};

// Whether this step is looked at. Up to three ranks each is; with more, and then they are many, the
// first, the last, and of the others one in three, another one for each rank.
bool wanted_step(int step, int first, int last, int rank, int ranks) {
  static const bool every = std::getenv("RINGSIDE_TEST_EVERY_STEP") != nullptr;
  return every || ranks <= 3 || step == first || step == last || (step + rank) % 3 == 0;
}

}  // namespace

const std::vector<FaultyCall>& faulty_calls() {
  static const std::vector<FaultyCall> calls = {
      {"all_reduce", Algorithm::ring, all_reduce},
      {"all_reduce", Algorithm::one_shot, all_reduce},
      {"all_reduce", Algorithm::two_shot, all_reduce},
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

const std::vector<FaultyCall>& faulty_messages() {
  static const std::vector<FaultyCall> calls = {
      {"send/recv", Algorithm::ring, pairs, partner, "pairs"},
      {"send/recv", Algorithm::ring, exchange, right, "exchange"},
      {"send/recv", Algorithm::ring, chain, right, "chain"},
  };
  return calls;
}

std::string describe(const FaultCell& cell) {
  const Injection& it = cell.fault;
  return text("fault %d in %s (%s%s) of %d ranks, rank=%d,op=%d,step=%d", static_cast<int>(it.what),
              cell.call->name,
              *cell.call->shape != '\0' ? cell.call->shape : name_of(cell.call->algorithm),
              cell.exposes ? ", exposed memory" : "", cell.ranks, it.rank, static_cast<int>(it.op),
              static_cast<int>(it.step));
}

std::vector<Place> places_of(const FaultyCall& call, int ranks) {
  const Options options = cell_options(call, 30);
  const WindowLayout plan = WindowLayout::make(ranks, options.slot_bytes, options.slot_count);
  std::vector<std::vector<Place>> of_ranks(index(ranks));
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    const int rank = bootstrap.rank();
    std::vector<Place>& places = of_ranks[index(rank)];
    // Here its calls are the first ones.
    const auto begins = [&](std::uint64_t number) {
      places.push_back({rank, number + kFaultyOp - 1, 0});
    };
    Options mine = options;
    mine.on_call = [&](std::uint64_t number, Operation&) { begins(number); };
    mine.on_messages = [&](std::uint64_t first_number, std::size_t) { begins(first_number); };
    mine.decorate = decorate_with<CountedMessages>(plan, &places);
    Communicator comm(bootstrap, mine);
    Buffers buffers(false);
    call.make(comm, buffers.send, buffers.recv);
  });
  std::vector<Place> all;
  for (const std::vector<Place>& places : of_ranks)
    all.insert(all.end(), places.begin(), places.end());
  return all;
}

std::vector<FaultCell> cells_of(What what, int first_step, bool has_steps,
                                const std::vector<FaultyCall>& calls, int most_ranks) {
  std::vector<FaultCell> cells;
  for (const FaultyCall& call : calls)
    for (int ranks = 2; ranks <= most_ranks; ++ranks)
      for (const Place& place : places_of(call, ranks))
        for (int step = first_step, last = has_steps ? place.messages : 0; step <= last; ++step)
          if (wanted_step(step, first_step, last, place.rank, ranks))
            cells.push_back({&call,
                             ranks,
                             {.what = what,
                              .rank = place.rank,
                              .op = place.op,
                              .step = static_cast<std::uint64_t>(step)}});
  return cells;
}

Ending run_rank(const FaultCell& cell, Bootstrap& bootstrap, double timeout_s,
                std::optional<Communicator>& comm) {
  return ending_of([&] {
    Buffers buffers(cell.exposes);
    Options options = cell_options(*cell.call, timeout_s);
    if (cell.exposes) options.zero_copy_from_bytes = 1;
    options.control = cell.control;
    inject(options, cell.fault, bootstrap);
    comm.emplace(bootstrap, options);
    all_reduce(*comm, buffers.send, buffers.recv);
    cell.call->make(*comm, buffers.send, buffers.recv);
    comm->barrier();
    comm->barrier();
  });
}

std::vector<Ending> run_cell(const FaultCell& cell, double timeout_s) {
  std::vector<Ending> endings(index(cell.ranks));
  std::barrier together(cell.ranks);
  run_as_threads(cell.ranks, [&](Bootstrap& bootstrap) {
    std::optional<Communicator> comm;
    endings[index(bootstrap.rank())] = run_rank(cell, bootstrap, timeout_s, comm);
    together.arrive_and_wait();
  });
  return endings;
}

std::vector<Ending> patient_endings(const FaultCell& cell, double timeout_s) {
  std::vector<Ending> endings = run_cell(cell, timeout_s);
  if (!judge(cell, endings).empty()) endings = run_cell(cell, 10 * timeout_s);
  return endings;
}

void for_each_cell(const std::vector<FaultCell>& cells,
                   const std::function<void(const FaultCell&)>& body) {
  constexpr int kAtOnce = 8;
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kAtOnce; ++i)
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < cells.size(); at = next++) body(cells[at]);
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace ringside::test
