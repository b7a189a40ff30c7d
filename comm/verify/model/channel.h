// One channel of the model: the real ends of channel.h, set to a state, asked, and read out again.
//
// The windows are real memory, but the peer windows to them only note each put and signal. What was
// noted takes effect by the transport's events, one effect at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "comm/transport/channel.h"
#include "comm/verify/model/state.h"

namespace ringside::model {

// Something that may happen to a channel.
struct Event {
  enum Kind : Byte {
    send,     // by the sender: the next message, of call `argument`
    publish,  // the same, when it has been stored before
    store,    // straight into the next slot
    take,     // by the receiver: it sees the flag and begins to read, in call `argument`
    finish,   // it has read
    deliver,  // by the transport: the pending effect with index `argument`
    deliver_credit,
  };
  Kind kind;
  Byte argument = 0;
};

class Channel {
 public:
  // `fingerprints[k]` is that of call k + 1.
  Channel(const ModelRules& rules, std::vector<std::uint32_t> fingerprints);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  bool is_possible(ChannelState& state, Event event);
  // What is wrong with it, or nothing.
  std::string apply(ChannelState& state, Event event);

 private:
  class Memory;
  class ToReceiver;
  class ToSender;

  bool may_send();
  void send(int call);
  void publish(int call);
  void store();
  bool may_take(int call);
  std::string take(int call);
  void finish();
  bool may_deliver(int index) const;
  std::string deliver(int index);
  std::string deliver_credit();

  SendEnd send_end();
  ReceiveEnd receive_end();
  void keep(const SendEnd& end);
  void keep(const ReceiveEnd& end);
  Byte call_of(std::uint32_t fingerprint) const;
  bool sees_flag(ReceiveEnd& end, int call) const;
  SendEnd send_end_that_looked();
  int slot_at(const std::byte* message) const;
  void release(ReceiveEnd& end);
  void note(Pending pending);

  ModelRules rules_;
  ChannelShape shape_;
  std::size_t message_bytes_;
  std::vector<std::uint32_t> fingerprints_;
  std::unique_ptr<Memory> receiver_;
  std::unique_ptr<Memory> sender_;
  std::unique_ptr<ToReceiver> to_receiver_;
  std::unique_ptr<ToSender> to_sender_;
  ChannelState* state_ = nullptr;  // the one that the functions above speak of
};

// Nothing on its way, nothing unread.
bool is_quiet(const ChannelState& state);

}  // namespace ringside::model
