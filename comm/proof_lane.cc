// A ring of symbols. What is proved and why it suffices is in proof_lane.h.
#include "comm/proof_lane.h"

#include <map>
#include <optional>
#include <random>
#include <tuple>

#include "comm/error.h"
#include "comm/protocol.h"

namespace ringside {
namespace {

// Thrown inside, caught in prove().
struct Refuted {
  std::string why;
};

using Slot = std::optional<Value>;

struct Channel {
  std::vector<Slot> slots;  // engaged: written and not yet read
  std::uint32_t sent = 0;
  std::uint32_t consumed = 0;
  std::uint32_t returned = 0;  // credit that the sender has seen
};

struct Memory {
  std::vector<Slot> input;   // by slice · ranks + chunk
  std::vector<Slot> output;  // not used in place
  Slot carry;
  Slot kept;
};

struct Runner {
  std::size_t next = 0;  // the step it is in
  bool begun = false;
  bool sent = false;
  bool received = false;
  Slot old_carry;  // as it was when the step began: the lane keeps two
};

class World {
 public:
  World(const std::vector<Program>& programs, Claim claim, std::size_t slices,
        const ProofRules& rules)
      : programs_(programs),
        claim_(claim),
        slices_(slices),
        rules_(rules),
        size_(static_cast<int>(programs.size())),
        runners_(programs.size()),
        memories_(programs.size()),
        random_(rules.seed) {
    for (int rank = 0; rank < size_; ++rank) fill(rank);
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
      if (!progress) throw Refuted{deadlock()};
    }
    for (int rank = 0; rank < size_; ++rank) check_outputs(rank);
  }

  std::size_t messages = 0;
  std::size_t steps = 0;

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  int wrap(int rank) const { return (rank % size_ + size_) % size_; }
  int to(int rank, const Step& step) const { return step.to == kRing ? wrap(rank + 1) : step.to; }
  int from(int rank, const Step& step) const {
    return step.from == kRing ? wrap(rank - 1) : step.from;
  }
  // The ring's edges and the mesh's are different channels, also between the same two ranks.
  Channel& channel(int source, int target, bool ring) {
    Channel& it = channels_[{source, target, ring}];
    if (it.slots.empty()) it.slots.resize(index(std::max(1, rules_.slots)));
    return it;
  }
  Channel& outgoing(int rank, const Step& step) {
    return channel(rank, to(rank, step), step.to == kRing);
  }
  Channel& incoming(int rank, const Step& step) {
    return channel(from(rank, step), rank, step.from == kRing);
  }
  std::size_t at(int chunk, std::size_t slice) const { return slice * index(size_) + index(chunk); }

  void fill(int rank) {
    Memory& memory = memories_[index(rank)];
    memory.input.resize(slices_ * index(size_));
    memory.output.resize(slices_ * index(size_));
    for (std::size_t slice = 0; slice < slices_; ++slice)
      for (int chunk = 0; chunk < size_; ++chunk)
        memory.input[at(chunk, slice)] = initial(claim_, rank, chunk, slice, rules_.root);
  }

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
    for (int rank = 0; rank < size_; ++rank)
      if (runners_[index(rank)].next < programs_[index(rank)].size()) return false;
    return true;
  }

  const Step* current(int rank) const {
    const std::size_t next = runners_[index(rank)].next;
    return next < programs_[index(rank)].size() ? &programs_[index(rank)][next] : nullptr;
  }

  // --- memory ---
  Slot& place(int rank, Piece piece, std::size_t slice) {
    Memory& memory = memories_[index(rank)];
    if (piece.place == Place::carry) return memory.carry;
    if (piece.place == Place::kept) return memory.kept;
    if (piece.place == Place::output && !rules_.in_place)
      return memory.output[at(piece.chunk, slice)];
    return memory.input[at(piece.chunk, slice)];
  }

  // Which chunk belongs at this place.
  int name_at(int rank, Piece piece) const {
    return piece.place == Place::output ? belongs(claim_, rank, piece.chunk) : piece.chunk;
  }

  const Value& read(int rank, Piece piece, std::size_t slice, const char* doing) {
    const bool old = piece.place == Place::carry && runners_[index(rank)].old_carry;
    const Slot& slot = old ? runners_[index(rank)].old_carry : place(rank, piece, slice);
    if (!slot)
      throw Refuted{text("rank %d %s chunk %d, which it does not have", rank, doing, piece.chunk)};
    if (slot->chunk != name_at(rank, piece) || slot->slice != slice)
      throw Refuted{
          text("rank %d %s chunk %d of slice %zu, but what it holds there is chunk %d of slice %zu",
               rank, doing, piece.chunk, slice, slot->chunk, slot->slice)};
    return *slot;
  }

  // --- one rank's turn: as much of its current step as is possible. True if anything happened. ---
  bool advance(int rank) {
    const Step* step = current(rank);
    if (step == nullptr) return false;
    Runner& runner = runners_[index(rank)];
    if (!runner.begun) begin(rank, *step);
    bool progress = false;
    if (step->word == Word::finish || step->word == Word::keep) {
      local(rank, *step);
      progress = true;
    } else {
      if (!runner.sent && try_send(rank)) progress = true;
      if (!runner.received && try_receive(rank)) progress = true;
    }
    if (runner.sent && runner.received) {
      runner = Runner{runner.next + 1, false, false, false, std::nullopt};
      ++steps;
      progress = true;
    }
    return progress;
  }

  void begin(int rank, const Step& step) {
    Runner& runner = runners_[index(rank)];
    const bool local_word = step.word == Word::finish || step.word == Word::keep;
    runner.begun = true;
    runner.sent = !step.send;
    runner.received = local_word || !step.receive;
    runner.old_carry = memories_[index(rank)].carry;
  }

  void local(int rank, const Step& step) {
    if (step.word == Word::keep) {
      const Value value = read(rank, {Place::input, step.receive->chunk}, step.slice, "keeps");
      place(rank, *step.receive, step.slice) = value;
      return;
    }
    Value value = read(rank, *step.receive, step.slice, "finishes");
    if (value.finished) throw Refuted{text("rank %d finishes chunk %d twice", rank, value.chunk)};
    value.finished = true;
    place(rank, *step.receive, step.slice) = value;
  }

  bool try_send(int rank) {
    const Step& step = *current(rank);
    if (rules_.slots == 0) return try_hand_over(rank, step);
    const Channel& out = outgoing(rank, step);
    if (!rules_.ignore_credit && !may_send(out.sent, out.returned, rules_.slots)) return false;
    put(rank, step);
    return true;
  }

  // Rendezvous: only into the hands of a rank that is receiving from this one, over the same edge.
  bool try_hand_over(int rank, const Step& step) {
    const int neighbour = to(rank, step);
    const Step* theirs = current(neighbour);
    if (theirs == nullptr || !theirs->receive) return false;
    if (theirs->word == Word::finish || theirs->word == Word::keep) return false;
    if (from(neighbour, *theirs) != rank || (theirs->from == kRing) != (step.to == kRing))
      return false;
    if (!runners_[index(neighbour)].begun) begin(neighbour, *theirs);
    if (runners_[index(neighbour)].received) return false;
    put(rank, step);
    try_receive(neighbour);
    return true;
  }

  void put(int rank, const Step& step) {
    const Value value = read(rank, *step.send, step.slice, "sends");
    Channel& out = outgoing(rank, step);
    Slot& slot = out.slots[index(slot_of(out.sent + 1, static_cast<int>(out.slots.size())))];
    if (slot)
      throw Refuted{text("rank %d overwrites a slot of rank %d that still holds chunk %d, unread",
                         rank, to(rank, step), slot->chunk)};
    slot = value;
    ++out.sent;
    ++messages;
    runners_[index(rank)].sent = true;
  }

  bool try_receive(int rank) {
    const Step& step = *current(rank);
    Channel& in = incoming(rank, step);
    if (in.sent == in.consumed) return false;
    const int slots = static_cast<int>(in.slots.size());
    Slot& slot = in.slots[index(slot_of(in.consumed + 1, slots))];
    if (!slot) throw Refuted{text("rank %d reads an empty slot", rank)};
    Value value = *slot;
    slot.reset();
    ++in.consumed;
    if (credit_due(in.consumed, slots)) in.returned = in.consumed;
    const int expected = name_at(rank, *step.receive);
    if (value.chunk != expected || value.slice != step.slice)
      throw Refuted{text("rank %d expects chunk %d of slice %zu and receives chunk %d of slice %zu",
                         rank, expected, step.slice, value.chunk, value.slice)};
    if (step.word == Word::exchange_reduce) {
      const Value& own = read(rank, {Place::input, value.chunk}, step.slice, "adds its");
      value.fold.insert(value.fold.end(), own.fold.begin(), own.fold.end());
    }
    place(rank, *step.receive, step.slice) = value;
    runners_[index(rank)].received = true;
    return true;
  }

  // --- the end ---
  void check_outputs(int rank) {
    for (std::size_t slice = 0; slice < slices_; ++slice)
      for (int chunk = 0; chunk < size_; ++chunk) {
        const Slot wanted = promised(claim_, rank, chunk, slice, rules_.root, size_);
        if (!wanted) continue;
        const Value& value = read(rank, {Place::output, chunk}, slice, "should hold");
        if (value.fold != wanted->fold)
          throw Refuted{text("rank %d ends with chunk %d folded as %s; %s was promised", rank,
                             chunk, words(value.fold).c_str(), words(wanted->fold).c_str())};
        if (value.finished != wanted->finished)
          throw Refuted{
              text("rank %d ends with chunk %d %s", rank, chunk,
                   wanted->finished ? "not finished" : "finished, though nothing was reduced")};
      }
  }

  // Follows who waits for whom until a rank comes up again: that is the circle.
  std::string deadlock() const {
    std::string sentence = "deadlock:";
    std::vector<bool> seen(index(size_));
    int rank = 0;
    while (current(rank) == nullptr) ++rank;
    while (!seen[index(rank)]) {
      seen[index(rank)] = true;
      const Runner& runner = runners_[index(rank)];
      if (current(rank) == nullptr) return sentence + text(", which has ended");
      const bool for_left = !runner.received;
      const int next = for_left ? from(rank, *current(rank)) : to(rank, *current(rank));
      const char* join = sentence.back() == ':' ? "" : (seen[index(next)] ? ", and" : ",");
      const char* for_what = for_left ? "send" : (rules_.slots == 0 ? "receive" : "make room");
      sentence += text("%s rank %d waits for rank %d to %s", join, rank, next, for_what);
      rank = next;
    }
    return sentence;
  }

  const std::vector<Program>& programs_;
  Claim claim_;
  std::size_t slices_;
  ProofRules rules_;
  int size_;
  std::vector<Runner> runners_;
  std::vector<Memory> memories_;
  std::map<std::tuple<int, int, bool>, Channel> channels_;  // by sender, receiver, ring or mesh
  std::mt19937_64 random_;
};

}  // namespace

Proof prove(const std::vector<Program>& programs, Claim claim, std::size_t slices,
            const ProofRules& rules) {
  World world(programs, claim, slices, rules);
  Proof proof;
  try {
    world.run();
    proof.holds = true;
  } catch (const Refuted& refuted) {
    proof.why = refuted.why;
  }
  proof.messages = world.messages;
  proof.steps = world.steps;
  return proof;
}

}  // namespace ringside
