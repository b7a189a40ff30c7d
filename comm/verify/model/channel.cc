// The real ends, on memory that is set to a state; and what the transport does: it lets puts and
// signals take effect, in any order that the contract of transport.h permits.
#include "comm/verify/model/channel.h"

#include <algorithm>
#include <cstring>

#include "comm/error.h"

namespace ringside::model {
namespace {

constexpr std::size_t kSlotBytes = kLineBytes;
static_assert(kSlotBytes > kInlineBytes);

}  // namespace

class Channel::Memory : public Window {
 public:
  Memory() {
    data_ = slots_;
    bytes_ = sizeof slots_;
    cells_ = lines_;
    cell_count_ = kModelSlots;
  }

 private:
  alignas(kLineBytes) std::byte slots_[kModelSlots * kSlotBytes] = {};
  Cell lines_[kModelSlots] = {};
};

// A message's bytes are its number.
class Channel::ToReceiver : public PeerWindow {
 public:
  explicit ToReceiver(Channel& channel) : channel_(channel) {}

  void put(std::size_t offset_bytes, const void* source, std::size_t) override {
    note_put(static_cast<Byte>(offset_bytes / kSlotBytes), source);
  }
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    const auto slot = static_cast<Byte>(cell);
    if (payload_bytes > 0) note_put(slot, payload);
    channel_.note({Effect::signal, slot, static_cast<Byte>(value.sequence),
                   channel_.call_of(value.fingerprint)});
    if (channel_.rules_.bug == Bug::signal_before_put) put_last_signal_first();
  }
  std::byte* mapped() const override { return channel_.receiver_->data(); }

 private:
  void note_put(Byte slot, const void* source) {
    channel_.note({Effect::put, slot, *static_cast<const Byte*>(source), 0});
  }
  // Before the put that was noted just before it.
  void put_last_signal_first() {
    ChannelState& state = *channel_.state_;
    if (state.pending_count < 2) return;
    Pending& signal = state.pending[at(state.pending_count - 1)];
    Pending& before = state.pending[at(state.pending_count - 2)];
    if (before.effect == Effect::put) std::swap(before, signal);
  }
  Channel& channel_;
};

class Channel::ToSender : public PeerWindow {
 public:
  explicit ToSender(Channel& channel) : channel_(channel) {}

  void put(std::size_t, const void*, std::size_t) override {}
  void signal(int, Signal value, const void*, std::size_t) override {
    ChannelState& state = *channel_.state_;
    const Bug bug = channel_.rules_.bug;
    const auto batch = static_cast<std::uint32_t>(channel_.rules_.slots) + 1;
    if (bug == Bug::no_credit || (bug == Bug::late_batch && value.sequence % batch != 0)) return;
    if (state.credit_count == kMostCredits)
      throw Error(Fault::usage, "the model has no room for one more credit on its way");
    const std::uint32_t extra = bug == Bug::credit_too_high ? 1 : 0;
    state.credits[state.credit_count++] = static_cast<Byte>(value.sequence + extra);
  }

 private:
  Channel& channel_;
};

Channel::Channel(const ModelRules& rules, std::vector<std::uint32_t> fingerprints)
    : rules_(rules),
      shape_{rules.slots, kSlotBytes},
      message_bytes_(rules.in_cells ? kInlineBytes : kSlotBytes),
      fingerprints_(std::move(fingerprints)),
      receiver_(std::make_unique<Memory>()),
      sender_(std::make_unique<Memory>()),
      to_receiver_(std::make_unique<ToReceiver>(*this)),
      to_sender_(std::make_unique<ToSender>(*this)) {}

Channel::~Channel() = default;

bool Channel::is_possible(ChannelState& state, Event event) {
  state_ = &state;
  switch (event.kind) {
    case Event::take:
      return may_take(event.argument);
    case Event::finish:
      return true;
    case Event::deliver:
      return may_deliver(event.argument);
    case Event::deliver_credit:
      return state.credit_count > 0;
    default:
      return may_send();
  }
}

std::string Channel::apply(ChannelState& state, Event event) {
  state_ = &state;
  switch (event.kind) {
    case Event::send:
      return send(event.argument), "";
    case Event::publish:
      return publish(event.argument), "";
    case Event::store:
      return store(), "";
    case Event::take:
      return take(event.argument);
    case Event::finish:
      return finish(), "";
    case Event::deliver:
      return deliver(event.argument);
    case Event::deliver_credit:
      return deliver_credit();
  }
  return "";
}

// --- between the ends and the state ---

SendEnd Channel::send_end() {
  sender_->cell(0).release({state_->credit, 0});
  return SendEnd(*to_receiver_, sender_->cell(0), {0, 0}, shape_,
                 {state_->sent, state_->returned, state_->send_slot});
}

ReceiveEnd Channel::receive_end() {
  for (int i = 0; i < rules_.slots; ++i) {
    const Slot& slot = state_->slots[at(i)];
    receiver_->cell(i).release(
        {slot.sequence, slot.call == 0 ? 0 : fingerprints_[at(slot.call - 1)]});
  }
  const Signal flag{state_->flag_sequence,
                    state_->flag_call == 0 ? 0 : fingerprints_[at(state_->flag_call - 1)]};
  return ReceiveEnd(*receiver_, *to_sender_, 0, {0, 0}, shape_,
                    {state_->consumed, state_->receive_slot, flag});
}

void Channel::keep(const SendEnd& end) {
  const SendProgress progress = end.progress();
  state_->sent = static_cast<Byte>(progress.sent);
  state_->returned = static_cast<Byte>(progress.returned);
  state_->send_slot = static_cast<Byte>(progress.next_slot);
}

void Channel::keep(const ReceiveEnd& end) {
  const ReceiveProgress progress = end.progress();
  state_->consumed = static_cast<Byte>(progress.consumed);
  state_->receive_slot = static_cast<Byte>(progress.next_slot);
  state_->flag_sequence = static_cast<Byte>(progress.flag.sequence);
  state_->flag_call = call_of(progress.flag.fingerprint);
}

Byte Channel::call_of(std::uint32_t fingerprint) const {
  const auto found = std::find(fingerprints_.begin(), fingerprints_.end(), fingerprint);
  return found == fingerprints_.end() ? Byte{0}
                                      : static_cast<Byte>(found - fingerprints_.begin() + 1);
}

void Channel::note(Pending pending) {
  if (state_->pending_count == kMostPending)
    throw Error(Fault::usage, "the model has no room for one more message on its way");
  state_->pending[state_->pending_count++] = pending;
}

// --- the sender ---

bool Channel::may_send() {
  // Not a rule of the channel's but of this model's: memory is bounded here too.
  if (state_->pending_count > kMostPending - 2) return false;
  SendEnd end = send_end();
  if (end.may_send() || rules_.bug == Bug::ignore_credit) return true;
  return rules_.bug == Bug::one_slot_too_many &&
         ringside::may_send(state_->sent, state_->credit, rules_.slots + 1);
}

// An end that has asked once more, as whoever sends has done, and may have learnt of credit.
SendEnd Channel::send_end_that_looked() {
  SendEnd end = send_end();
  end.may_send();
  keep(end);
  return end;
}

void Channel::send(int call) {
  SendEnd end = send_end_that_looked();
  const std::byte message[kSlotBytes] = {static_cast<std::byte>(state_->sent + 1)};
  end.send(fingerprints_[at(call - 1)], message, message_bytes_);
  keep(end);
}

void Channel::publish(int call) {
  SendEnd end = send_end_that_looked();
  end.publish(fingerprints_[at(call - 1)]);
  keep(end);
}

void Channel::store() {
  const SendEnd end = send_end_that_looked();
  const auto message = static_cast<Byte>(state_->sent + 1);
  note({Effect::put, static_cast<Byte>(slot_at(end.slot())), message, 0});
}

// --- the receiver ---

bool Channel::sees_flag(ReceiveEnd& end, int call) const {
  const bool arrived = end.arrived();
  if (rules_.bug == Bug::no_sequence) return end.flag().fingerprint == fingerprints_[at(call - 1)];
  return arrived || end.overtaken();
}

bool Channel::may_take(int call) {
  ReceiveEnd end = receive_end();
  return sees_flag(end, call);
}

int Channel::slot_at(const std::byte* message) const {
  for (int i = 0; i < rules_.slots; ++i)
    if (message == receiver_->cell(i).payload || message == receiver_->data() + at(i) * kSlotBytes)
      return i;
  throw Error(Fault::usage, "the model was sent to bytes that are no slot's");
}

std::string Channel::take(int call) {
  const int message = state_->taken + 1;
  ReceiveEnd end = receive_end();
  sees_flag(end, call);
  const Signal flag = end.flag();
  if (!end.is_of(fingerprints_[at(call - 1)]))
    return text("sees flag %u of call %d, and waits for message %d of call %d", flag.sequence,
                call_of(flag.fingerprint), message, call);
  Slot& slot = state_->slots[at(slot_at(end.message(message_bytes_)))];
  if (slot.content == Content::being_written)
    return text("reads message %d while it is being written", slot.message);
  if (slot.content == Content::free && slot.message == 0)
    return text("reads a slot that nothing was written to, and takes it for message %d", message);
  if (slot.message != message)
    return text("reads message %d%s, and takes it for message %d", slot.message,
                slot.content == Content::free ? " a second time" : "", message);
  slot.content = Content::being_read;
  keep(end);
  if (rules_.bug == Bug::early_release) release(end);
  return {};
}

void Channel::release(ReceiveEnd& end) {
  end.release();
  keep(end);
  // The flag has served: what is in it now makes no difference to what can happen.
  state_->flag_sequence = state_->flag_call = 0;
}

void Channel::finish() {
  const int message = ++state_->taken;
  state_->slots[at(slot_of(static_cast<std::uint64_t>(message), rules_.slots))].content =
      Content::free;
  if (rules_.bug == Bug::early_release) return;
  if (rules_.bug == Bug::missing_release && message == 1) return;
  ReceiveEnd end = receive_end();
  release(end);
}

// --- the transport ---

// A put may begin at once, unless another one to the same slot is before it. A signal waits for
// all earlier puts, and for earlier signals of its cell (transport.h, 1 and 2). A payload travels
// in its cell, so it waits for the cell's earlier signals too.
bool Channel::may_deliver(int index) const {
  if (index >= state_->pending_count) return false;
  const Pending& it = state_->pending[at(index)];
  if (it.effect == Effect::writing) return true;
  return std::none_of(state_->pending.begin(), state_->pending.begin() + index,
                      [&](const Pending& earlier) {
                        const bool same_slot = earlier.slot == it.slot;
                        if (it.effect == Effect::signal)
                          return earlier.effect != Effect::signal || same_slot;
                        return same_slot && (rules_.in_cells || earlier.effect != Effect::signal);
                      });
}

std::string Channel::deliver(int index) {
  Pending& it = state_->pending[at(index)];
  Slot& slot = state_->slots[at(it.slot)];
  if (it.effect == Effect::put) {
    const Content before = slot.content;
    if (before != Content::free)
      return text("in which message %d is %s", slot.message,
                  before == Content::being_read      ? "still being read"
                  : before == Content::being_written ? "still being written"
                                                     : "not yet read");
    slot.message = it.message;
    slot.content = Content::being_written;
    it.effect = Effect::writing;
    return {};
  }
  if (it.effect == Effect::writing) {
    slot.content = Content::unread;
  } else {
    slot.sequence = it.message;
    slot.call = it.call;
  }
  auto& pending = state_->pending;
  std::copy(pending.begin() + index + 1, pending.end(), pending.begin() + index);
  pending.back() = {};
  --state_->pending_count;
  return {};
}

std::string Channel::deliver_credit() {
  const Byte credit = state_->credits[0];
  std::copy(state_->credits.begin() + 1, state_->credits.end(), state_->credits.begin());
  state_->credits.back() = 0;
  --state_->credit_count;
  state_->credit = credit;
  if (credit <= state_->sent) return {};
  return text("is given credit for message %d, and has sent %d only", credit, state_->sent);
}

bool is_quiet(const ChannelState& state) {
  return state.pending_count == 0 && state.credit_count == 0 && state.taken == state.sent &&
         std::all_of(state.slots.begin(), state.slots.end(),
                     [](const Slot& slot) { return slot.content == Content::free; });
}

}  // namespace ringside::model
