// The search: breadth first through all states of a small world.
//
// Millions of states are remembered, so they are small (model_looks.h). Nothing is hashed away: two
// states are taken for one only if they are equal, or if one is the other seen from another rank of
// a ring whose ranks all have the same program.
#include "comm/verify/model/explore.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "comm/algorithms/operation.h"
#include "comm/error.h"
#include "comm/verify/model/world.h"

namespace ringside {
namespace model {
namespace {

constexpr std::uint32_t kNobody = 0xffff'ffffu;
constexpr std::size_t kMostStates = std::size_t{1} << 24;

// For each rank: 20 bits for the look of its outgoing channel, 12 for itself.
using Key = std::array<std::uint32_t, kModelRanks>;

Key pack(const WorldState& state) {
  Key key{};
  for (std::size_t r = 0; r < key.size(); ++r) {
    const RankState& rank = state.ranks[r];
    if (state.looks[r] >> 20 != 0)
      throw Error(Fault::usage, "the model's channels have too many states");
    const unsigned bits =
        static_cast<unsigned>(rank.sent) | static_cast<unsigned>(rank.reading) << 1 |
        static_cast<unsigned>(rank.received) << 2 | static_cast<unsigned>(rank.stored) << 3;
    key[r] = state.looks[r] << 12 | static_cast<std::uint32_t>(rank.step) << 4 | bits;
  }
  return key;
}

WorldState unpack(const Key& key) {
  WorldState state;
  for (std::size_t r = 0; r < key.size(); ++r) {
    state.looks[r] = key[r] >> 12;
    state.ranks[r] = {static_cast<Byte>(key[r] >> 4), (key[r] & 1) != 0, (key[r] & 2) != 0,
                      (key[r] & 4) != 0, (key[r] & 8) != 0};
  }
  return state;
}

// Of a state's rotations the smallest.
Key rotated(const Key& key, int size) {
  Key smallest = key;
  Key turned = key;
  for (int i = 1; i < size; ++i) {
    std::rotate(turned.begin(), turned.begin() + 1, turned.begin() + size);
    smallest = std::min(smallest, turned);
  }
  return smallest;
}

struct Node {
  Key key;
  std::uint32_t from;
  Move move;
};

// The states that were seen, in the order in which they were: the part not yet visited is the
// queue.
class Seen {
 public:
  Seen() : table_(1024, kNobody) {}

  const Node& operator[](std::uint32_t index) const { return nodes_[index]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes_.size()); }

  void add(const Node& node) {
    std::size_t at = start(node.key);
    for (; table_[at] != kNobody; at = (at + 1) & (table_.size() - 1))
      if (nodes_[table_[at]].key == node.key) return;
    if (nodes_.size() == kMostStates)
      throw Error(Fault::usage, text("the model has more than %zu states here", kMostStates));
    table_[at] = size();
    nodes_.push_back(node);
    if (nodes_.size() * 2 > table_.size()) grow();
  }

 private:
  std::size_t start(const Key& key) const {
    std::uint64_t hash = 0;
    for (std::size_t i = 0; i < key.size(); i += 2)
      hash = detail::mix(hash + (static_cast<std::uint64_t>(key[i]) << 32 | key[i + 1]));
    return hash & (table_.size() - 1);
  }
  void grow() {
    table_.assign(table_.size() * 2, kNobody);
    for (std::uint32_t i = 0; i < size(); ++i) {
      std::size_t at = start(nodes_[i].key);
      while (table_[at] != kNobody) at = (at + 1) & (table_.size() - 1);
      table_[at] = i;
    }
  }

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> table_;  // indices of nodes, open addressing
};

class Search {
 public:
  Search(const std::vector<std::vector<Program>>& operations, const ModelRules& rules)
      : rules_(rules), world_(operations, rules), rotate_(rules.rotations && world_.is_round()) {
    found_.holds = true;
  }

  // Nothing if something was found, and cannot be told because states were turned on the way.
  std::optional<Exploration> run() {
    WorldState state;
    settle(state, [](auto&&...) {});
    add(state, kNobody, {});
    for (std::uint32_t i = 0; i < seen_.size() && found_.holds; ++i) visit(i);
    if (!found_.holds && rotate_) return std::nullopt;
    found_.states = seen_.size();
    return std::move(found_);
  }

 private:
  void add(const WorldState& state, std::uint32_t from, Move move) {
    const Key key = pack(state);
    seen_.add({rotate_ ? rotated(key, world_.size()) : key, from, move});
  }

  template <class Tell>
  bool settle(WorldState& state, const Tell& tell) {
    return rules_.every_step || world_.settle(state, tell);
  }

  void visit(std::uint32_t index) {
    const WorldState state = unpack(seen_[index].key);
    world_.find_moves(state, moves_);
    if (moves_.empty() && !world_.check_end(state).empty()) refute(index, nullptr);
    for (const Move move : moves_) {
      ++found_.steps;
      WorldState next = state;
      if (!world_.apply(next, move) || !settle(next, [](auto&&...) {})) return refute(index, &move);
      add(next, index, move);
    }
  }

  // The way to node `index`, and one step more, is walked again from the start, to be told.
  void refute(std::uint32_t index, const Move* last) {
    found_.holds = false;
    if (rotate_) return;
    std::vector<Move> way;
    if (last != nullptr) way.push_back(*last);
    for (; seen_[index].from != kNobody; index = seen_[index].from)
      way.push_back(seen_[index].move);
    const auto say = [&](const WorldState& before, Move move) {
      found_.lesson.push_back(world_.describe(before, move, world_.why(before, move)));
    };
    WorldState state;
    bool right = settle(state, say);
    for (auto move = way.rbegin(); move != way.rend() && right; ++move) {
      say(state, *move);
      right = world_.apply(state, *move) && settle(state, say);
    }
    if (right) found_.lesson.push_back(world_.check_end(state));
    found_.why = found_.lesson.back();
  }

  ModelRules rules_;
  World world_;
  bool rotate_;
  Seen seen_;
  std::vector<Move> moves_;
  Exploration found_;
};

}  // namespace
}  // namespace model

Exploration explore(const std::vector<std::vector<Program>>& operations, const ModelRules& rules) {
  ModelRules tried = rules;
  if (auto found = model::Search(operations, tried).run()) return *found;
  tried.rotations = false;
  return *model::Search(operations, tried).run();
}

const char* name_of(Bug bug) {
  switch (bug) {
    case Bug::none:
      return "none";
    case Bug::ignore_credit:
      return "ignore-credit";
    case Bug::one_slot_too_many:
      return "one-slot-too-many";
    case Bug::credit_too_high:
      return "credit-too-high";
    case Bug::late_batch:
      return "late-batch";
    case Bug::no_credit:
      return "no-credit";
    case Bug::early_release:
      return "early-release";
    case Bug::missing_release:
      return "missing-release";
    case Bug::signal_before_put:
      return "signal-before-put";
    case Bug::no_sequence:
      return "no-sequence";
  }
  return "";
}

const char* describe(Bug bug) {
  switch (bug) {
    case Bug::none:
      return "no mistake";
    case Bug::ignore_credit:
      return "a sender that does not ask for room";
    case Bug::one_slot_too_many:
      return "a sender that counts one slot more than there are";
    case Bug::credit_too_high:
      return "a receiver that returns credit for one message more than it has read";
    case Bug::late_batch:
      return "credit only every slots + 1 messages";
    case Bug::no_credit:
      return "credit that is never returned";
    case Bug::early_release:
      return "a receiver that releases a slot when it begins to read it";
    case Bug::missing_release:
      return "a receiver that forgets to release its first message";
    case Bug::signal_before_put:
      return "a transport that shows the flag before the message";
    case Bug::no_sequence:
      return "a receiver that looks at the flag's fingerprint only";
  }
  return "";
}

}  // namespace ringside
