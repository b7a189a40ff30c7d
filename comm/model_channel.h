// One channel of the model: the real ends of channel.h, set to a state, asked, and read out again.
//
// The windows are real memory, but the peer windows to them only note what they are told. What was
// noted takes effect by deliver() and deliver_credit(), one effect at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "comm/channel.h"
#include "comm/model_state.h"

namespace ringside::model {

class Channel {
 public:
  // `fingerprints[k]` is that of call k + 1.
  Channel(const ModelRules& rules, std::vector<std::uint32_t> fingerprints);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // From here on the other functions speak of this state, and change it.
  void set(ChannelState& state) { state_ = &state; }

  // --- the sender's end ---
  bool may_send();
  void send(int call, bool stored);
  void store();  // straight into the next slot, published by a later send

  // --- the receiver's end; `message` is the number of the one that is due ---
  bool may_take(int call);
  // What is wrong with the flag or the message, or nothing; then it is being read.
  std::string take(int call, int message);
  void finish(int message);

  // --- the transport ---
  bool may_deliver(int index) const;
  std::string deliver(int index);  // what is wrong, or nothing
  bool may_deliver_credit() const { return state_->credit_count > 0; }
  std::string deliver_credit();

  bool is_quiet() const;  // nothing on its way, nothing unread

 private:
  class Memory;
  class ToReceiver;
  class ToSender;

  SendEnd send_end();
  ReceiveEnd receive_end();
  void keep(const SendEnd& end);
  void keep(const ReceiveEnd& end);
  Byte call_of(std::uint32_t fingerprint) const;
  bool sees_flag(ReceiveEnd& end, int call) const;
  int place_of(const std::byte* message) const;
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
  ChannelState* state_ = nullptr;
};

}  // namespace ringside::model
