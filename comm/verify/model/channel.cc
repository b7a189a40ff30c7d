// The real ends on memory that is set to a state; and what the transport does.
#include "comm/verify/model/channel.h"

#include <algorithm>
#include <utility>

namespace ringside::model {
namespace {

constexpr std::size_t kSlotBytes = kLineBytes;
static_assert(kSlotBytes > kInlineBytes);

Byte byte(std::uint32_t value) { return static_cast<Byte>(value); }
Byte byte(int value) { return static_cast<Byte>(value); }

std::size_t message_bytes(const ModelRules& rules) {
  return rules.in_cells ? kInlineBytes : kSlotBytes;
}

}  // namespace

Channel::SlotWindow::SlotWindow() {
  data_ = slots;
  bytes_ = sizeof slots;
  cells_ = lines;
  cell_count_ = kModelSlots;
}

Channel::Channel(const ModelRules& rules, int source, int target, const ChannelState& state)
    : rules_(rules),
      source_(source),
      target_(target),
      state_(state),
      send_end_(to_receiver_, credit_, {0, 0}, {rules.slots, kSlotBytes},
                {state.sent, state.returned, state.send_slot}),
      receive_end_(window_, to_sender_, 0, {0, 0}, {rules.slots, kSlotBytes},
                   {state.consumed, state.receive_slot}) {
  credit_.release({state.credit, 0});
  for (int i = 0; i < rules.slots; ++i) {
    const Slot& slot = state.slots[static_cast<std::size_t>(i)];
    window_.cell(i).release({slot.sequence, slot.call});
  }
}

ChannelState Channel::state() const {
  ChannelState state = state_;
  const SendProgress sender = send_end_.progress();
  const ReceiveProgress receiver = receive_end_.progress();
  state.sent = byte(sender.sent);
  state.returned = byte(sender.returned);
  state.send_slot = byte(sender.next_slot);
  state.consumed = byte(receiver.consumed);
  state.receive_slot = byte(receiver.next_slot);
  return state;
}

bool Channel::is_empty() const {
  return state_.effects.count == 0 && state_.credits.count == 0 && state_.taken == state_.sent &&
         std::all_of(state_.slots.begin(), state_.slots.end(),
                     [](const Slot& slot) { return slot.content == Content::free; });
}

std::string Channel::name_of(int slot) const {
  return text("%s %d of rank %d", rules_.in_cells ? "cell" : "slot", slot, target_);
}

int Channel::slot_at(const std::byte* message) const {
  for (int i = 0; i < rules_.slots; ++i)
    if (message == window_.lines[i].payload ||
        message == window_.slots + static_cast<std::size_t>(i) * kSlotBytes)
      return i;
  throw Error(Fault::usage, "the model was sent to bytes that are no slot's");
}

// --- the sender ---

bool Channel::may_send() {
  // Not a rule of the channel's but of this model's: memory is bounded here too.
  if (state_.effects.count > 6) return false;
  if (send_end_.may_send() || rules_.bug == Bug::ignore_credit) return true;
  return rules_.bug == Bug::one_slot_too_many &&
         ringside::may_send(state_.sent, state_.credit, rules_.slots + 1);
}

void Channel::send(int call, bool is_stored, std::string* line) {
  send_end_.may_send();
  // A message's bytes are its number.
  const std::byte message[kSlotBytes] = {static_cast<std::byte>(state_.sent + 1)};
  if (line)
    *line = text("rank %d sends message %d, for %s", source_, state_.sent + 1,
                 name_of(state_.send_slot).c_str());
  const auto fingerprint = static_cast<std::uint32_t>(call);
  if (is_stored) return send_end_.publish(fingerprint);
  send_end_.send(fingerprint, message, message_bytes(rules_));
}

void Channel::store() {
  send_end_.may_send();
  state_.effects.push({Effect::put, byte(slot_at(send_end_.slot())), byte(state_.sent + 1), 0});
}

void Channel::ToReceiver::put(std::size_t offset_bytes, const void* source, std::size_t) {
  const auto slot = static_cast<Byte>(offset_bytes / kSlotBytes);
  channel.state_.effects.push({Effect::put, slot, *static_cast<const Byte*>(source), 0});
}

void Channel::ToReceiver::signal(int cell, Signal value, const void* payload, std::size_t bytes) {
  Queue<Effect>& effects = channel.state_.effects;
  if (bytes > 0) put(static_cast<std::size_t>(cell) * kSlotBytes, payload, bytes);
  effects.push({Effect::signal, byte(cell), byte(value.sequence), byte(value.fingerprint)});
  const int last = effects.count - 1;
  if (channel.rules_.bug == Bug::signal_before_put && last > 0 &&
      effects[last - 1].kind == Effect::put)
    std::swap(effects[last - 1], effects[last]);
}

// --- the receiver ---

bool Channel::arrived(int call) {
  const bool next = receive_end_.arrived();
  if (rules_.bug == Bug::no_sequence)
    return receive_end_.flag().fingerprint == static_cast<std::uint32_t>(call);
  return next || receive_end_.overtaken();
}

void Channel::take(int call, std::string* line) {
  arrived(call);
  const int message = state_.taken + 1;
  const Signal flag = receive_end_.flag();
  if (!receive_end_.is_of(static_cast<std::uint32_t>(call)))
    throw Harm{text("rank %d sees flag %u of call %u, and waits for message %d of call %d", target_,
                    flag.sequence, flag.fingerprint, message, call)};
  const std::byte* bytes = receive_end_.message(message_bytes(rules_));
  Slot& slot = state_.slots[static_cast<std::size_t>(slot_at(bytes))];
  if (slot.content == Content::being_written)
    throw Harm{text("rank %d reads message %d while it is being written", target_, slot.message)};
  if (slot.message == 0)
    throw Harm{text("rank %d reads a slot that nothing was written to, and takes it for message %d",
                    target_, message)};
  if (slot.message != message)
    throw Harm{text("rank %d reads message %d%s, and takes it for message %d", target_,
                    slot.message, slot.content == Content::free ? " a second time" : "", message)};
  slot.content = Content::being_read;
  const bool early = rules_.bug == Bug::early_release;
  if (early) receive_end_.release();
  if (line)
    *line = text("rank %d sees the flag of message %d%s and begins to read", target_, message,
                 early ? ", releases its slot" : "");
}

void Channel::finish(std::string* line) {
  const int message = ++state_.taken;
  for (Slot& slot : state_.slots)
    if (slot.content == Content::being_read) slot.content = Content::free;
  const bool early = rules_.bug == Bug::early_release;
  const bool forgets = rules_.bug == Bug::missing_release && message == 1;
  if (!early && !forgets) receive_end_.release();
  if (line)
    *line = text("rank %d has read message %d%s", target_, message,
                 early     ? ""
                 : forgets ? " and forgets to release its slot"
                           : " and releases its slot");
}

void Channel::ToSender::signal(int, Signal value, const void*, std::size_t) {
  const Bug bug = channel.rules_.bug;
  const auto batch = static_cast<std::uint32_t>(channel.rules_.slots) + 1;
  if (bug == Bug::no_credit || (bug == Bug::late_batch && value.sequence % batch != 0)) return;
  channel.state_.credits.push(byte(value.sequence + (bug == Bug::credit_too_high ? 1 : 0)));
}

// --- the transport ---

// A put may begin at once, unless another one to the same slot is before it. A signal waits for
// all earlier puts, and for earlier signals of its cell (transport.h, 1 and 2). A payload travels
// in its cell, so it waits for the cell's earlier signals too.
bool Channel::may_take_effect(int index) const {
  const Effect it = state_.effects[index];
  if (it.kind == Effect::writing) return true;
  for (int i = 0; i < index; ++i) {
    const Effect earlier = state_.effects[i];
    const bool same_slot = earlier.slot == it.slot;
    const bool waits = it.kind == Effect::signal
                           ? earlier.kind != Effect::signal || same_slot
                           : same_slot && (rules_.in_cells || earlier.kind != Effect::signal);
    if (waits) return false;
  }
  return true;
}

void Channel::take_effect(int index, std::string* line) {
  Effect& it = state_.effects[index];
  Slot& slot = state_.slots[it.slot];
  const std::string name = line || slot.content != Content::free ? name_of(it.slot) : "";
  if (it.kind == Effect::put) {
    if (slot.content != Content::free)
      throw Harm{text("rank %d writes message %d into %s, in which message %d is %s", source_,
                      it.message, name.c_str(), slot.message,
                      slot.content == Content::being_read      ? "still being read"
                      : slot.content == Content::being_written ? "still being written"
                                                               : "not yet read")};
    if (line) *line = text("message %d begins to be written into %s", it.message, name.c_str());
    slot.message = it.message;
    slot.content = Content::being_written;
    it.kind = Effect::writing;
    return;
  }
  if (it.kind == Effect::writing) {
    if (line) *line = text("message %d lies whole in %s", it.message, name.c_str());
    slot.content = Content::unread;
  } else {
    if (line) *line = text("rank %d can see the flag of message %d", target_, it.message);
    slot.sequence = it.message;
    slot.call = it.call;
  }
  state_.effects.erase(index);
}

void Channel::see_credit(std::string* line) {
  state_.credit = state_.credits[0];
  state_.credits.erase(0);
  if (state_.credit > state_.sent)
    throw Harm{text("rank %d is given credit for message %d, and has sent %d only", source_,
                    state_.credit, state_.sent)};
  if (line) *line = text("rank %d can see credit for message %d", source_, state_.credit);
}

}  // namespace ringside::model
