// The state of a small world, in bytes: what is compared to know whether it was seen before.
//
// A channel's state is what its two ends believe, what lies in the receiver's window, and what is
// on its way. Messages are known by their number on the channel, calls by their number from 1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "comm/verify/model/explore.h"

namespace ringside::model {

using Byte = std::uint8_t;
constexpr std::size_t at(int index) { return static_cast<std::size_t>(index); }

enum class Content : Byte { free, being_written, unread, being_read };

// A slot and its cell. Messages travel in the slots, or all in the cells.
struct Slot {
  Byte message;  // that was written here last
  Content content;
  Byte sequence;
  Byte call;
  bool operator==(const Slot&) const = default;
};

// A put or a signal that has been made and has not taken effect.
enum class Effect : Byte { none, put, writing, signal };
struct Pending {
  Effect effect;
  Byte slot;
  Byte message;
  Byte call;
  bool operator==(const Pending&) const = default;
};

inline constexpr int kMostPending = 8;
inline constexpr int kMostCredits = 8;

struct ChannelState {
  Byte sent, returned, send_slot;                         // SendEnd
  Byte consumed, receive_slot, flag_sequence, flag_call;  // ReceiveEnd
  Byte taken;                                             // messages that were read to their end
  std::array<Slot, kModelSlots> slots;
  Byte pending_count;
  std::array<Pending, kMostPending> pending;  // in the order in which they were made
  Byte credit;                                // in the sender's cell
  Byte credit_count;
  std::array<Byte, kMostCredits> credits;  // on their way there

  bool operator==(const ChannelState&) const = default;
};
static_assert(std::has_unique_object_representations_v<ChannelState>);

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

}  // namespace ringside::model
