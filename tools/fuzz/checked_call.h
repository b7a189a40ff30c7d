// One call of a random program on one rank: its memory, the call itself, and the judgement of what
// came of it.
//
// All that a call touches lies in one block, with guards around each buffer. Afterwards every
// output is compared with the oracle, bit for bit, and every other byte (guards, inputs, the parts
// of an in-place buffer that are not its output) with what it was before.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/error.h"
#include "comm/work.h"
#include "tools/fuzz/random_program.h"
#include "tools/support/call.h"
#include "tools/support/oracle.h"

namespace ringside::tools {

class StressJob {
 public:
  // `member`: this rank in the step's group. `random`: this rank's own choices, such as where the
  // buffers begin, which need not be alike anywhere else.
  StressJob(const Step& step, int member, std::mt19937_64& random) : step_(step), member_(member) {
    if (step_.what == Step::What::messages)
      plan_messages(random);
    else
      plan_collective(random);
  }
  StressJob(const StressJob&) = delete;
  StressJob& operator=(const StressJob&) = delete;

  // Makes the call, blocking or not as the step has it.
  void start(Communicator& comm) {
    group_ranks_ = comm.options().group_ranks;
    if (step_.what == Step::What::messages)
      start_messages(comm);
    else
      work_ = make_call(comm, step_.operation, {at(send_), at(recv_)}, step_.counts, step_.async);
  }
  Work& work() { return work_; }

  // Once the call has ended. Empty if all is right, otherwise a sentence.
  std::string judge() {
    for (const Output& it : outputs_) {
      const Callers callers = {.rank = member_,
                               .size = step_.group.size(),
                               .inputs = step_.group.members,
                               .first = it.first,
                               .counts = step_.counts,
                               .group_ranks = group_ranks_};
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

  // Before that: changes one bit of the result, to see that it is noticed.
  void spoil() {
    const Buffer& buffer = outputs_.at(0).buffer;
    memory_[buffer.offset + buffer.bytes / 2] ^= std::byte{1};
  }

  const Step& step() const { return step_; }
  std::size_t bytes() const { return memory_.size(); }
  std::size_t elements() const {  // of its outputs
    std::size_t sum = 0;
    for (const Output& it : outputs_) sum += it.count;
    return sum;
  }

 private:
  static constexpr std::size_t kGuardBytes = 64;

  struct Buffer {
    std::size_t offset = 0;
    std::size_t bytes = 0;
  };
  struct Output {
    Buffer buffer;
    Operation what;  // what the oracle is asked: a message is a copy of its sender's input
    std::uint64_t first = 0;
    std::size_t count = 0;  // elements
  };

  void plan_collective(std::mt19937_64& random) {
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
    if (shape.output > 0) outputs_.push_back({recv_, what, first_of(), shape.output});
    std::fill(memory_.begin(), memory_.end(), poison());
    if (shape.input > 0) {
      const Reduction reduction = has_reduction(what.kind) ? what.reduction : Reduction::sum;
      fill({send_.offset, shape.input * each}, what.dtype, reduction, first_of());
    }
    before_ = memory_;
  }

  void plan_messages(std::mt19937_64& random) {
    for (std::size_t i = 0; i < step_.letters.size(); ++i) {
      const Letter& it = step_.letters[i];
      if (!concerns_us(it)) continue;
      messages_.push_back(add_buffer(it.count * bytes_of(it.dtype), random));
      if (it.to != member_ || it.count == 0) continue;
      const Operation what = {
          .kind = Kind::broadcast, .dtype = it.dtype, .root = it.from, .count = it.count};
      outputs_.push_back({messages_.back(), what, first_of(i), it.count});
    }
    std::fill(memory_.begin(), memory_.end(), poison());
    std::size_t mine = 0;
    for (std::size_t i = 0; i < step_.letters.size(); ++i) {
      const Letter& it = step_.letters[i];
      if (!concerns_us(it)) continue;
      if (it.from == member_) fill(messages_[mine], it.dtype, Reduction::sum, first_of(i));
      ++mine;
    }
    before_ = memory_;
  }

  bool concerns_us(const Letter& it) const { return it.from == member_ || it.to == member_; }

  // Where the inputs of a call begin in the oracle's numbers: apart for each call, so that what an
  // earlier one has left somewhere is wrong here.
  std::uint64_t first_of(std::size_t letter = 0) const {
    return step_.number << 40 | static_cast<std::uint64_t>(letter) << 32;
  }

  // Guards and outputs hold this before the call, another byte for each call.
  std::byte poison() const { return static_cast<std::byte>(0xa5 ^ (step_.number * 37)); }

  Buffer add_buffer(std::size_t bytes, std::mt19937_64& random) {
    const std::size_t offset = memory_.size() + kGuardBytes + random() % 16;
    memory_.resize(offset + bytes + kGuardBytes);
    return {offset, bytes};
  }

  void fill(const Buffer& buffer, DType dtype, Reduction reduction, std::uint64_t first) {
    const int input = step_.group.members[static_cast<std::size_t>(member_)];
    fill_input(at(buffer), buffer.bytes / bytes_of(dtype), dtype, reduction, input, first);
  }

  void start_messages(Communicator& comm) {
    std::vector<Message> batch;
    for (const Letter& it : step_.letters) {
      if (!concerns_us(it)) continue;
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

  std::byte* at(const Buffer& buffer) { return memory_.data() + buffer.offset; }

  const Step step_;
  const int member_;
  int group_ranks_ = 0;
  Buffer send_, recv_;            // of a collective
  std::vector<Buffer> messages_;  // of each letter that is from or to this rank
  std::vector<Output> outputs_;
  std::vector<std::byte> memory_, before_;
  Work work_;
};

}  // namespace ringside::tools
