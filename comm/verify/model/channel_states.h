// Every look that a channel has had, and what has been seen to happen to it.
//
// Each look is kept once and known by a number. What an event makes of a look is worked out once,
// by the real ends (model_channel.h), and then remembered: a world has millions of states, its
// channels some thousand.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "comm/verify/model/channel.h"

namespace ringside::model {

inline constexpr std::uint32_t kImpossible = 0xffff'ffffu;
inline constexpr std::uint32_t kWrong = 0xffff'fffeu;  // it happens, and should not

class Looks {
 public:
  Looks(const ModelRules& rules, std::vector<std::uint32_t> fingerprints)
      : channel_(rules, std::move(fingerprints)) {
    number(ChannelState{});
  }

  // Number 0 is a new channel.
  const ChannelState& operator[](std::uint32_t look) const { return looks_[look].state; }

  // The look after the event, or kImpossible, or kWrong.
  std::uint32_t after(std::uint32_t look, Event event) {
    const std::uint32_t known = looks_[look].after[column(event)];
    return known != kUnknown ? known : work_out(look, event);
  }

  // What is wrong with an event after which there is kWrong.
  std::string why(std::uint32_t look, Event event) {
    ChannelState state = looks_[look].state;
    return channel_.apply(state, event);
  }

 private:
  static constexpr std::uint32_t kUnknown = 0xffff'fffdu;
  // An event's column in the table: its argument beside its kind.
  static constexpr std::array<std::size_t, 8> kColumns = [] {
    constexpr std::size_t kArguments[] = {
        kModelCalls + 1, kModelCalls + 1, 1, kModelCalls + 1, 1, kMostPending, 1};
    std::array<std::size_t, 8> first{};
    for (std::size_t i = 0; i < 7; ++i) first[i + 1] = first[i] + kArguments[i];
    return first;
  }();
  static std::size_t column(Event event) { return kColumns[event.kind] + event.argument; }

  struct Look {
    ChannelState state;
    std::array<std::uint32_t, kColumns.back()> after;
  };
  struct Hash {
    std::size_t operator()(const ChannelState& state) const {
      return std::hash<std::string_view>()({reinterpret_cast<const char*>(&state), sizeof state});
    }
  };

  std::uint32_t number(const ChannelState& state) {
    const auto next = static_cast<std::uint32_t>(looks_.size());
    const auto [found, is_new] = numbers_.try_emplace(state, next);
    if (is_new) {
      looks_.push_back({state, {}});
      looks_.back().after.fill(kUnknown);
    }
    return found->second;
  }

  std::uint32_t work_out(std::uint32_t look, Event event) {
    ChannelState state = looks_[look].state;
    std::uint32_t after = kImpossible;
    if (channel_.is_possible(state, event))
      after = channel_.apply(state, event).empty() ? number(state) : kWrong;
    return looks_[look].after[column(event)] = after;
  }

  Channel channel_;
  std::vector<Look> looks_;
  std::unordered_map<ChannelState, std::uint32_t, Hash> numbers_;
};

}  // namespace ringside::model
