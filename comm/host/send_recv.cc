// Carrying out a batch of messages; what that means is in messages.h.
#include "comm/host/send_recv.h"

#include <algorithm>

#include "comm/algorithms/chunks.h"
#include "comm/error.h"
#include "comm/transport/shm/allocations.h"

namespace ringside {

namespace {

// Messages of a batch are under way together; those from one rank alone come in order.
bool overlap(const Message& a, const Message& b) {
  const auto begin = [](const Message& it) {
    return reinterpret_cast<std::uintptr_t>(it.buffer());
  };
  const auto end = [&](const Message& it) { return begin(it) + it.count * bytes_of(it.dtype); };
  return a.count > 0 && b.count > 0 && begin(a) < end(b) && begin(b) < end(a);
}

}  // namespace

const Message& checked(const Ring& self, const Message& it) {
  const Kind kind = Kind::send_recv;
  check_buffer(self, kind, it.buffer(), it.count, it.dtype);
  check_peer(self, kind, "rank", it.peer);
  if (it.peer == self.rank)
    refuse(self, kind,
           it.is_send ? "a rank cannot send to itself" : "a rank cannot receive from itself");
  return it;
}

const std::vector<Message>& checked(const Ring& self, const std::vector<Message>& messages) {
  for (const Message& it : messages) checked(self, it);
  for (const Message& it : messages)
    for (const Message& other : messages)
      if (!it.is_send && (other.is_send || other.peer != it.peer) && overlap(it, other))
        refuse(self, Kind::send_recv,
               text("what comes from rank %d would be written over the buffer of the message %s "
                    "rank %d",
                    it.peer, other.is_send ? "to" : "from", other.peer));
  return messages;
}

MessageBatch::MessageBatch(std::span<const Message> messages, std::uint64_t numbers_from,
                           Edges& edges, Peers& peers, Waiter& waiter, const HostSettings& settings,
                           std::vector<Transfer>& transfers)
    : transfers_(transfers), edges_(edges), peers_(peers), waiter_(waiter) {
  transfers_.clear();
  const std::int64_t now_ms = coarse_now_ms();
  for (const Message& it : messages) {
    const int sender = it.is_send ? peers.rank() : it.peer;
    const Operation what{Kind::send_recv, it.dtype, Reduction::sum, sender, it.count};
    const std::size_t slice_count = peers.pair_slot_bytes() / bytes_of(it.dtype);
    const std::size_t slice_bytes = std::min(it.count, slice_count) * bytes_of(it.dtype);
    const bool exposes =
        it.is_send && slice_bytes >= settings.zero_copy_from_bytes && slice_bytes > kInlineBytes;
    transfers_.push_back({it, Call{numbers_from++, 0, what, fingerprint(what), now_ms, it.peer},
                          slice_count, slices_for(it.count, slice_count),
                          exposes ? Allocations::of_this_process().find(it.source) : Exposable{},
                          it.count * bytes_of(it.dtype) >= settings.stream_from_bytes, 0});
  }
}

void MessageBatch::run() {
  for (const Transfer& it : transfers_) peers_.status_page().note(it.call);
  while (const Transfer* next = first_unfinished()) {
    waiter_.call().enter(next->call);
    // The waiter asks once more before it gives up, so what has moved must not be forgotten.
    bool moved = false;
    const auto advance_any = [&] { return moved = advance_all() || moved; };
    const auto words = [&] { return where(*next); };
    const std::uint64_t position = next->message.is_send ? 0 : next->call.number;
    waiter_.wait(next->message.peer, advance_any, words, position);
  }
  wait_reads();
  if (!transfers_.empty()) peers_.status_page().note_finished(transfers_.back().call.number);
}

void MessageBatch::wait_reads() {
  waiter_.send_all();
  for (const Transfer& it : transfers_) {
    if (!it.message.is_send) continue;
    const int peer = it.message.peer;
    SendEnd& end = *edges_.to[static_cast<std::size_t>(peer)];
    if (!end.has_exposed()) continue;
    waiter_.call().enter(it.call);
    waiter_.wait(
        peer, [&] { return end.exposed_is_read(); },
        [&] { return "waiting for " + peers_.name(peer) + " to read what this rank exposes"; });
  }
}

// As far as each message goes without waiting. True if anything moved.
bool MessageBatch::advance_all() {
  bool moved = false;
  for (Transfer& it : transfers_)
    while (!it.finished() && advance(it)) moved = true;
  return moved;
}

// One slice, if its channel is free: messages of one direction and peer go one after another.
bool MessageBatch::advance(Transfer& transfer) {
  const auto in_front = [&](const Transfer& other) {
    return !other.finished() && other.message.is_send == transfer.message.is_send &&
           other.message.peer == transfer.message.peer;
  };
  if (&*std::find_if(transfers_.begin(), transfers_.end(), in_front) != &transfer) return false;
  return transfer.message.is_send ? send_slice(transfer) : receive_slice(transfer);
}

bool MessageBatch::send_slice(Transfer& transfer) {
  SendEnd& end = *edges_.to[static_cast<std::size_t>(transfer.message.peer)];
  if (!end.may_send()) return false;
  const std::size_t element_bytes = bytes_of(transfer.message.dtype);
  const Range r = slice_of({0, transfer.message.count}, transfer.done, transfer.slice_count);
  const std::size_t offset = r.begin * element_bytes, bytes = r.count * element_bytes;
  const Exposable& exposable = transfer.exposable;
  if (bytes > kInlineBytes && offset + bytes <= exposable.bytes && end.takes_zero_copy()) {
    end.expose(transfer.call.fingerprint,
               {exposable.from.allocation, exposable.from.offset_bytes + offset});
  } else {
    const auto* source = static_cast<const std::byte*>(transfer.message.source);
    end.send(transfer.call.fingerprint, source + offset, bytes);
  }
  ++transfer.done;
  return true;
}

bool MessageBatch::receive_slice(Transfer& transfer) {
  const int peer = transfer.message.peer;
  ReceiveEnd& end = *edges_.from[static_cast<std::size_t>(peer)];
  if (!end.arrived() && !end.overtaken()) return false;
  waiter_.call().enter(transfer.call);
  waiter_.call().check_flag(end, peer, transfer.call.fingerprint, [&] { return where(transfer); });
  const std::size_t element_bytes = bytes_of(transfer.message.dtype);
  const Range r = slice_of({0, transfer.message.count}, transfer.done, transfer.slice_count);
  const std::size_t bytes = r.count * element_bytes;
  auto* target = static_cast<std::byte*>(transfer.message.target);
  const std::byte* message = waiter_.call().read(end, bytes, [&] { return where(transfer); });
  if (message == nullptr) return false;  // exposed, and its owner has not answered yet
  if (transfer.streams)
    copy_bytes_streaming(target + r.begin * element_bytes, message, bytes);
  else if (bytes > 0)
    copy_bytes(target + r.begin * element_bytes, message, bytes);
  waiter_.call().done_reading(end);
  ++transfer.done;
  return true;
}

const Transfer* MessageBatch::first_unfinished() const {
  for (const Transfer& it : transfers_)
    if (!it.finished()) return &it;
  return nullptr;
}

std::string MessageBatch::where(const Transfer& transfer) const {
  return text(transfer.message.is_send ? "waiting for %s to make room for slice %zu of %zu"
                                       : "waiting for %s to send slice %zu of %zu",
              peers_.name(transfer.message.peer).c_str(), transfer.done + 1, transfer.slices);
}

}  // namespace ringside
