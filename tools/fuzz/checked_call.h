// One call of a random program on one rank: its memory, the call itself, and the judgement of what
// came of it.
//
// All that a call touches lies in one block, with guards around each buffer. Afterwards every
// output is compared with the oracle, bit for bit, and every other byte (guards, inputs, the parts
// of an in-place buffer that are not its output) with what it was before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/work.h"
#include "tools/fuzz/random_program.h"

namespace ringside::tools {

class StressJob {
 public:
  // `member`: this rank in the step's group. `random`: this rank's own choices, such as where the
  // buffers begin, which need not be alike anywhere else.
  StressJob(const Step& step, int member, std::mt19937_64& random);
  StressJob(const StressJob&) = delete;
  StressJob& operator=(const StressJob&) = delete;

  // Makes the call, blocking or not as the step has it.
  void start(Communicator& comm);
  Work& work() { return work_; }

  // Once the call has ended. Empty if all is right, otherwise a sentence.
  std::string judge();

  // Before that: changes one bit of the result, to see that it is noticed.
  void spoil();
  bool has_output() const { return elements() > 0; }

  const Step& step() const { return step_; }
  std::size_t elements() const;  // of its outputs
  std::size_t bytes() const { return memory_.size(); }

 private:
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

  void plan_collective(std::mt19937_64& random);
  void plan_messages(std::mt19937_64& random);
  Buffer add_buffer(std::size_t bytes, std::mt19937_64& random);
  void fill(const Buffer& buffer, DType dtype, Reduction reduction, std::uint64_t first);

  void start_collective(Communicator& comm);
  void start_messages(Communicator& comm);
  std::byte* at(const Buffer& buffer) { return memory_.data() + buffer.offset; }

  const Step step_;
  const int member_;
  Buffer send_, recv_;            // of a collective
  std::vector<Buffer> messages_;  // of each letter that is from or to this rank
  std::vector<Output> outputs_;
  std::vector<std::byte> memory_, before_;
  Work work_;
};

}  // namespace ringside::tools
