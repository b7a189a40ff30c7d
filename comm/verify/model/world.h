// The steps of a small world: which are possible in a state, what each does, and how it is
// described.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "comm/verify/model/channel.h"

namespace ringside::model {

// One step of one rank, or of the transport on one channel.
struct Move {
  enum Kind : Byte { send, take, take_fusing, finish, deliver, deliver_credit };
  Kind kind;
  Byte who;    // the rank; of the transport's steps the channel
  Byte index;  // deliver: of the pending effect
};

class World {
 public:
  World(const std::vector<std::vector<Program>>& operations, const ModelRules& rules);

  // Fills `moves` with the steps that are possible.
  void find_moves(const WorldState& state, std::vector<Move>& moves);
  // Takes a possible step. False if something is wrong with it; why() then says what.
  bool apply(WorldState& state, Move move);
  std::string why(const WorldState& before, Move move);

  // Takes all steps that ModelRules::every_step = false does not count, telling each before it is
  // taken. False if something is wrong.
  template <class Tell>
  bool settle(WorldState& state, const Tell& tell);

  // Where no step is possible: what is wrong with that, or nothing.
  std::string check_end(const WorldState& state) const;

  // The step as a line of a lesson.
  std::string describe(const WorldState& before, Move move, const std::string& wrong) const;

 private:
  // What of a recorded word matters here.
  struct Task {
    bool sends;
    bool receives;
    bool may_fuse;
    Byte call;
    bool operator==(const Task&) const = default;
  };

  int left_of(int rank) const { return rank == 0 ? size_ - 1 : rank - 1; }
  int right_of(int rank) const { return rank == size_ - 1 ? 0 : rank + 1; }
  void add_task(std::vector<Task>& tasks, const Step& step, Byte call) const;
  const Task* task(const WorldState& state, int rank) const;
  void advance(WorldState& state, int rank) const;

  bool can(const WorldState& state, int channel, Event event) {
    ChannelState tried = state.channels[at(channel)];
    return channel_.is_possible(tried, event);
  }
  bool can_send(const WorldState& state, int rank);
  bool can_fuse(const WorldState& state, int rank);
  Event send_event(const WorldState& state, int rank) const;
  // On which channel a move is, and what it is there.
  int channel_of(Move move) const;
  Event event_of(const WorldState& state, Move move) const;

  std::string describe_delivery(int channel, const Pending& it, const std::string& wrong) const;
  std::string describe_rank(const WorldState& before, Move move, const std::string& wrong) const;
  std::string slot_name(int channel, int index) const;

  ModelRules rules_;
  int size_;
  std::vector<std::vector<Task>> tasks_;
  Channel channel_;  // of any rank: it is set to one state after another
};

template <class Tell>
bool World::settle(WorldState& state, const Tell& tell) {
  const auto step = [&](Move move) {
    tell(state, move);
    return apply(state, move);
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (int r = 0; r < size_; ++r) {
      const Move send{Move::send, static_cast<Byte>(r), 0};
      const Move credit{Move::deliver_credit, static_cast<Byte>(r), 0};
      for (; can_send(state, r); moved = true) step(send);
      for (; can(state, r, {Event::deliver_credit}); moved = true)
        if (!step(credit)) return false;
    }
  }
  return true;
}

}  // namespace ringside::model
