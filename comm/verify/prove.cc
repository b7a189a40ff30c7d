// A world of symbols: the turns, the steps and the circles. What is proved and why it suffices is
// in prover.h; memory and channels are in proof_memory.h and proof_channel.h.
#include "comm/verify/prove.h"

#include <algorithm>
#include <map>
#include <random>
#include <tuple>
#include <utility>

#include "comm/error.h"
#include "comm/util/wait_graph.h"
#include "comm/verify/symbol_channel.h"
#include "comm/verify/symbol_memory.h"

namespace ringside {
namespace {

struct Runner {
  std::size_t next = 0;  // the step it is in
  bool begun = false;
  bool sent = false;
  bool received = false;
  bool returned = false;  // from its call: its buffers are the caller's again
  std::string wrong;      // with its outputs, when it returned
  int unread = 0;         // not read yet
  // The longest chain of messages that has reached this rank; and had, when the step began, since
  // what a step sends does not wait for what it receives.
  std::size_t chain = 0;
  std::size_t chain_before = 0;
};

class World {
 public:
  World(const std::vector<Program>& programs, Specification specification, std::size_t slices,
        const ProofRules& rules)
      : programs_(programs),
        rules_(rules),
        size_(static_cast<int>(programs.size())),
        runners_(programs.size()),
        random_(rules.seed) {
    for (int rank = 0; rank < size_; ++rank)
      memories_.emplace_back(specification, rank, size_, slices, rules);
  }

  void run() {
    while (!all_done()) {
      bool progress = false;
      for (int turn = 0; turn < size_; ++turn) {
        const int rank = whose(turn);
        const bool eager = rules_.turns == Turns::eager || rules_.turns == Turns::eager_down;
        while (advance(rank)) {
          progress = true;
          if (!eager) break;
        }
      }
      // A random order may leave somebody out, so only a full round without luck is a deadlock.
      if (!progress && rules_.turns == Turns::random) progress = anybody();
      if (!progress) throw Violation{deadlock()};
    }
    for (const Runner& it : runners_)
      if (!it.wrong.empty()) throw Violation{it.wrong};
  }

  Proof counts() const {
    Proof proof;
    proof.messages = messages_;
    proof.steps = steps_;
    for (const Runner& runner : runners_)
      proof.longest_chain = std::max(proof.longest_chain, runner.chain);
    return proof;
  }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  int wrap(int rank) const { return (rank % size_ + size_) % size_; }
  int to(int rank, const Step& step) const { return step.to == kRing ? wrap(rank + 1) : step.to; }
  int from(int rank, const Step& step) const {
    return step.from == kRing ? wrap(rank - 1) : step.from;
  }

  // What the words are made of. A look at the own input moves nothing.
  static bool sends(const Step& step) {
    return step.send || step.primitive == Primitive::send_input;
  }
  static bool receives(int rank, const Step& step) {
    if (step.primitive == Primitive::wait_input) return step.from != rank;
    return step.primitive == Primitive::exchange_reduce || step.primitive == Primitive::exchange ||
           step.primitive == Primitive::receive;
  }

  // The ring's edges and the mesh's are different channels, also between the same two ranks.
  SymbolChannel& channel(int source, int target, bool ring) {
    return channels_.try_emplace(std::tuple(source, target, ring), source, target, rules_.slots)
        .first->second;
  }
  SymbolChannel& outgoing(int rank, const Step& step) {
    return channel(rank, to(rank, step), step.to == kRing);
  }
  SymbolChannel& incoming(int rank, const Step& step) {
    return channel(from(rank, step), rank, step.from == kRing);
  }

  // --- turns ---
  int whose(int turn) {
    if (rules_.turns == Turns::eager_down) return size_ - 1 - turn;
    if (rules_.turns == Turns::random) return static_cast<int>(random_() % index(size_));
    return turn;
  }

  bool anybody() {
    bool progress = false;
    for (int rank = 0; rank < size_; ++rank) progress |= advance(rank);
    return progress;
  }

  bool all_done() const {
    return std::all_of(runners_.begin(), runners_.end(),
                       [](const Runner& it) { return it.returned; });
  }

  const Step* current(int rank) const {
    const std::size_t next = runners_[index(rank)].next;
    return next < programs_[index(rank)].size() ? &programs_[index(rank)][next] : nullptr;
  }

  // --- one rank's turn: as much of its current step as is possible. True if anything happened. ---
  bool advance(int rank) {
    const Step* step = current(rank);
    if (step == nullptr) return try_return(rank);
    Runner& runner = runners_[index(rank)];
    if (!runner.begun) begin(rank, *step);
    bool progress = false;
    if (!runner.sent && try_send(rank)) progress = true;
    if (!runner.received && may_receive(rank) && try_receive(rank)) progress = true;
    if (runner.sent && runner.received) {
      if (!sends(*step) && !receives(rank, *step)) local(rank, *step);
      ++runner.next;
      runner.begun = false;
      ++steps_;
      progress = true;
    }
    return progress;
  }

  // When all words are said, and all zero-copy messages have been read: what a caller does next to
  // his buffers is his affair.
  bool try_return(int rank) {
    Runner& runner = runners_[index(rank)];
    if (runner.returned || (runner.unread > 0 && !rules_.leave_early)) return false;
    try {
      memories_[index(rank)].check_outputs();
    } catch (const Violation& violation) {
      runner.wrong = violation.why;
    }
    memories_[index(rank)].write_over();
    runner.returned = true;
    return true;
  }

  void begin(int rank, const Step& step) {
    Runner& runner = runners_[index(rank)];
    runner.begun = true;
    runner.sent = !sends(step);
    runner.received = !receives(rank, step);
    runner.chain_before = runner.chain;
    memories_[index(rank)].begin_word();
  }

  void local(int rank, const Step& step) {
    ProofMemory& memory = memories_[index(rank)];
    switch (step.primitive) {
      case Primitive::copy_input:
        return memory.copy_input(step.receive->chunk, step.slice);
      case Primitive::post_op:
        return memory.post_op(*step.receive, step.slice);
      case Primitive::wait_input:
        return memory.look_at_own(step.receive, step.slice);
      case Primitive::reduce_input:
        return memory.reduce_input(step.receive->chunk, step.from, step.order, step.slice);
      default:  // look_away
        for (const int peer : memory.release_inputs()) release(peer, channel(peer, rank, false));
    }
  }

  void release(int source, SymbolChannel& in) {
    if (in.front().owner != nullptr) --runners_[index(source)].unread;
    in.release();
  }

  // As HostExecutor::ref_of: sums that are on their way are not exposed, nor what is about to be
  // covered.
  bool exposes(const Step& step) const {
    if (!rules_.exposes) return false;
    if (step.primitive == Primitive::send_input) return !rules_.in_place || rules_.expose_in_place;
    return step.send->place == Place::input || step.send->place == Place::output;
  }

  bool try_send(int rank) {
    const Step& step = *current(rank);
    if (rules_.slots == 0) return try_hand_over(rank, step);
    if (!rules_.ignore_credit && !outgoing(rank, step).may_send()) return false;
    put(rank, step);
    return true;
  }

  // Rendezvous: only into the hands of a rank that is receiving from this one, over the same edge.
  bool try_hand_over(int rank, const Step& step) {
    const int neighbour = to(rank, step);
    const Step* theirs = current(neighbour);
    if (theirs == nullptr || !receives(neighbour, *theirs)) return false;
    if (from(neighbour, *theirs) != rank || (theirs->from == kRing) != (step.to == kRing))
      return false;
    if (!runners_[index(neighbour)].begun) begin(neighbour, *theirs);
    if (runners_[index(neighbour)].received) return false;
    put(rank, step);
    try_receive(neighbour);
    return true;
  }

  void put(int rank, const Step& step) {
    const ProofMemory& memory = memories_[index(rank)];
    Runner& runner = runners_[index(rank)];
    SymbolMessage message;
    message.chain = runner.chain_before + 1;
    if (step.primitive == Primitive::send_input)
      message.pieces = memory.whole_input();
    else
      message.pieces = {memory.read(*step.send, step.slice, "sends")};
    if (exposes(step)) {
      message.owner = &memory;
      if (step.send) message.place = step.send->place;
      ++runner.unread;
    }
    outgoing(rank, step).put(std::move(message));
    ++messages_;
    runner.sent = true;
  }

  // In order: only after the send, and a sum that goes on needs its place in the right neighbour's
  // slot before it is received.
  bool may_receive(int rank) {
    if (!rules_.in_order) return true;
    return runners_[index(rank)].sent && !lacks_place(rank);
  }
  bool lacks_place(int rank) {
    const Step& step = *current(rank);
    if (!rules_.in_order || !step.receive || step.receive->place != Place::partial) return false;
    return !channel(rank, wrap(rank + 1), true).may_send();
  }

  bool try_receive(int rank) {
    const Step& step = *current(rank);
    SymbolChannel& in = incoming(rank, step);
    if (!in.arrived()) return false;
    Runner& runner = runners_[index(rank)];
    runner.chain = std::max(runner.chain, in.front().chain);
    runner.received = true;
    if (step.primitive == Primitive::wait_input) {
      if (step.receive) check_name(rank, step, in.front().pieces.front());
      memories_[index(rank)].look_at(step.from, in);
      return true;
    }
    const SymbolMessage& front = in.front();
    const Value value = front.pieces.front();
    if (front.owner != nullptr) front.owner->check_exposed({front.place, value.chunk}, value, rank);
    release(from(rank, step), in);
    take(rank, step, value);
    return true;
  }

  void take(int rank, const Step& step, Value value) {
    ProofMemory& memory = memories_[index(rank)];
    check_name(rank, step, value);
    if (step.primitive == Primitive::exchange_reduce) memory.add_own(value, step.slice);
    memory.write(*step.receive, step.slice, value);
  }

  void check_name(int rank, const Step& step, const Value& value) const {
    const int expected = memories_[index(rank)].name_at(*step.receive);
    if (value.chunk != expected || value.slice != step.slice)
      throw Violation{
          text("rank %d expects chunk %d of slice %zu and receives chunk %d of slice %zu", rank,
               expected, step.slice, value.chunk, value.slice)};
  }

  std::string deadlock() {
    return describe_deadlock([&](int rank) {
      const Step* step = current(rank);
      if (step == nullptr) return Wait{.ended = runners_[index(rank)].returned};
      const Runner& runner = runners_[index(rank)];
      if (runner.sent && lacks_place(rank))
        return Wait{.peer = wrap(rank + 1), .for_what = "make room"};
      if (!runner.received && (runner.sent || !rules_.in_order))
        return Wait{.peer = from(rank, *step), .for_what = "send"};
      return Wait{.peer = to(rank, *step), .for_what = rules_.slots == 0 ? "receive" : "make room"};
    });
  }

  const std::vector<Program>& programs_;
  ProofRules rules_;
  int size_;
  std::vector<Runner> runners_;
  std::vector<ProofMemory> memories_;
  std::map<std::tuple<int, int, bool>, SymbolChannel> channels_;  // sender, receiver, on the ring
  std::mt19937_64 random_;
  std::size_t messages_ = 0;
  std::size_t steps_ = 0;
};

}  // namespace

Proof prove(const std::vector<Program>& programs, Specification specification, std::size_t slices,
            const ProofRules& rules) {
  World world(programs, specification, slices, rules);
  std::string why;
  try {
    world.run();
  } catch (const Violation& violation) {
    why = violation.why;
  }
  Proof proof = world.counts();
  proof.holds = why.empty();
  proof.why = std::move(why);
  return proof;
}

}  // namespace ringside
