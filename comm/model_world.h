// The steps of a small world: which are possible in a state, what each does, and how it is told.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "comm/model_channel.h"

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

  int size() const { return size_; }
  WorldState start();

  // Both change no state; the channel looks at `state` while they run.
  std::vector<Move> moves(WorldState& state);
  std::string deadlock(const WorldState& state) const;

  bool all_ended(const WorldState& state) const;
  // After the end: what is left over, or nothing.
  std::string left_over(WorldState& state);

  // Takes the step. Returns what is wrong with it, or nothing.
  std::string apply(WorldState& state, Move move);
  // Takes all steps that `every_step` = false does not count, and tells each of them.
  template <class Tell>
  std::string settle(WorldState& state, const Tell& tell);

  // What the step is, before it is taken. `wrong` is what apply() said.
  std::string describe(const WorldState& state, Move move, const std::string& wrong) const;

 private:
  // One word of a program. The numbers are those of the messages on their channels.
  struct Task {
    bool sends;
    bool receives;
    bool may_fuse;
    Byte call;
    int send_message;
    int receive_message;
  };

  int left_of(int rank) const { return (rank + size_ - 1) % size_; }
  int right_of(int rank) const { return (rank + 1) % size_; }
  static std::size_t at(int index) { return static_cast<std::size_t>(index); }
  const Task* task(const WorldState& state, int rank) const;
  Channel& channel(WorldState& state, int index);
  void add_task(std::vector<Task>& tasks, const Step& step, Byte call);
  void advance(WorldState& state, int rank) const;
  bool may_send(WorldState& state, int rank);
  bool may_fuse(WorldState& state, int rank);
  std::string take(WorldState& state, int rank, bool fusing);
  std::string place(int channel, int index) const;

  ModelRules rules_;
  int size_;
  std::vector<std::vector<Task>> tasks_;
  Channel channel_;
};

template <class Tell>
std::string World::settle(WorldState& state, const Tell& tell) {
  for (bool moved = true; moved;) {
    moved = false;
    for (int r = 0; r < size_; ++r) {
      const auto step = [&](Move::Kind kind) {
        const Move move{kind, static_cast<Byte>(r), 0};
        const WorldState before = state;
        const std::string wrong = apply(state, move);
        tell(before, move, wrong);
        moved = true;
        return wrong;
      };
      while (may_send(state, r)) step(Move::send);
      while (channel(state, r).may_deliver_credit()) {
        const std::string wrong = step(Move::deliver_credit);
        if (!wrong.empty()) return wrong;
      }
    }
  }
  return {};
}

}  // namespace ringside::model
