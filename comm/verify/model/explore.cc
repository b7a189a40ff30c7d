// The ranks of a small world, and the search: breadth first through all of its states. Nothing is
// hashed away: two states are taken for one only if they are equal.
#include "comm/verify/model/explore.h"

#include <functional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "comm/algorithms/step.h"
#include "comm/util/wait_graph.h"
#include "comm/verify/model/channel.h"

namespace ringside {
namespace model {
namespace {

using Operations = std::vector<std::vector<Program>>;

constexpr std::size_t kMostStates = std::size_t{1} << 20;
constexpr std::size_t kMostSteps = 64;

constexpr std::size_t at(int index) { return static_cast<std::size_t>(index); }

struct RankState {
  Byte step;      // in its program
  bool sent;      // its half of the step is done
  bool reading;   // it has begun to read the message
  bool received;  // it has read it
  bool stored;    // the next message has been stored straight into its slot
  bool operator==(const RankState&) const = default;
};

// Channel r leads from rank r to its right neighbour.
struct WorldState {
  std::array<ChannelState, kModelRanks> channels{};
  std::array<RankState, kModelRanks> ranks{};
  bool operator==(const WorldState&) const = default;
};
static_assert(std::has_unique_object_representations_v<WorldState>);

// One step: of a rank at an end of the channel, or of the transport.
struct Move {
  enum Kind : Byte { send, take, take_fusing, finish, take_effect, see_credit } kind;
  Byte channel;
  Byte index;  // of the effect
};

void check(const Operations& operations, const ModelRules& rules) {
  for (const std::vector<Program>& programs : operations)
    if (programs.size() < 2 || programs.size() > at(kModelRanks) ||
        programs.size() != operations.front().size())
      throw Error(Fault::usage, text("the model has operations of 2 to %d ranks", kModelRanks));
  if (operations.empty()) throw Error(Fault::usage, "the model has at least one operation");
  if (rules.slots < 1 || rules.slots > kModelSlots)
    throw Error(Fault::usage,
                text("the model has 1 to %d slots, not %d", kModelSlots, rules.slots));
}

class World {
 public:
  World(const Operations& operations, const ModelRules& rules) : rules_(rules) {
    check(operations, rules);
    size_ = static_cast<int>(operations.front().size());
    tasks_.resize(at(size_));
    for (std::size_t call = 0; call < operations.size(); ++call)
      for (std::size_t rank = 0; rank < tasks_.size(); ++rank)
        for (const Step& step : operations[call][rank])
          add_task(tasks_[rank], step, static_cast<int>(call) + 1);
  }

  WorldState start() const {
    WorldState state;
    for (int rank = 0; rank < size_; ++rank) begin_step(state, rank, 0);
    return state;
  }

  void find_moves(const WorldState& state, std::vector<Move>& moves) const;
  // Throws Harm. `line` is null, or is told what the step does.
  void take(WorldState& state, Move move, std::string* line = nullptr) const;
  // Where no step is possible: throws Harm if that is wrong.
  void check_end(const WorldState& state) const;

 private:
  // What of a recorded primitive matters here.
  struct Task {
    bool sends;
    bool receives;
    bool may_fuse;  // the sum may be stored straight into the next slot
    int call;
  };

  int left_of(int rank) const { return rank == 0 ? size_ - 1 : rank - 1; }
  int right_of(int rank) const { return rank == size_ - 1 ? 0 : rank + 1; }
  void add_task(std::vector<Task>& tasks, const Step& step, int call) const;
  const Task* task(const WorldState& state, int rank) const {
    const std::size_t step = state.ranks[at(rank)].step;
    return step < tasks_[at(rank)].size() ? &tasks_[at(rank)][step] : nullptr;
  }
  void begin_step(WorldState& state, int rank, Byte step) const {
    RankState& it = state.ranks[at(rank)];
    it.step = step;
    const Task* now = task(state, rank);
    it.sent = now != nullptr && !now->sends;
    it.received = now != nullptr && !now->receives;
  }
  Channel channel(const WorldState& state, int source) const {
    return Channel(rules_, source, right_of(source), state.channels[at(source)]);
  }

  ModelRules rules_;
  int size_ = 0;
  std::vector<std::vector<Task>> tasks_;
};

// post_op and copy_input touch this rank's own memory only: no other rank can tell when.
void World::add_task(std::vector<Task>& tasks, const Step& step, int call) const {
  if (step.primitive == Primitive::post_op || step.primitive == Primitive::copy_input) return;
  const bool is_ring =
      (step.primitive == Primitive::exchange_reduce || step.primitive == Primitive::exchange ||
       step.primitive == Primitive::send || step.primitive == Primitive::receive) &&
      (!step.send || step.to.connection == Connection::ring) &&
      (!step.receive || step.from.connection == Connection::ring);
  if (!is_ring) throw Error(Fault::usage, "the model knows the ring's primitives only");
  if (tasks.size() == kMostSteps)
    throw Error(Fault::usage, text("the model has programs of up to %zu steps", kMostSteps));
  const bool may_fuse = !rules_.in_cells && step.primitive == Primitive::exchange_reduce &&
                        step.receive->place == Place::partial;
  tasks.push_back({step.send.has_value(), step.receive.has_value(), may_fuse, call});
}

void World::find_moves(const WorldState& state, std::vector<Move>& moves) const {
  moves.clear();
  for (int rank = 0; rank < size_; ++rank) {
    const int left = left_of(rank);
    Channel out = channel(state, rank), in = channel(state, left);
    const auto add = [&](Move::Kind kind, int source, int index = 0) {
      moves.push_back({kind, static_cast<Byte>(source), static_cast<Byte>(index)});
    };
    const ChannelState& from_here = state.channels[at(rank)];
    const RankState& it = state.ranks[at(rank)];
    if (const Task* now = task(state, rank); now != nullptr && it.reading) {
      add(Move::finish, left);
    } else if (now != nullptr) {
      struct Looks {
        bool has_room;
        Channel& in;
        int call;
        bool may_send() const { return has_room; }
        bool arrived() { return in.arrived(call); }
      };
      const auto next = [&](bool has_room) {
        return next_half({it.sent, it.received}, Looks{has_room, in, now->call});
      };
      const bool has_room = out.may_send();
      if (next(has_room) == Half::send) add(Move::send, rank);
      // It may have looked for room before the credit came. Then it takes what has arrived, and
      // whether it fuses depends on whether it has seen the credit by then; so both are tried.
      if (next(false) == Half::receive) {
        add(Move::take, left);
        if (now->may_fuse && it.sent && has_room) add(Move::take_fusing, left);
      }
    }
    for (int i = 0; i < from_here.effects.count; ++i)
      if (out.may_take_effect(i)) add(Move::take_effect, rank, i);
    if (from_here.credits.count > 0) add(Move::see_credit, rank);
  }
}

void World::take(WorldState& state, Move move, std::string* line) const {
  const bool reads =
      move.kind == Move::take || move.kind == Move::take_fusing || move.kind == Move::finish;
  const int rank = reads ? right_of(move.channel) : move.channel;
  const auto on = [&](int source, auto&& step) {
    Channel channel = this->channel(state, source);
    step(channel);
    state.channels[at(source)] = channel.state();
  };
  RankState& it = state.ranks[at(rank)];
  on(move.channel, [&](Channel& channel) {
    switch (move.kind) {
      case Move::send:
        channel.send(task(state, rank)->call, it.stored, line);
        it.sent = true;
        it.stored = false;
        return;
      case Move::take:
      case Move::take_fusing:
        channel.take(task(state, rank)->call, line);
        it.reading = true;
        return;
      case Move::finish:
        channel.finish(line);
        it.reading = false;
        it.received = true;
        return;
      case Move::take_effect:
        return channel.take_effect(move.index, line);
      case Move::see_credit:
        return channel.see_credit(line);
    }
  });
  if (move.kind == Move::take_fusing) {
    on(rank, [](Channel& channel) { channel.store(); });
    it.stored = true;
    if (line) *line += ", adding into the next rank's slot";
  }
  if (it.sent && it.received) begin_step(state, rank, static_cast<Byte>(it.step + 1));
}

void World::check_end(const WorldState& state) const {
  bool all_ended = true;
  for (int rank = 0; rank < size_; ++rank) all_ended &= task(state, rank) == nullptr;
  if (!all_ended)
    throw Harm{describe_deadlock([&](int rank) {
      const RankState& it = state.ranks[at(rank)];
      if (task(state, rank) == nullptr) return Wait{.ended = true};
      if (awaited_half({it.sent, it.received}) == Half::receive)
        return Wait{.peer = left_of(rank), .for_what = "send"};
      return Wait{.peer = right_of(rank), .for_what = "make room"};
    })};
  for (int rank = 0; rank < size_; ++rank)
    if (!channel(state, rank).is_empty())
      throw Harm{text("all ranks have ended, and the channel from rank %d to rank %d is not empty",
                      rank, right_of(rank))};
}

struct Hash {
  std::size_t operator()(const WorldState& state) const {
    return std::hash<std::string_view>()({reinterpret_cast<const char*>(&state), sizeof state});
  }
};

class Search {
 public:
  Search(const Operations& operations, const ModelRules& rules) : world_(operations, rules) {}

  Exploration run() {
    add(world_.start(), {});
    for (std::size_t i = 0; i < queue_.size() && found_.why.empty(); ++i) visit(*queue_[i]);
    found_.states = seen_.size();
    found_.holds = found_.why.empty();
    return std::move(found_);
  }

 private:
  // How a state was reached first.
  struct Way {
    const WorldState* from;  // null: it is the start
    Move move;
  };

  void add(const WorldState& state, Way way) {
    const auto [at, is_new] = seen_.try_emplace(state, way);
    if (is_new) queue_.push_back(&at->first);
    if (seen_.size() > kMostStates)
      throw Error(Fault::usage, text("the model has more than %zu states here", kMostStates));
  }

  void visit(const WorldState& state) {
    world_.find_moves(state, moves_);
    try {
      if (moves_.empty()) world_.check_end(state);
    } catch (const Harm& harm) {
      return report(state, harm);
    }
    for (const Move move : moves_) {
      ++found_.steps;
      WorldState next = state;
      try {
        world_.take(next, move);
      } catch (const Harm& harm) {
        return report(state, harm);
      }
      add(next, {&state, move});
    }
  }

  // The way to the state is walked again from the start, to be described.
  void report(const WorldState& last, const Harm& harm) {
    std::vector<Move> way;
    for (Way at = seen_.at(last); at.from != nullptr; at = seen_.at(*at.from))
      way.push_back(at.move);
    WorldState state = world_.start();
    for (auto move = way.rbegin(); move != way.rend(); ++move)
      world_.take(state, *move, &found_.lesson.emplace_back());
    found_.lesson.push_back(found_.why = harm.why);
  }

  World world_;
  std::unordered_map<WorldState, Way, Hash> seen_;  // its keys stay where they are
  std::vector<const WorldState*> queue_;
  std::vector<Move> moves_;
  Exploration found_;
};

}  // namespace
}  // namespace model

Exploration explore(const std::vector<std::vector<Program>>& operations, const ModelRules& rules) {
  return model::Search(operations, rules).run();
}

}  // namespace ringside
