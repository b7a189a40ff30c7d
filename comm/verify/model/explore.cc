// The search: breadth first through all states of a small world. Nothing is hashed away: two states
// are taken for one only if they are equal.
#include "comm/verify/model/explore.h"

#include <functional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "comm/error.h"
#include "comm/verify/model/world.h"

namespace ringside {
namespace model {
namespace {

constexpr std::size_t kMostStates = std::size_t{1} << 20;

struct Hash {
  std::size_t operator()(const WorldState& state) const {
    return std::hash<std::string_view>()({reinterpret_cast<const char*>(&state), sizeof state});
  }
};

// How a state was reached first.
struct Way {
  const WorldState* from;  // null: it is the start
  Move move;
};

class Search {
 public:
  Search(const std::vector<std::vector<Program>>& operations, const ModelRules& rules)
      : rules_(rules), world_(operations, rules) {
    found_.holds = true;
  }

  Exploration run() {
    WorldState start;
    settle(start, [](auto&&...) {});
    add(start, {nullptr, {}});
    for (std::size_t i = 0; i < queue_.size() && found_.holds; ++i) visit(*queue_[i]);
    found_.states = seen_.size();
    return std::move(found_);
  }

 private:
  void add(const WorldState& state, Way way) {
    const auto [at, is_new] = seen_.try_emplace(state, way);
    if (is_new) queue_.push_back(&at->first);
    if (seen_.size() > kMostStates)
      throw Error(Fault::usage, text("the model has more than %zu states here", kMostStates));
  }

  template <class Tell>
  bool settle(WorldState& state, const Tell& tell) {
    return rules_.every_step || world_.settle(state, tell);
  }

  void visit(const WorldState& state) {
    world_.find_moves(state, moves_);
    if (moves_.empty() && !world_.check_end(state).empty()) return report(state, nullptr);
    for (const Move move : moves_) {
      ++found_.steps;
      WorldState next = state;
      if (!world_.apply(next, move) || !settle(next, [](auto&&...) {})) return report(state, &move);
      add(next, {&state, move});
    }
  }

  // The way to the state, and one step more, is walked again from the start, to be described.
  void report(const WorldState& violated, const Move* last) {
    found_.holds = false;
    std::vector<Move> way;
    if (last != nullptr) way.push_back(*last);
    for (const WorldState* at = &violated; seen_.at(*at).from != nullptr; at = seen_.at(*at).from)
      way.push_back(seen_.at(*at).move);
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
