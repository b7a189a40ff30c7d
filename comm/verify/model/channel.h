// One channel of the model: the real ends of comm/transport/channel.h, taken up at any state, and
// windows in which puts and signals wait until the transport lets them take effect.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "comm/error.h"
#include "comm/transport/channel.h"
#include "comm/verify/model/explore.h"

namespace ringside::model {

// States are compared byte by byte. Messages are known by their number on the channel, and calls by
// their number from 1, which is their fingerprint too.
using Byte = std::uint8_t;

template <class T>
struct Queue {
  std::array<T, 8> items{};
  Byte count = 0;
  bool operator==(const Queue&) const = default;

  const T& operator[](int index) const { return items[static_cast<std::size_t>(index)]; }
  T& operator[](int index) { return items[static_cast<std::size_t>(index)]; }
  void push(T item) {
    if (count == items.size())
      throw Error(Fault::usage, "the model has no room for one more message on its way");
    items[count++] = item;
  }
  void erase(int index) {
    for (--count; index < count; ++index) (*this)[index] = (*this)[index + 1];
    items[count] = {};
  }
};

// A slot and its cell. Messages travel in the slots, or all in the cells.
enum class Content : Byte { free, being_written, unread, being_read };
struct Slot {
  Byte message;  // that was written here last
  Content content;
  Byte sequence;
  Byte call;
  bool operator==(const Slot&) const = default;
};

// A put or a signal that has been made and has not taken effect.
struct Effect {
  enum Kind : Byte { put, writing, signal } kind;
  Byte slot;
  Byte message;
  Byte call;
  bool operator==(const Effect&) const = default;
};

struct ChannelState {
  Byte sent, returned, send_slot;  // SendEnd
  Byte consumed, receive_slot;     // ReceiveEnd
  Byte taken;                      // messages that were read to their end
  std::array<Slot, kModelSlots> slots;
  Queue<Effect> effects;  // in the order in which they were made
  Byte credit;            // in the sender's cell
  Queue<Byte> credits;    // on their way there
  bool operator==(const ChannelState&) const = default;
};
static_assert(std::has_unique_object_representations_v<ChannelState>);

// Thrown where a world does what it must not: what that is, in a sentence.
struct Harm {
  std::string why;
};

class Channel {
 public:
  Channel(const ModelRules& rules, int source, int target, const ChannelState& state);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  ChannelState state() const;
  bool is_empty() const;

  // What may come next. Whoever asks for room looks for credit, and learns of it.
  bool may_send();
  bool arrived(int call);
  bool may_take_effect(int index) const;

  // The steps. Each throws Harm, and says in a line what it does if `line` is not null.
  void send(int call, bool is_stored, std::string* line);
  void store();  // straight into the slot of the message that is sent next
  void take(int call, std::string* line);
  void finish(std::string* line);
  void take_effect(int index, std::string* line);
  void see_credit(std::string* line);

 private:
  struct SlotWindow : Window {
    SlotWindow();
    alignas(kLineBytes) std::byte slots[kModelSlots * kLineBytes] = {};
    Cell lines[kModelSlots] = {};
  };
  struct ToReceiver : PeerWindow {
    explicit ToReceiver(Channel& owner) : channel(owner) {}
    void put(std::size_t offset_bytes, const void* source, std::size_t bytes) override;
    void signal(int cell, Signal value, const void* payload, std::size_t bytes) override;
    std::byte* mapped() const override { return channel.window_.data(); }
    Channel& channel;
  };
  struct ToSender : PeerWindow {
    explicit ToSender(Channel& owner) : channel(owner) {}
    void put(std::size_t, const void*, std::size_t) override {}
    void signal(int cell, Signal value, const void* payload, std::size_t bytes) override;
    Channel& channel;
  };

  int slot_at(const std::byte* message) const;
  std::string name_of(int slot) const;

  ModelRules rules_;
  int source_, target_;
  ChannelState state_;
  SlotWindow window_;
  Cell credit_;
  ToReceiver to_receiver_{*this};
  ToSender to_sender_{*this};
  SendEnd send_end_;
  ReceiveEnd receive_end_;
};

}  // namespace ringside::model
