// A world of symbols: the turns, the steps and the wait cycles. What is proved, and why it
// suffices, is in prove.h; memory and channels are in symbol_memory.h and symbol_channel.h.
#include "comm/verify/prove.h"

#include <algorithm>
#include <map>
#include <random>
#include <tuple>
#include <utility>

#include "comm/algorithms/step.h"
#include "comm/error.h"
#include "comm/util/wait_graph.h"
#include "comm/verify/symbol_channel.h"
#include "comm/verify/symbol_memory.h"

namespace ringside {
namespace {

struct Runner {
  std::size_t next = 0;  // the step it is in
  bool begun = false;
  StepState state{};
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
  World(const std::vector<Program>& programs, Kind kind, std::size_t slices,
        const ProofRules& rules)
      : programs_(programs),
        rules_(rules),
        size_(static_cast<int>(programs.size())),
        runners_(programs.size()),
        random_(rules.seed) {
    for (int rank = 0; rank < size_; ++rank)
      memories_.emplace_back(kind, rank, size_, slices, rules);
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
  // The ring's edges and the mesh's are different channels, also between the same two ranks.
  SymbolChannel& channel(int source, int target, Connection connection) {
    return channels_
        .try_emplace(std::tuple(source, target, connection), source, target, rules_.slots)
        .first->second;
  }
  SymbolChannel& outgoing(int rank, const Step& step) {
    return channel(rank, step.to.rank, step.to.connection);
  }
  SymbolChannel& incoming(int rank, const Step& step) {
    return channel(step.from.rank, rank, step.from.connection);
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
    for (Half half; (half = next(rank)) != Half::none; progress = true) carry_out(rank, half);
    if (!runner.state.done()) return progress;
    if (!step->sends() && !step->receives(rank)) local(rank, *step);
    ++runner.next;
    runner.begun = false;
    ++steps_;
    return true;
  }

  Half next(int rank) {
    struct Channels {
      World& world;
      int rank;
      const Step& step;
      bool may_send() { return world.may_send(rank, step); }
      bool arrived() { return world.incoming(rank, step).arrived(); }
      bool has_place() { return !world.lacks_place(rank); }
    };
    const StepState& state = runners_[index(rank)].state;
    Channels channels{*this, rank, *current(rank)};
    return rules_.in_order ? next_half_in_order(state, channels) : next_half(state, channels);
  }

  void carry_out(int rank, Half half) {
    Runner& runner = runners_[index(rank)];
    const Step& step = *current(rank);
    if (half == Half::receive) {
      receive(rank, step);
      runner.state.received = true;
      return;
    }
    put(rank, step);
    runner.state.sent = true;
    if (rules_.slots == 0) carry_out(step.to.rank, Half::receive);  // into its hands
  }

  // When all primitives are done, and all zero-copy messages have been read: from then on the
  // buffers are the caller's.
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
    runner.state = {!step.sends(), !step.receives(rank)};
    runner.chain_before = runner.chain;
    memories_[index(rank)].begin_step();
  }

  void local(int rank, const Step& step) {
    ProofMemory& memory = memories_[index(rank)];
    switch (step.primitive) {
      case Primitive::copy_input:
        return memory.copy_input(step.receive->chunk, step.slice);
      case Primitive::post_op:
        return memory.post_op(*step.receive, step.slice);
      case Primitive::wait_input:
        return memory.wait_own_input(step.receive, step.slice);
      case Primitive::reduce_input:
        return memory.reduce_input(step.receive->chunk, step.from.rank, step.order, step.slice);
      default:  // release_inputs
        for (const int peer : memory.release_inputs())
          release(peer, channel(peer, rank, Connection::mesh));
    }
  }

  void release(int source, SymbolChannel& in) {
    if (in.front().owner != nullptr) --runners_[index(source)].unread;
    in.release();
  }

  bool exposes(const Step& step) const {
    const bool in_place = rules_.in_place && !rules_.expose_in_place;
    return rules_.exposes &&
           is_exposable(step.send.value_or(Piece{Place::input, kWholeInput}), in_place);
  }

  bool may_send(int rank, const Step& step) {
    if (rules_.slots == 0) return may_hand_over(rank, step);
    return rules_.ignore_credit || outgoing(rank, step).may_send();
  }

  // Rendezvous: only into the hands of a rank that is receiving from this one, over the same
  // channel.
  bool may_hand_over(int rank, const Step& step) {
    const int peer = step.to.rank;
    const Step* theirs = current(peer);
    if (theirs == nullptr || !theirs->receives(peer)) return false;
    if (theirs->from.rank != rank || theirs->from.connection != step.to.connection) return false;
    if (!runners_[index(peer)].begun) begin(peer, *theirs);
    return !runners_[index(peer)].state.received;
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
  }

  // A partial sum that is received needs its place in the slot of the peer that it goes on to.
  bool lacks_place(int rank) {
    const Step& step = *current(rank);
    if (!rules_.in_order || !step.receive || step.receive->place != Place::partial) return false;
    return !outgoing(rank, step).may_send();
  }

  void receive(int rank, const Step& step) {
    SymbolChannel& in = incoming(rank, step);
    Runner& runner = runners_[index(rank)];
    runner.chain = std::max(runner.chain, in.front().chain);
    if (step.primitive == Primitive::wait_input) {
      if (step.receive) check_name(rank, step, in.front().pieces.front());
      return memories_[index(rank)].wait_input(step.from.rank, in);
    }
    const SymbolMessage& front = in.front();
    const Value value = front.pieces.front();
    if (front.owner != nullptr) front.owner->check_exposed({front.place, value.chunk}, value, rank);
    release(step.from.rank, in);
    take(rank, step, value);
  }

  void take(int rank, const Step& step, Value value) {
    ProofMemory& memory = memories_[index(rank)];
    check_name(rank, step, value);
    if (step.primitive == Primitive::exchange_reduce) memory.add_own(value, step.own, step.slice);
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
      const StepState& state = runners_[index(rank)].state;
      const bool sends_first = rules_.in_order && (!state.sent || lacks_place(rank));
      if (!sends_first && awaited_half(state) == Half::receive)
        return Wait{.peer = step->from.rank, .for_what = "send"};
      return Wait{.peer = step->to.rank, .for_what = rules_.slots == 0 ? "receive" : "make room"};
    });
  }

  const std::vector<Program>& programs_;
  ProofRules rules_;
  int size_;
  std::vector<Runner> runners_;
  std::vector<ProofMemory> memories_;
  std::map<std::tuple<int, int, Connection>, SymbolChannel> channels_;  // by sender, receiver
  std::mt19937_64 random_;
  std::size_t messages_ = 0;
  std::size_t steps_ = 0;
};

}  // namespace

Proof prove(const std::vector<Program>& programs, Kind kind, std::size_t slices,
            const ProofRules& rules) {
  World world(programs, kind, slices, rules);
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
