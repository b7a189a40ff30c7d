// The host executor's one step, from the outside in: the two halves and the wait for them, what
// each half does, and what can be wrong.
#include "comm/host/executor.h"

#include <cassert>

#include "comm/algorithms/step.h"
#include "comm/error.h"

namespace ringside {
namespace {

// A step's two ends, as step.h asks them.
struct Channels {
  SendEnd* to;
  ReceiveEnd* from;
  bool may_send() const { return to->may_send(); }
  bool arrived() const { return from->arrived() || from->overtaken(); }
};

}  // namespace

void HostExecutor::step(Out out, In in, Combine combine, std::size_t slice) {
  step_ = next_step(slice);
  slice_ = slice;
  if (out.end != nullptr) locate(out, slice);
  carry_out(out, in, combine);
}

void HostExecutor::carry_out(const Out& out, const In& in, Combine combine) {
  StepState state{out.end == nullptr, in.end == nullptr};
  while (!state.done()) {
    if (next(state, out, in) == Half::send) {
      send_now(out);
      state.sent = true;
    } else {
      take(out, in, combine, state.sent);
      state.received = true;
    }
  }
}

// Whatever half is ready; while a rank waits for a message, it sends as soon as there is credit.
// That is what keeps a ring of full slots moving. A half that is ready at once costs one look.
inline Half HostExecutor::next(StepState state, const Out& out, const In& in) {
  Half half = next_half(state, Channels{out.end, in.end});
  if (half == Half::none) half = wait_for_half(state, out, in);
  if (half == Half::receive) check_flag(*in.end, in.rank);
  return half;
}

// A rank that has received nothing in this call yet looks at what comes along the ring while it
// waits for room: two ranks that both believe to be the root of a broadcast would wait for each
// other until the deadline. Later it must not look: the next message may rightly belong to the left
// neighbour's next call.
Half HostExecutor::wait_for_half(StepState state, const Out& out, const In& in) {
  const Channels channels{out.end, in.end};
  const bool looks_elsewhere = state.received && !received_ && is_ring(out);
  const auto mismatch_came = [&] {
    return edges_.left->arrived() && edges_.left->flag().fingerprint != call_.fingerprint;
  };
  Half half = Half::none;
  waiter_.wait(
      awaited_half(state) == Half::receive ? in.rank : out.rank,
      [&] {
        half = next_half(state, channels);
        return half != Half::none || (looks_elsewhere && mismatch_came());
      },
      [&] { return at_step() + for_what(state, out, in); }, position());
  if (half == Half::none) check_flag(*edges_.left, edges_.left_rank);
  return half;
}

std::string HostExecutor::for_what(StepState state, const Out& out, const In& in) const {
  if (awaited_half(state) == Half::receive)
    return text(" for %s from %s", name_of(in.piece).c_str(), peers_.name(in.rank).c_str());
  return text(" for %s to make room for %s", peers_.name(out.rank).c_str(),
              name_of(out.piece).c_str());
}

// Where the outgoing piece is, and how long.
void HostExecutor::locate(Out& out, std::size_t slice) {
  const Range r = range(out.piece.chunk, slice);
  out.bytes = r.count * call_.plan.element_bytes;
  switch (out.piece.place) {
    case Place::input:
      out.source = input_at(r);
      break;
    case Place::output:
      out.source = output_at(r);
      break;
    case Place::partial:
      out.source = partial_;
      break;
    case Place::scratch:
      out.source = scratch_.kept();
      break;
  }
  out.ref = ref_of(out);
}

// Where the receiver finds the piece, if it may and can read it in place. What travels in a cell
// needs no zero-copy message.
ZeroCopyRef HostExecutor::ref_of(const Out& out) const {
  if (out.bytes < call_.zero_copy_from_bytes || out.bytes <= kInlineBytes) return {};
  if (!is_exposable(out.piece, call_.plan.input == call_.plan.output)) return {};
  const bool from_input = out.piece.place == Place::input;
  const Exposable& it = from_input ? call_.input_exposable : call_.output_exposable;
  const auto offset =
      static_cast<std::size_t>(out.source - (from_input ? call_.plan.input : call_.plan.output));
  if (offset + out.bytes > it.bytes || !out.end->takes_zero_copy()) return {};
  return {it.from.allocation, it.from.offset_bytes + offset};
}

// Only when there is credit.
void HostExecutor::send_now(const Out& out) {
  if (out.source == nullptr) {
    out.end->publish(call_.fingerprint);
  } else if (out.ref.allocation != 0) {
    out.end->expose(call_.fingerprint, out.ref);
    has_exposed_ = true;
  } else {
    out.end->send(call_.fingerprint, out.source, out.bytes);
  }
}

void HostExecutor::take(const Out& out, const In& in, Combine combine, bool sent) {
  const Range r = range(in.piece.chunk, slice_);
  const std::size_t bytes = r.count * call_.plan.element_bytes;
  const std::byte* message = message_of(*in.end, in.rank, bytes);
  received_ = true;
  std::byte* target = target_of(out, in.piece, r, sent);
  // The partial sum first, the own contribution second: the left fold of the rotated order.
  const std::byte* own = nullptr;
  if (combine == Combine::add_input) own = input_at(r);
  if (combine == Combine::add_output) own = output_at(r);
  const auto store = [&](bool streaming) {
    if (combine == Combine::copy)
      (streaming ? copy_bytes_streaming : copy_bytes)(target, message, bytes);
    else if (streaming)
      reduce_streaming(call_.plan.reduce, call_.plan.element_bytes, target, message, own, r.count);
    else
      call_.plan.reduce(target, message, own, r.count);
  };
  // What is divided in the end is read again.
  if (combine != Combine::copy && call_.plan.divide != nullptr)
    store(false);
  else if (streams(in.piece))
    store(true);
  else if (peer_reads(out, in.piece, bytes))
    out.end->stores().carry_out(bytes, store);
  else
    store(false);
  waiter_.call().done_reading(*in.end);
}

// Is what is received stored where the peer that it goes on to reads it: in its slot, or exposed?
bool HostExecutor::peer_reads(const Out& out, Piece piece, std::size_t bytes) const {
  if (out.end == nullptr) return false;
  if (piece.place == Place::partial) return partial_ == nullptr;
  return piece.place == Place::output && !piece.streaming && bytes >= call_.zero_copy_from_bytes &&
         call_.output_exposable.bytes > 0;
}

// An allocation's first zero-copy message is waited for: its owner is asked for the memory.
const std::byte* HostExecutor::message_of(const ReceiveEnd& end, int from_rank, std::size_t bytes) {
  const auto where = [&] {
    return at_step() + " for memory that " + peers_.name(from_rank) + " exposes";
  };
  const std::byte* message = waiter_.call().read(end, bytes, where);
  if (message == nullptr) [[unlikely]]
    waiter_.wait(
        from_rank, [&] { return (message = waiter_.call().read(end, bytes, where)) != nullptr; },
        where, position());
  return message;
}

std::byte* HostExecutor::target_of(const Out& out, Piece piece, Range r, bool sent) {
  switch (piece.place) {
    case Place::partial:
      return partial_target(out, r.count * call_.plan.element_bytes, sent);
    case Place::scratch:
      return scratch_.kept();
    default:
      assert(piece.place == Place::output);
      return output_at(r);
  }
}

// The next slot of the peer that it goes on to, if the piece before it has gone out and there is
// credit for one more; scratch otherwise. A piece that travels in its cell needs no slot.
std::byte* HostExecutor::partial_target(const Out& out, std::size_t bytes, bool sent) {
  assert(out.end != nullptr);
  if (sent && bytes > kInlineBytes && out.end->may_send()) {
    partial_ = nullptr;
    if (std::byte* slot = out.end->slot()) return slot;
  }
  std::byte* target = scratch_.next();
  partial_ = target;
  return target;
}

void HostExecutor::post_op(Piece piece, std::size_t slice) {
  if (call_.plan.divide == nullptr) return;
  const Range r = range(piece.chunk, slice);
  call_.plan.divide(piece.place == Place::scratch ? scratch_.kept() : output_at(r), r.count,
                    call_.plan.divisor);
}

void HostExecutor::copy_input(int chunk, std::size_t slice) {
  const Range r = range(chunk, slice);
  if (r.count > 0 && input_at(r) != output_at(r))
    copy_bytes(output_at(r), input_at(r), r.count * call_.plan.element_bytes);
}

void HostExecutor::send_input(int peer) {
  ++step_;
  Out out = out_to({peer}, Piece{Place::input, kWholeInput});
  out.source = call_.plan.input;
  out.bytes = whole_bytes();
  out.ref = ref_of(out);
  next({.sent = false}, out, {});
  send_now(out);
}

void HostExecutor::wait_input(int rank, int chunk, std::size_t slice) {
  waited_ = chunk == kWholeInput ? Range{0, call_.plan.chunks.total()} : range(chunk, slice);
  if (rank == peers_.rank()) return set_aside_own();
  step_ = next_step(slice);
  slice_ = slice;
  next({.received = false}, {}, in_from({rank}, Piece{Place::input, chunk}));
}

// In place the output is about to cover the own input, so that is copied; it is at most a slot.
void HostExecutor::set_aside_own() {
  own_view_ = input_at(waited_);
  if (call_.plan.input != call_.plan.output || waited_.count == 0) return;
  copy_bytes(scratch_.kept(), own_view_, waited_.count * call_.plan.element_bytes);
  own_view_ = scratch_.kept();
}

// Where rank `rank`'s contribution to a range can be read.
const std::byte* HostExecutor::view(int rank, Range r) {
  const std::byte* first = own_view_;
  if (rank != peers_.rank())
    first = message_of(*edges_.from[index(rank)], rank, waited_.count * call_.plan.element_bytes);
  return first + (r.begin - waited_.begin) * call_.plan.element_bytes;
}

void HostExecutor::reduce_input(int chunk, int from, int order, std::size_t slice) {
  const Range r = range(chunk, slice);
  if (r.count == 0) return;
  const std::byte* contribution = view(from, r);
  if (order == 1)
    first_ = contribution;
  else
    call_.plan.reduce(output_at(r), order == 2 ? first_ : output_at(r), contribution, r.count);
}

void HostExecutor::release_inputs(std::size_t) {
  for (std::optional<ReceiveEnd>& end : edges_.from)
    if (end) waiter_.call().done_reading(*end);
}

void HostExecutor::wait_reads() {
  waiter_.send_all();
  if (!has_exposed_) return;
  wait_reads_of(edges_.right, edges_.right_rank);
  for (std::size_t peer = 0; peer < edges_.to.size(); ++peer)
    wait_reads_of(edges_.to[peer], static_cast<int>(peer));
}

// A rank that gets here has sent all its messages of the call. So it is ahead of whoever still
// waits for one, which was lost (comm/diagnostics/report.cc).
void HostExecutor::wait_reads_of(std::optional<SendEnd>& end, int rank) {
  if (!end || !end->has_exposed()) return;
  waiter_.wait(
      rank, [&] { return end->exposed_is_read(); },
      [&] { return "waiting for " + peers_.name(rank) + " to read what this rank exposes"; },
      UINT64_MAX);
}

void HostExecutor::check_flag(const ReceiveEnd& end, int from_rank) {
  if (end.is_of(call_.fingerprint)) [[likely]]
    return;
  waiter_.call().check_flag(end, from_rank, call_.fingerprint, [this] { return at_step(); });
}

std::string HostExecutor::name_of(Piece piece) const {
  return piece.chunk == kWholeInput ? "all of the input" : text("chunk %d", piece.chunk);
}

std::string HostExecutor::at_step() const {
  const int steps = steps_of(call_.plan.what, call_.algorithm, {peers_.rank(), peers_.size()});
  std::string where = text("waiting in step %d of %d", step_, steps);
  if (slices() > 1) where += text(" of slice %zu of %zu", slice_ + 1, slices());
  return where;
}

}  // namespace ringside
