// The search: breadth first through all states of a small world.
//
// Millions of states are remembered, so they are kept small. What a channel can look like is far
// less than what the world can: each look that a channel has had is kept once and known by a
// number, and a state of the world is a number and a rank's few bits for each channel. Nothing is
// hashed away: two states are taken for the same only if they are.
#include "comm/model.h"

#include <array>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "comm/error.h"
#include "comm/model_world.h"
#include "comm/operation.h"

namespace ringside {
namespace model {
namespace {

constexpr std::uint32_t kNobody = 0xffff'ffffu;
constexpr std::size_t kMostStates = std::size_t{1} << 24;

// Every look that a channel has had, by number.
class Looks {
 public:
  std::uint32_t number(const ChannelState& state) {
    const auto [found, is_new] =
        numbers_.try_emplace(state, static_cast<std::uint32_t>(states_.size()));
    if (is_new) states_.push_back(state);
    return found->second;
  }
  const ChannelState& operator[](std::uint32_t number) const { return states_[number]; }

 private:
  struct Hash {
    std::size_t operator()(const ChannelState& state) const {
      return std::hash<std::string_view>()(
          {reinterpret_cast<const char*>(&state), sizeof state});
    }
  };
  std::unordered_map<ChannelState, std::uint32_t, Hash> numbers_;
  std::vector<ChannelState> states_;
};

// For each rank: 20 bits for its outgoing channel's look, 12 for itself.
using Key = std::array<std::uint32_t, kModelRanks>;

struct Node {
  Key key;
  std::uint32_t from;
  Move move;
};

// The states that were seen, in the order in which they were: the second half of it is the queue.
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
    for (const std::uint32_t part : key) hash = detail::mix(hash + part + 0x9e3779b97f4a7c15u);
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
      : rules_(rules), world_(operations, rules) {}

  Exploration run() {
    WorldState state = world_.start();
    settle(state, [](auto&&...) {});
    seen_.add({pack(state), kNobody, {}});
    for (std::uint32_t i = 0; i < seen_.size() && found_.why.empty(); ++i) visit(i);
    found_.holds = found_.why.empty();
    found_.states = seen_.size();
    return std::move(found_);
  }

 private:
  Key pack(const WorldState& state) {
    Key key{};
    for (std::size_t r = 0; r < static_cast<std::size_t>(world_.size()); ++r) {
      const RankState& rank = state.ranks[r];
      const std::uint32_t look = looks_.number(state.channels[r]);
      if (look >> 20 != 0) throw Error(Fault::usage, "the model's channels have too many states");
      const unsigned bits = rank.sent | rank.reading << 1 | rank.received << 2 | rank.stored << 3;
      key[r] = look << 12 | static_cast<std::uint32_t>(rank.step) << 4 | bits;
    }
    return key;
  }
  WorldState unpack(const Key& key) const {
    WorldState state;
    for (std::size_t r = 0; r < static_cast<std::size_t>(world_.size()); ++r) {
      state.channels[r] = looks_[key[r] >> 12];
      state.ranks[r] = {static_cast<Byte>(key[r] >> 4), (key[r] & 1) != 0, (key[r] & 2) != 0,
                        (key[r] & 4) != 0, (key[r] & 8) != 0};
    }
    return state;
  }

  template <class Tell>
  std::string settle(WorldState& state, const Tell& tell) {
    return rules_.every_step ? std::string() : world_.settle(state, tell);
  }

  void visit(std::uint32_t index) {
    WorldState state = unpack(seen_[index].key);
    const std::vector<Move> moves = world_.moves(state);
    if (moves.empty()) return end(index, state);
    for (const Move move : moves) {
      ++found_.steps;
      WorldState next = state;
      std::string wrong = world_.apply(next, move);
      if (wrong.empty()) wrong = settle(next, [](auto&&...) {});
      if (!wrong.empty()) return tell(index, &move);
      seen_.add({pack(next), index, move});
    }
  }

  void end(std::uint32_t index, WorldState& state) {
    const bool ended = world_.all_ended(state);
    std::string wrong = ended ? world_.left_over(state) : world_.deadlock(state);
    if (wrong.empty()) return;
    tell(index, nullptr);
    found_.lesson.push_back(wrong);
    found_.why = std::move(wrong);
  }

  // The way to node `index`, and one step more: walked again from the start, to be told.
  void tell(std::uint32_t index, const Move* last) {
    std::vector<Move> way;
    if (last != nullptr) way.push_back(*last);
    for (; seen_[index].from != kNobody; index = seen_[index].from)
      way.push_back(seen_[index].move);
    WorldState state = world_.start();
    const auto say = [&](const WorldState& before, Move move, const std::string& wrong) {
      found_.lesson.push_back(world_.describe(before, move, wrong));
    };
    settle(state, say);
    for (auto move = way.rbegin(); move != way.rend(); ++move) {
      const WorldState before = state;
      const std::string wrong = world_.apply(state, *move);
      say(before, *move, wrong);
      if (wrong.empty()) settle(state, say);
    }
    if (!found_.lesson.empty()) found_.why = found_.lesson.back();
  }

  ModelRules rules_;
  World world_;
  Looks looks_;
  Seen seen_;
  Exploration found_;
};

}  // namespace
}  // namespace model

Exploration explore(const std::vector<std::vector<Program>>& operations, const ModelRules& rules) {
  return model::Search(operations, rules).run();
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
