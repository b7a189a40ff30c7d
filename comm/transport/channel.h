// A channel: a one-way FIFO of messages from one rank to another, over a window.
//
// The arithmetic (slots, credits) is protocol.h's. Here it meets memory:
//
//   SendEnd     writes message m into slot (m−1) mod slots of the receiver's window, then signals
//               the slot's cell with sequence m and the call's fingerprint
//   ReceiveEnd  waits for that cell, reads the slot, and returns credit to a cell of the sender's
//               window
//
// A message of at most kInlineBytes travels in the cell itself and leaves the slot's bytes alone.
// So does one of any length whose bytes the receiver can read where they are (a zero-copy message):
// the cell says where. Credit for a zero-copy message goes back at once, as its owner waits for it.
//
// Each end belongs to one thread. The ends never wait: they say whether something is possible yet,
// and whoever uses them waits (waiter.h), because only he knows what else could be done meanwhile.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstring>

#include "comm/transport/credit.h"
#include "comm/transport/signal.h"
#include "comm/transport/transport.h"

namespace ringside {

// Where a channel lies in the receiver's window: its first cell and its first data byte.
struct ChannelPlace {
  int first_cell;
  std::size_t first_byte;
};

struct ChannelShape {
  int slots = 0;
  std::size_t slot_bytes = 0;
  // Slots start on cache lines of their own.
  std::size_t stride_bytes() const {
    return (slot_bytes + kLineBytes - 1) / kLineBytes * kLineBytes;
  }
  std::size_t total_bytes() const { return stride_bytes() * static_cast<std::size_t>(slots); }
};

// How far a channel has come, as each end knows it. A new channel begins at zero; the model checker
// (comm/verify/model) goes on from any state that it has seen.
struct SendProgress {
  std::uint32_t sent = 0;
  std::uint32_t returned = 0;
  int next_slot = 0;
};
struct ReceiveProgress {
  std::uint32_t consumed = 0;
  int next_slot = 0;
};

class SendEnd {
 public:
  // `credit` is the cell of this rank's own window to which the receiver returns credit.
  SendEnd(PeerWindow& receiver, const Cell& credit, ChannelPlace place, ChannelShape shape,
          SendProgress from = {})
      : receiver_(&receiver),
        credit_(&credit),
        place_(place),
        shape_(shape),
        sent_(from.sent),
        returned_(from.returned),
        next_slot_(from.next_slot) {}

  SendProgress progress() const { return {sent_, returned_, next_slot_}; }

  bool may_send() {
    if (ringside::may_send(sent_, returned_, shape_.slots)) return true;
    returned_ = credit_->acquire().sequence;
    return ringside::may_send(sent_, returned_, shape_.slots);
  }

  // The next message's slot, where this rank can store into it directly; null otherwise. Only after
  // may_send(). What is stored there becomes the message by publish().
  std::byte* slot() const {
    std::byte* data = receiver_->mapped();
    return data == nullptr ? nullptr : data + offset_bytes();
  }

  // Sends `bytes` from `source`. Only after may_send().
  void send(std::uint32_t fingerprint, const void* source, std::size_t bytes) {
    if (bytes <= kInlineBytes) {
      signal(fingerprint, source, bytes);
    } else {
      assert(bytes <= shape_.slot_bytes);
      receiver_->put(offset_bytes(), source, bytes);
      signal(fingerprint, nullptr, 0);
    }
  }

  // How what is stored through slot(), and what is exposed, had better be stored.
  StoreChooser& stores() { return receiver_->results(); }

  // Sends what has been stored through slot().
  void publish(std::uint32_t fingerprint) { signal(fingerprint, nullptr, 0); }

  bool takes_zero_copy() const { return receiver_->takes_zero_copy(); }

  // Exposes what would have been sent; more than kInlineBytes of it. Only after may_send(), and
  // where zero-copy messages are taken. It must stay as it is until exposed_is_read().
  void expose(std::uint32_t fingerprint, const ZeroCopyRef& ref) {
    signal(fingerprint | kZeroCopyBit, &ref, sizeof ref);
    last_exposed_ = sent_;
    has_exposed_ = true;
  }

  bool has_exposed() const { return has_exposed_; }

  // Has everything that was exposed been read?
  bool exposed_is_read() {
    if (has_exposed_ && ahead(last_exposed_, returned_) > 0)
      returned_ = credit_->acquire().sequence;
    has_exposed_ = has_exposed_ && ahead(last_exposed_, returned_) > 0;
    return !has_exposed_;
  }

 private:
  std::size_t offset_bytes() const {
    return place_.first_byte + static_cast<std::size_t>(next_slot_) * shape_.stride_bytes();
  }

  void signal(std::uint32_t fingerprint, const void* payload, std::size_t bytes) {
    receiver_->signal(place_.first_cell + next_slot_, {++sent_, fingerprint}, payload, bytes);
    next_slot_ = next_slot_ + 1 == shape_.slots ? 0 : next_slot_ + 1;
  }

  PeerWindow* receiver_;
  const Cell* credit_;
  ChannelPlace place_;
  ChannelShape shape_;
  std::uint32_t sent_;
  std::uint32_t returned_;
  int next_slot_;  // slot_of(sent_ + 1), kept by counting: a division by a variable costs 10 ns
  std::uint32_t last_exposed_ = 0;  // the newest message that was exposed, if has_exposed_
  bool has_exposed_ = false;        // and has not been seen to be back
};

class ReceiveEnd {
 public:
  // `credit_cell` is the cell of the sender's window in which it looks for credit.
  ReceiveEnd(Window& own, PeerWindow& sender, int credit_cell, ChannelPlace place,
             ChannelShape shape, ReceiveProgress from = {})
      : own_(&own),
        sender_(&sender),
        credit_cell_(credit_cell),
        place_(place),
        shape_(shape),
        consumed_(from.consumed),
        next_slot_(from.next_slot) {}

  ReceiveProgress progress() const { return {consumed_, next_slot_}; }

  // Has the next message arrived? Its signal is then in `flag`.
  bool arrived() {
    flag_ = own_->cell(place_.first_cell + next_slot_).acquire();
    is_zero_copy_ = (flag_.fingerprint & kZeroCopyBit) != 0;
    flag_.fingerprint &= ~kZeroCopyBit;
    return flag_.sequence == consumed_ + 1;
  }
  Signal flag() const { return flag_; }

  // The newest flag is one that no correct sender can have written: it has overtaken the reader.
  bool overtaken() const { return ahead(flag_.sequence, consumed_ + 1) > 0; }

  // What may be read under the flag that arrived: the next message, of the call that is meant.
  bool is_of(std::uint32_t fingerprint) const {
    if (flag_.fingerprint != fingerprint) [[unlikely]]
      return false;
    return !overtaken();
  }

  // Are the arrived message's bytes in memory of its sender?
  bool is_zero_copy() const { return is_zero_copy_; }

  // The arrived message's bytes. For a zero-copy message what read() says: null if they are to be
  // asked for again, and its errors.
  const std::byte* message(std::size_t bytes) const {
    const std::byte* payload = own_->cell(place_.first_cell + next_slot_).payload;
    if (is_zero_copy_) [[unlikely]]
      return read_exposed(payload, bytes);
    if (bytes <= kInlineBytes) return payload;
    return own_->data() + place_.first_byte +
           static_cast<std::size_t>(next_slot_) * shape_.stride_bytes();
  }

  // The message has been read; its slot may be written again.
  void release() {
    ++consumed_;
    next_slot_ = next_slot_ + 1 == shape_.slots ? 0 : next_slot_ + 1;
    if (is_zero_copy_ || credit_due(consumed_, shape_.slots))
      sender_->signal(credit_cell_, {consumed_, flag_.fingerprint});
  }

 private:
  const std::byte* read_exposed(const std::byte* payload, std::size_t bytes) const {
    ZeroCopyRef ref;
    std::memcpy(&ref, payload, sizeof ref);
    return sender_->read_exposed(ref, bytes);
  }

  Window* own_;
  PeerWindow* sender_;
  int credit_cell_;
  ChannelPlace place_;
  ChannelShape shape_;
  Signal flag_;
  bool is_zero_copy_ = false;
  std::uint32_t consumed_;
  int next_slot_;
};

}  // namespace ringside
