// What the transport of the model does: it lets puts and signals take effect, in any order that the
// contract of transport.h permits.
#include <algorithm>

#include "comm/error.h"
#include "comm/verify/model/channel.h"

namespace ringside::model {

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
