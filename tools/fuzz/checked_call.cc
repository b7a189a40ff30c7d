// Laying out, calling, judging.
#include "tools/fuzz/checked_call.h"

#include <algorithm>
#include <cstring>

#include "comm/algorithms/chunks.h"
#include "comm/error.h"
#include "tools/support/call.h"
#include "tools/support/oracle.h"

namespace ringside::tools {
namespace {

constexpr std::size_t kGuardBytes = 64;

// Where the inputs of a call begin in the oracle's numbers: apart for each call, so that what an
// earlier one has left somewhere is wrong here.
std::uint64_t first_of(const Step& step, std::size_t letter = 0) {
  return step.number << 40 | static_cast<std::uint64_t>(letter) << 32;
}

// Guards and outputs hold this before the call, another byte for each call.
std::byte poison(const Step& step) { return static_cast<std::byte>(0xa5 ^ (step.number * 37)); }

}  // namespace

StressJob::StressJob(const Step& step, int member, std::mt19937_64& random)
    : step_(step), member_(member) {
  if (step_.what == Step::What::messages)
    plan_messages(random);
  else
    plan_collective(random);
}

StressJob::Buffer StressJob::add_buffer(std::size_t bytes, std::mt19937_64& random) {
  const std::size_t offset = memory_.size() + kGuardBytes + random() % 16;
  memory_.resize(offset + bytes + kGuardBytes);
  return {offset, bytes};
}

void StressJob::plan_collective(std::mt19937_64& random) {
  const Operation& what = step_.operation;
  const Shape shape = shape_of(step_, member_);
  const std::size_t each = bytes_of(what.dtype), own_bytes = shape.own_first * each;
  const Buffer whole = add_buffer(std::max(shape.input, shape.output) * each, random);
  send_ = recv_ = whole;
  if (!step_.in_place && what.kind != Kind::broadcast) {
    send_.bytes = shape.input * each;
    recv_ = add_buffer(shape.output * each, random);
  } else if (shape.output < shape.input && shape.output > 0) {
    recv_ = {whole.offset + own_bytes, shape.output * each};
  } else if (shape.input < shape.output && shape.input > 0 && what.kind != Kind::broadcast) {
    send_ = {whole.offset + own_bytes, shape.input * each};
  }
  if (shape.output > 0) outputs_.push_back({recv_, what, first_of(step_), shape.output});
  std::fill(memory_.begin(), memory_.end(), poison(step_));
  if (shape.input > 0) {
    const Reduction reduction = has_reduction(what.kind) ? what.reduction : Reduction::sum;
    fill({send_.offset, shape.input * each}, what.dtype, reduction, first_of(step_));
  }
  before_ = memory_;
}

void StressJob::plan_messages(std::mt19937_64& random) {
  for (std::size_t i = 0; i < step_.letters.size(); ++i) {
    const Letter& it = step_.letters[i];
    if (it.from != member_ && it.to != member_) continue;
    messages_.push_back(add_buffer(it.count * bytes_of(it.dtype), random));
    if (it.to != member_ || it.count == 0) continue;
    const Operation what = {
        .kind = Kind::broadcast, .dtype = it.dtype, .root = it.from, .count = it.count};
    outputs_.push_back({messages_.back(), what, first_of(step_, i), it.count});
  }
  std::fill(memory_.begin(), memory_.end(), poison(step_));
  std::size_t mine = 0;
  for (std::size_t i = 0; i < step_.letters.size(); ++i) {
    const Letter& it = step_.letters[i];
    if (it.from != member_ && it.to != member_) continue;
    if (it.from == member_) fill(messages_[mine], it.dtype, Reduction::sum, first_of(step_, i));
    ++mine;
  }
  before_ = memory_;
}

void StressJob::fill(const Buffer& buffer, DType dtype, Reduction reduction, std::uint64_t first) {
  const int input = step_.group.members[static_cast<std::size_t>(member_)];
  fill_input(at(buffer), buffer.bytes / bytes_of(dtype), dtype, reduction, input, first);
}

void StressJob::start(Communicator& comm) {
  if (step_.what == Step::What::messages)
    start_messages(comm);
  else
    start_collective(comm);
}

void StressJob::start_collective(Communicator& comm) {
  const Operation& it = step_.operation;
  const std::byte* send = at(send_);
  std::byte* recv = at(recv_);
  const auto root = it.root;
  // The blocking call, or its asynchronous twin: the same arguments.
  const auto call = [&](auto blocking, auto twin, const auto&... arguments) {
    if (step_.async)
      work_ = (comm.*twin)(arguments...);
    else
      (comm.*blocking)(arguments...);
  };
  using C = Communicator;
  switch (it.kind) {
    case Kind::all_reduce:
      return call(&C::all_reduce, &C::all_reduce_async, send, recv, it.count, it.dtype,
                  it.reduction);
    case Kind::reduce_scatter:
      return call(&C::reduce_scatter, &C::reduce_scatter_async, send, recv, it.count, it.dtype,
                  it.reduction);
    case Kind::all_gather:
      return call(&C::all_gather, &C::all_gather_async, send, recv, it.count, it.dtype);
    case Kind::broadcast:
      return call(&C::broadcast, &C::broadcast_async, recv, it.count, it.dtype, root);
    case Kind::reduce:
      return call(&C::reduce, &C::reduce_async, send, recv, it.count, it.dtype, it.reduction, root);
    case Kind::gather:
      return call(&C::gather, &C::gather_async, send, recv, it.count, it.dtype, root);
    case Kind::scatter:
      return call(&C::scatter, &C::scatter_async, send, recv, it.count, it.dtype, root);
    case Kind::all_to_all:
      return call(&C::all_to_all, &C::all_to_all_async, send, recv, it.count, it.dtype);
    case Kind::reduce_scatter_v:
      return call(&C::reduce_scatter_v, &C::reduce_scatter_v_async, send, recv,
                  std::span<const std::size_t>(step_.counts), it.dtype, it.reduction);
    case Kind::all_gather_v:
      return call(&C::all_gather_v, &C::all_gather_v_async, send, recv,
                  std::span<const std::size_t>(step_.counts), it.dtype);
    default:
      return call(&C::barrier, &C::barrier_async);
  }
}

void StressJob::start_messages(Communicator& comm) {
  std::vector<Message> batch;
  for (const Letter& it : step_.letters) {
    if (it.from != member_ && it.to != member_) continue;
    std::byte* buffer = at(messages_[batch.size()]);
    batch.push_back(it.from == member_ ? Message::to(it.to, buffer, it.count, it.dtype)
                                       : Message::from(it.from, buffer, it.count, it.dtype));
  }
  if (step_.letters.size() == 1 && !batch.empty()) {
    const Message& it = batch[0];
    if (it.is_send && step_.async)
      work_ = comm.send_async(it.source, it.count, it.dtype, it.peer);
    else if (it.is_send)
      comm.send(it.source, it.count, it.dtype, it.peer);
    else if (step_.async)
      work_ = comm.recv_async(it.target, it.count, it.dtype, it.peer);
    else
      comm.recv(it.target, it.count, it.dtype, it.peer);
  } else if (step_.async) {
    work_ = comm.exchange_async(batch);
  } else {
    comm.exchange(batch);
  }
}

std::size_t StressJob::elements() const {
  std::size_t sum = 0;
  for (const Output& it : outputs_) sum += it.count;
  return sum;
}

void StressJob::spoil() {
  const Buffer& buffer = outputs_.at(0).buffer;
  memory_[buffer.offset + buffer.bytes / 2] ^= std::byte{1};
}

std::string StressJob::judge() {
  for (const Output& it : outputs_) {
    const Callers callers = {.rank = member_,
                             .size = step_.group.size(),
                             .inputs = step_.group.members,
                             .first = it.first,
                             .counts = step_.counts};
    const Wrong wrong = find_wrong(at(it.buffer), it.what, callers);
    if (wrong.count > 0)
      return text("%zu of %zu elements are wrong, the first is number %zu", wrong.count, it.count,
                  wrong.first);
    // Judged; what is left must be as it was.
    std::memcpy(at(it.buffer), before_.data() + it.buffer.offset, it.buffer.bytes);
  }
  const auto touched = std::mismatch(memory_.begin(), memory_.end(), before_.begin());
  if (touched.first == memory_.end()) return "";
  const auto offset = static_cast<std::size_t>(touched.first - memory_.begin());
  return text(
      "a byte outside its output was changed: %+td from where the input begins, %+td from "
      "where the output begins",
      static_cast<std::ptrdiff_t>(offset - send_.offset),
      static_cast<std::ptrdiff_t>(offset - recv_.offset));
}

}  // namespace ringside::tools
