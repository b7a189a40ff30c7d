// The host lane's one step, from the outside in: exchange, send half, receive half, and what can be
// wrong.
#include "comm/host_lane.h"

#include <cassert>

#include "comm/error.h"

namespace ringside {

void HostLane::step(const Piece* send, const Piece* receive, bool reduce, std::size_t slice) {
  step_ = slice == slice_ ? step_ + 1 : 1;
  slice_ = slice;
  bool sent = true;
  Outgoing out{};
  if (send != nullptr) {
    out = outgoing(*send, slice);
    sent = try_send(out);
  }
  if (receive != nullptr) {
    wait_for_message(&out, sent, receive->chunk);
    take(*receive, reduce, sent, slice);
  }
  if (!sent) wait_for_room(out);
}

// A rank that has received nothing in this call yet looks at what comes while it waits for room:
// two ranks that both believe to be the root of a broadcast would wait for each other until the
// deadline. Later it must not look: the next message may rightly belong to the left neighbour's
// next call.
void HostLane::wait_for_room(const Outgoing& out) {
  bool sent = false;
  const auto stranger_came = [&] {
    return !received_ && ends_.from != nullptr && ends_.from->arrived() &&
           ends_.from->flag().fingerprint != call_.fingerprint;
  };
  waiter_.wait(
      ends_.to_rank, [&] { return (sent = try_send(out)) || stranger_came(); },
      [&] {
        return at_step() + text(" for rank %d to make room for chunk %d", ends_.to_rank, out.chunk);
      });
  if (!sent) check_flag();
}

HostLane::Outgoing HostLane::outgoing(Piece piece, std::size_t slice) {
  const Range r = range(piece.chunk, slice);
  const std::size_t bytes = r.count * call_.element_bytes;
  switch (piece.place) {
    case Place::input:
      return {input_at(r), bytes, piece.chunk};
    case Place::output:
      return {output_at(r), bytes, piece.chunk};
    case Place::carry:
      break;
  }
  return {carry_, bytes, piece.chunk};
}

bool HostLane::try_send(const Outgoing& out) {
  if (!ends_.to->may_send()) return false;
  if (out.source == nullptr)
    ends_.to->publish(call_.fingerprint);
  else
    ends_.to->send(call_.fingerprint, out.source, out.bytes);
  return true;
}

// While waiting, the outgoing piece is sent as soon as there is credit: that is what keeps a ring
// of full slots moving.
void HostLane::wait_for_message(const Outgoing* out, bool& sent, int chunk) {
  waiter_.wait(
      ends_.from_rank,
      [&] {
        if (!sent) sent = try_send(*out);
        return ends_.from->arrived() || ends_.from->overtaken();
      },
      [&] { return at_step() + text(" for chunk %d from rank %d", chunk, ends_.from_rank); });
  check_flag();
}

void HostLane::take(Piece piece, bool reduce, bool sent, std::size_t slice) {
  const Range r = range(piece.chunk, slice);
  const std::size_t bytes = r.count * call_.element_bytes;
  const std::byte* message = ends_.from->message(bytes);
  received_ = true;
  if (reduce) {
    std::byte* target = piece.place == Place::carry ? carry_target(bytes, sent) : output_at(r);
    // The partial sum first, the own contribution second: the left fold of the rotated order.
    call_.reduce(target, message, input_at(r), r.count);
  } else if (bytes > 0) {
    assert(piece.place == Place::output);
    copy_bytes(output_at(r), message, bytes);
  }
  ends_.from->release();
}

// The neighbour's next slot, if the piece before it has gone out and there is credit for one more;
// scratch otherwise. A piece that travels in its cell needs no slot.
std::byte* HostLane::carry_target(std::size_t bytes, bool sent) {
  if (sent && bytes > kInlineBytes && ends_.to->may_send()) {
    carry_ = nullptr;
    if (std::byte* slot = ends_.to->slot()) return slot;
  }
  std::byte* target = scratch_.next();
  carry_ = target;
  return target;
}

void HostLane::finish(Piece piece, std::size_t slice) {
  if (call_.divide == nullptr) return;
  const Range r = range(piece.chunk, slice);
  call_.divide(output_at(r), r.count, call_.divisor);
}

void HostLane::keep(int chunk, std::size_t slice) {
  const Range r = range(chunk, slice);
  if (r.count > 0 && input_at(r) != output_at(r))
    copy_bytes(output_at(r), input_at(r), r.count * call_.element_bytes);
}

// The first thing that is looked at in a message is whether its sender means the same call.
void HostLane::check_flag() {
  if (ends_.from->overtaken())
    throw Error(Fault::protocol, text("%s, %s: a flag from rank %d is out of sequence; its slots "
                                      "were overwritten before they "
                                      "were read",
                                      waiter_.here().c_str(), at_step().c_str(), ends_.from_rank));
  const std::uint32_t theirs = ends_.from->flag().fingerprint;
  if (theirs == call_.fingerprint) [[likely]]
    return;
  const Board* board = peers_.board_of(ends_.from_rank);
  const std::optional<Call> call = board == nullptr ? std::nullopt : board->find(theirs);
  const std::string who = peers_.who(ends_.from_rank);
  const std::string what =
      call ? text("%s is in %s: %s", who.c_str(), describe(call->number, call->what).c_str(),
                  difference(call_.what, call->what).c_str())
           : text("%s is in another call, no longer on its board", who.c_str());
  throw Error(Fault::mismatch,
              text("%s: the ranks are doing different things; %s. Every rank must make the "
                   "same calls in the same order",
                   waiter_.here().c_str(), what.c_str()));
}

std::string HostLane::at_step() const {
  std::string words = text("waiting in step %d of %d", step_, call_.steps_per_slice);
  if (slices() > 1) words += text(" of slice %zu of %zu", slice_ + 1, slices());
  return words;
}

}  // namespace ringside
