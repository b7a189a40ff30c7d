// Ranks that work through their programs as HostLane::step does: send as soon as there is room,
// meanwhile take what has come.
#include "comm/model_world.h"

#include <algorithm>

#include "comm/circle.h"
#include "comm/error.h"
#include "comm/operation.h"

namespace ringside::model {
namespace {

constexpr std::size_t kMostTasks = 64;

// Two calls that are alike have different marks, as those of a communicator do.
std::vector<std::uint32_t> marks(std::size_t calls) {
  std::vector<std::uint32_t> marks;
  std::uint32_t chain = 0;
  for (std::size_t i = 0; i < calls; ++i)
    marks.push_back(chain = chained(chain, fingerprint(Operation{})));
  return marks;
}

void check(const std::vector<std::vector<Program>>& operations, const ModelRules& rules) {
  const std::size_t ranks = operations.empty() ? 0 : operations.front().size();
  const bool alike = std::all_of(operations.begin(), operations.end(),
                                 [&](const auto& programs) { return programs.size() == ranks; });
  if (ranks < 2 || ranks > kModelRanks || !alike)
    throw Error(Fault::usage, text("the model has operations of 2 to %d ranks", kModelRanks));
  if (rules.slots < 1 || rules.slots > kModelSlots)
    throw Error(Fault::usage, text("the model has 1 to %d slots, not %d", kModelSlots, rules.slots));
}

}  // namespace

World::World(const std::vector<std::vector<Program>>& operations, const ModelRules& rules)
    : rules_(rules),
      size_((check(operations, rules), static_cast<int>(operations.front().size()))),
      tasks_(operations.front().size()),
      channel_(rules, marks(operations.size())) {
  for (std::size_t call = 0; call < operations.size(); ++call)
    for (std::size_t rank = 0; rank < tasks_.size(); ++rank)
      for (const Step& step : operations[call][rank])
        add_task(tasks_[rank], step, static_cast<Byte>(call + 1));
}

// finish and keep touch this rank's own memory only: nobody else can tell when.
void World::add_task(std::vector<Task>& tasks, const Step& step, Byte call) {
  if (step.word == Word::finish || step.word == Word::keep) return;
  const bool of_the_ring = step.word == Word::exchange_reduce || step.word == Word::exchange ||
                           step.word == Word::send || step.word == Word::receive;
  if (!of_the_ring || step.to != kRing || step.from != kRing || tasks.size() == kMostTasks)
    throw Error(Fault::usage, text("the model has %zu words of the ring, and no others", kMostTasks));
  Task task{step.send.has_value(), step.receive.has_value(), false, call, 1, 1};
  task.may_fuse = rules_.fusing && !rules_.in_cells && step.word == Word::exchange_reduce &&
                  step.receive->place == Place::carry;
  for (const Task& earlier : tasks) {
    task.send_message += earlier.sends;
    task.receive_message += earlier.receives;
  }
  tasks.push_back(task);
}

WorldState World::start() {
  WorldState state;
  for (int rank = 0; rank < size_; ++rank) advance(state, rank);
  return state;
}

const World::Task* World::task(const WorldState& state, int rank) const {
  const std::size_t step = state.ranks[at(rank)].step;
  return step < tasks_[at(rank)].size() ? &tasks_[at(rank)][step] : nullptr;
}

Channel& World::channel(WorldState& state, int index) {
  channel_.set(state.channels[at(index)]);
  return channel_;
}

// --- what is possible ---

bool World::may_send(WorldState& state, int rank) {
  const Task* now = task(state, rank);
  return now != nullptr && now->sends && !state.ranks[at(rank)].sent &&
         channel(state, rank).may_send();
}

// The sum goes straight into the next slot only if the piece before it is out.
bool World::may_fuse(WorldState& state, int rank) {
  const RankState& it = state.ranks[at(rank)];
  return task(state, rank)->may_fuse && it.sent && !it.stored && channel(state, rank).may_send();
}

std::vector<Move> World::moves(WorldState& state) {
  std::vector<Move> moves;
  const auto add = [&](Move::Kind kind, int who, int index = 0) {
    moves.push_back({kind, static_cast<Byte>(who), static_cast<Byte>(index)});
  };
  for (int r = 0; r < size_; ++r) {
    const RankState& it = state.ranks[at(r)];
    if (const Task* now = task(state, r)) {
      if (may_send(state, r)) add(Move::send, r);
      if (it.reading) {
        add(Move::finish, r);
      } else if (now->receives && !it.received &&
                 channel(state, left_of(r)).may_take(now->call)) {
        add(Move::take, r);
        if (may_fuse(state, r)) add(Move::take_fusing, r);
      }
    }
    Channel& out = channel(state, r);
    for (int i = 0; i < kMostPending; ++i)
      if (out.may_deliver(i)) add(Move::deliver, r, i);
    if (out.may_deliver_credit()) add(Move::deliver_credit, r);
  }
  return moves;
}

// --- what happens ---

void World::advance(WorldState& state, int rank) const {
  RankState& it = state.ranks[at(rank)];
  const Task* now = task(state, rank);
  if (now == nullptr) return;
  if ((now->sends && !it.sent) || (now->receives && !it.received)) return;
  ++it.step;
  it.sent = it.reading = it.received = false;
}

std::string World::take(WorldState& state, int rank, bool fusing) {
  const Task& now = *task(state, rank);
  std::string wrong = channel(state, left_of(rank)).take(now.call, now.receive_message);
  if (!wrong.empty()) return wrong;
  state.ranks[at(rank)].reading = true;
  if (fusing) {
    channel(state, rank).store();
    state.ranks[at(rank)].stored = true;
  }
  return {};
}

std::string World::apply(WorldState& state, Move move) {
  const int who = move.who;
  RankState& it = state.ranks[at(who)];
  switch (move.kind) {
    case Move::send:
      channel(state, who).send(task(state, who)->call, it.stored);
      it.sent = true;
      it.stored = false;
      advance(state, who);
      return {};
    case Move::take:
    case Move::take_fusing:
      return take(state, who, move.kind == Move::take_fusing);
    case Move::finish:
      channel(state, left_of(who)).finish(task(state, who)->receive_message);
      it.reading = false;
      it.received = true;
      advance(state, who);
      return {};
    case Move::deliver:
      return channel(state, who).deliver(move.index);
    case Move::deliver_credit:
      return channel(state, who).deliver_credit();
  }
  return {};
}

// --- the end ---

bool World::all_ended(const WorldState& state) const {
  for (int rank = 0; rank < size_; ++rank)
    if (task(state, rank) != nullptr) return false;
  return true;
}

std::string World::left_over(WorldState& state) {
  for (int rank = 0; rank < size_; ++rank)
    if (!channel(state, rank).is_quiet())
      return text("all ranks have ended, and the channel from rank %d to rank %d is not empty",
                  rank, right_of(rank));
  return {};
}

std::string World::deadlock(const WorldState& state) const {
  return circle_of_waits(size_, [&](int rank) {
    const Task* now = task(state, rank);
    if (now == nullptr) return Wait{.ended = true};
    if (now->receives && !state.ranks[at(rank)].received)
      return Wait{.peer = left_of(rank), .for_what = "send"};
    return Wait{.peer = right_of(rank), .for_what = "make room"};
  });
}

// --- in words ---

std::string World::place(int channel, int index) const {
  return text("%s %d of rank %d", rules_.in_cells ? "cell" : "slot", index, right_of(channel));
}

std::string World::describe(const WorldState& state, Move move, const std::string& wrong) const {
  const int who = move.who;
  const ChannelState& out = state.channels[at(who)];
  if (move.kind == Move::deliver) {
    const Pending& it = out.pending[move.index];
    if (it.effect == Effect::signal)
      return text("rank %d can see the flag of message %d", right_of(who), it.message);
    if (it.effect == Effect::writing)
      return text("message %d lies whole in %s", it.message, place(who, it.slot).c_str());
    if (!wrong.empty()) 
      return text("rank %d writes message %d into %s %s of rank %d", who, it.message,
                  rules_.in_cells ? "cell" : "slot", wrong.c_str(), right_of(who));
    return text("message %d begins to appear in %s", it.message, place(who, it.slot).c_str());
  }
  if (move.kind == Move::deliver_credit)
    return wrong.empty() ? text("rank %d can see credit for %d", who, out.credits[0])
                         : text("rank %d %s", who, wrong.c_str());
  const Task& now = *task(state, who);
  const int slot = slot_of(static_cast<std::uint64_t>(now.receive_message), rules_.slots);
  switch (move.kind) {
    case Move::send:
      return text("rank %d sends message %d (to %s)", who, now.send_message,
                  place(who, out.send_slot).c_str());
    case Move::finish:
      return text("rank %d has read message %d to its end", who, now.receive_message);
    default:
      if (!wrong.empty()) return text("rank %d %s", who, wrong.c_str());
      return text("rank %d sees the flag of message %d and begins to read %s %d", who,
                  now.receive_message, rules_.in_cells ? "cell" : "slot", slot) +
             (move.kind == Move::take_fusing ? ", adding straight into the next rank's slot" : "");
  }
}

}  // namespace ringside::model
