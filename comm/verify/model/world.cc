// Ranks that work through their programs as HostExecutor::step does: send as soon as there is room,
// meanwhile take what has come.
#include "comm/verify/model/world.h"

#include <algorithm>

#include "comm/algorithms/operation.h"
#include "comm/error.h"
#include "comm/util/wait_graph.h"

namespace ringside::model {
namespace {

constexpr std::size_t kMostTasks = 64;

using Operations = std::vector<std::vector<Program>>;

// Two calls that are alike have different marks, as those of a communicator do.
std::vector<std::uint32_t> marks(std::size_t calls) {
  std::vector<std::uint32_t> marks;
  std::uint32_t chain = 0;
  for (std::size_t i = 0; i < calls; ++i)
    marks.push_back(chain = chained(chain, fingerprint(Operation{})));
  return marks;
}

const Operations& checked(const Operations& operations, const ModelRules& rules) {
  if (operations.empty() || operations.size() > static_cast<std::size_t>(kModelCalls))
    throw Error(Fault::usage, text("the model has 1 to %d operations", kModelCalls));
  for (const std::vector<Program>& programs : operations)
    if (programs.size() < 2 || programs.size() > static_cast<std::size_t>(kModelRanks) ||
        programs.size() != operations.front().size())
      throw Error(Fault::usage, text("the model has operations of 2 to %d ranks", kModelRanks));
  if (rules.slots < 1 || rules.slots > kModelSlots)
    throw Error(Fault::usage,
                text("the model has 1 to %d slots, not %d", kModelSlots, rules.slots));
  return operations;
}

}  // namespace

World::World(const Operations& operations, const ModelRules& rules)
    : rules_(rules),
      size_(static_cast<int>(checked(operations, rules).front().size())),
      tasks_(at(size_)),
      channel_(rules, marks(operations.size())) {
  for (std::size_t call = 0; call < operations.size(); ++call)
    for (std::size_t rank = 0; rank < tasks_.size(); ++rank)
      for (const Step& step : operations[call][rank])
        add_task(tasks_[rank], step, static_cast<Byte>(call + 1));
}

// post_op and copy_input touch this rank's own memory only: no other rank can tell when.
void World::add_task(std::vector<Task>& tasks, const Step& step, Byte call) const {
  if (step.primitive == Primitive::post_op || step.primitive == Primitive::copy_input) return;
  const bool is_ring =
      (step.primitive == Primitive::exchange_reduce || step.primitive == Primitive::exchange ||
       step.primitive == Primitive::send || step.primitive == Primitive::receive) &&
      (!step.send || step.to.connection == Connection::ring) &&
      (!step.receive || step.from.connection == Connection::ring);
  if (!is_ring) throw Error(Fault::usage, "the model knows the ring's primitives only");
  if (tasks.size() == kMostTasks)
    throw Error(Fault::usage, text("the model has programs of up to %zu words", kMostTasks));
  const bool may_fuse = rules_.fusing && !rules_.in_cells &&
                        step.primitive == Primitive::exchange_reduce &&
                        step.receive->place == Place::partial;
  tasks.push_back({step.send.has_value(), step.receive.has_value(), may_fuse, call});
}

const World::Task* World::task(const WorldState& state, int rank) const {
  const std::size_t step = state.ranks[at(rank)].step;
  return step < tasks_[at(rank)].size() ? &tasks_[at(rank)][step] : nullptr;
}

// --- what is possible ---

Event World::send_event(const WorldState& state, int rank) const {
  return {state.ranks[at(rank)].stored ? Event::publish : Event::send, task(state, rank)->call};
}

bool World::can_send(const WorldState& state, int rank) {
  const Task* now = task(state, rank);
  return now != nullptr && now->sends && !state.ranks[at(rank)].sent &&
         can(state, rank, send_event(state, rank));
}

// The sum goes straight into the next slot only if the piece before it is out.
bool World::can_fuse(const WorldState& state, int rank) {
  return task(state, rank)->may_fuse && state.ranks[at(rank)].sent &&
         can(state, rank, {Event::store});
}

void World::find_moves(const WorldState& state, std::vector<Move>& moves) {
  moves.clear();
  for (int r = 0; r < size_; ++r) {
    const auto add = [&](Move::Kind kind, int index = 0) {
      moves.push_back({kind, static_cast<Byte>(r), static_cast<Byte>(index)});
    };
    const RankState& it = state.ranks[at(r)];
    if (can_send(state, r)) add(Move::send);
    if (const Task* now = task(state, r)) {
      if (it.reading) {
        add(Move::finish);
      } else if (now->receives && !it.received &&
                 can(state, left_of(r), {Event::take, now->call})) {
        // Whether it fuses depends on what it knew when it looked for room; so both are tried.
        add(Move::take);
        if (can_fuse(state, r)) add(Move::take_fusing);
      }
    }
    const int pending = state.channels[at(r)].pending_count;
    for (int i = 0; i < pending; ++i)
      if (can(state, r, {Event::deliver, static_cast<Byte>(i)})) add(Move::deliver, i);
    if (can(state, r, {Event::deliver_credit})) add(Move::deliver_credit);
  }
}

// --- what happens ---

int World::channel_of(Move move) const {
  const bool reads =
      move.kind == Move::take || move.kind == Move::take_fusing || move.kind == Move::finish;
  return reads ? left_of(move.who) : move.who;
}

Event World::event_of(const WorldState& state, Move move) const {
  switch (move.kind) {
    case Move::send:
      return send_event(state, move.who);
    case Move::take:
    case Move::take_fusing:
      return {Event::take, task(state, move.who)->call};
    case Move::finish:
      return {Event::finish};
    case Move::deliver:
      return {Event::deliver, move.index};
    default:
      return {Event::deliver_credit};
  }
}

bool World::apply(WorldState& state, Move move) {
  const Event event = event_of(state, move);
  if (!channel_.apply(state.channels[at(channel_of(move))], event).empty()) return false;
  RankState& it = state.ranks[move.who];
  if (move.kind == Move::send) {
    it.sent = true;
    it.stored = false;
  } else if (move.kind == Move::finish) {
    it.reading = false;
    it.received = true;
  } else if (move.kind == Move::take || move.kind == Move::take_fusing) {
    it.reading = true;
  }
  if (move.kind == Move::take_fusing) {
    channel_.apply(state.channels[move.who], {Event::store});
    it.stored = true;
  }
  advance(state, move.who);
  return true;
}

std::string World::why(const WorldState& before, Move move) {
  ChannelState state = before.channels[at(channel_of(move))];
  return channel_.apply(state, event_of(before, move));
}

// On to the next word, if both halves of this one are done.
void World::advance(WorldState& state, int rank) const {
  RankState& it = state.ranks[at(rank)];
  const Task* now = task(state, rank);
  if (now == nullptr || it.sent != now->sends || it.received != now->receives) return;
  ++it.step;
  it.sent = it.received = false;
}

std::string World::check_end(const WorldState& state) const {
  bool all_ended = true;
  for (int rank = 0; rank < size_; ++rank) all_ended &= task(state, rank) == nullptr;
  if (!all_ended)
    return describe_deadlock([&](int rank) {
      const Task* now = task(state, rank);
      if (now == nullptr) return Wait{.ended = true};
      if (now->receives && !state.ranks[at(rank)].received)
        return Wait{.peer = left_of(rank), .for_what = "send"};
      return Wait{.peer = right_of(rank), .for_what = "make room"};
    });
  for (int rank = 0; rank < size_; ++rank)
    if (!is_quiet(state.channels[at(rank)]))
      return text("all ranks have ended, and the channel from rank %d to rank %d is not empty",
                  rank, right_of(rank));
  return {};
}

// --- in words ---

std::string World::slot_name(int channel, int index) const {
  return text("%s %d of rank %d", rules_.in_cells ? "cell" : "slot", index, right_of(channel));
}

std::string World::describe(const WorldState& before, Move move, const std::string& wrong) const {
  const ChannelState& out = before.channels[move.who];
  if (move.kind == Move::deliver)
    return describe_delivery(move.who, out.pending[move.index], wrong);
  if (move.kind != Move::deliver_credit) return describe_rank(before, move, wrong);
  if (!wrong.empty()) return text("rank %d %s", move.who, wrong.c_str());
  return text("rank %d can see credit for message %d", move.who, out.credits[0]);
}

std::string World::describe_delivery(int channel, const Pending& it,
                                     const std::string& wrong) const {
  const std::string slot = slot_name(channel, it.slot);
  if (!wrong.empty())
    return text("rank %d writes message %d into %s, %s", channel, it.message, slot.c_str(),
                wrong.c_str());
  if (it.effect == Effect::put)
    return text("message %d begins to be written into %s", it.message, slot.c_str());
  if (it.effect == Effect::writing)
    return text("message %d lies whole in %s", it.message, slot.c_str());
  return text("rank %d can see the flag of message %d", right_of(channel), it.message);
}

std::string World::describe_rank(const WorldState& before, Move move,
                                 const std::string& wrong) const {
  const int rank = move.who;
  if (!wrong.empty()) return text("rank %d %s", rank, wrong.c_str());
  if (move.kind == Move::send) {
    const ChannelState& out = before.channels[at(rank)];
    return text("rank %d sends message %d, for %s", rank, out.sent + 1,
                slot_name(rank, out.send_slot).c_str());
  }
  const int message = before.channels[at(left_of(rank))].taken + 1;
  const bool early = rules_.bug == Bug::early_release;
  if (move.kind == Move::finish) {
    const bool forgets = rules_.bug == Bug::missing_release && message == 1;
    return text("rank %d has read message %d%s", rank, message,
                early     ? ""
                : forgets ? " and forgets to release its slot"
                          : " and releases its slot");
  }
  return text("rank %d sees the flag of message %d%s and begins to read%s", rank, message,
              early ? ", releases its slot" : "",
              move.kind == Move::take ? "" : ", adding into the next rank's slot");
}

}  // namespace ringside::model
