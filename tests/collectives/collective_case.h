// One collective call as data: what it is, what each rank gives, and what each must get.
//
//     Case           all_reduce of 7 f16, sum, in place, buffers 3 bytes off alignment, seed 41
//     Expectation    the bytes of every rank before and after, from the oracle
//     perform()      makes the call on one rank and says what is wrong with the outcome
//
// A list of cases is worked out once and then run over many communicators: other slots, other
// transports, memory that is exposed or not. perform() looks at more than the result: outputs are
// poisoned before, inputs must come out as they went in, and no byte beside a buffer may change.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/algorithms/operation.h"
#include "comm/communicator.h"
#include "tests/support/test.h"
#include "tools/support/oracle.h"

namespace ringside::test {

using tools::Bytes;
using tools::difference;
using tools::make_input;

struct Case {
  Operation what;  // for send_recv the root is the sender
  bool in_place = false;
  int misaligned_bytes = 0;
  int receiver = 0;  // send_recv
  std::uint64_t seed = 1;
  bool special = false;  // zeros of both signs, infinities, NaNs … among the inputs
  std::vector<std::size_t> counts = {};  // all_gather_v, reduce_scatter_v: one for each rank
};
std::string describe(const Case& a_case);

// For each rank; empty where a rank has no such buffer.
struct Expectation {
  std::vector<Bytes> inputs;
  std::vector<Bytes> outputs;
};
Expectation expect(const Case& a_case, int ranks);

// Which buffers of a call lie in memory from allocate() (comm/allocate.h), which others read where
// it lies. `together`: both, in one allocation. `in_turn`: each call, and each rank in it, another
// one of these; so some ranks expose, and others do not.
enum class Exposing { nothing, input, output, both, together, in_turn };

// Memory for buffers that the CPU does not reach: a device's (tests/cuda/gpu_rig.h). What a call
// gets lies there; what perform() fills and judges is a copy in the host's memory.
class Elsewhere {
 public:
  virtual ~Elsewhere() = default;
  // Buffer 0 or 1, of this many bytes; the same one each time. Throws if there is no such room.
  virtual std::byte* room(int which, std::size_t bytes) = 0;
  // Return when the bytes are there.
  virtual void write(std::byte* to, const std::byte* from_host, std::size_t bytes) = 0;
  virtual void read(std::byte* to_host, const std::byte* from, std::size_t bytes) = 0;
};

// A rank's memory for one call after another: from allocate(), or elsewhere.
class RankMemory {
 public:
  // With `elsewhere` (which must live longer) buffers lie there, and `exposing` only says whether
  // ranks write over them at once.
  explicit RankMemory(Exposing exposing, Elsewhere* elsewhere = nullptr)
      : exposing_(exposing), elsewhere_(elsewhere) {}

  // Two ranks of three do not look at what a call has brought: they write over all that they have
  // exposed as soon as it returns. Whoever should still read there gets wrong bits, and the third,
  // or the same one in the next call, is one who looks.
  bool writes_at_once(const Case& a_case, int rank) const {
    return exposing_ != Exposing::nothing && (a_case.seed + static_cast<unsigned>(rank)) % 3 != 0;
  }

  // Where `send_bytes` and `recv_bytes` can lie. Null: in memory of another kind. A buffer for both
  // is a `send` without a `recv`.
  struct Places {
    std::byte* send = nullptr;
    std::byte* recv = nullptr;
    Elsewhere* elsewhere = nullptr;  // where both are; null: in the host's memory
  };
  Places places(const Case& a_case, int rank, std::size_t send_bytes, std::size_t recv_bytes);

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  struct Block {
    std::unique_ptr<std::byte, Free> memory;
    std::size_t bytes = 0;
    std::byte* of(std::size_t wanted_bytes);
  };
  Exposing exposing_;
  Elsewhere* elsewhere_;
  Block first_, second_;
};

// Makes the call on this rank. Returns what is wrong, or nothing.
std::string perform(Communicator& comm, const Case& a_case, const Expectation& expected,
                    RankMemory& memory);

// Where the buffers of a rank are to lie; null: in the host's memory. Asked on the rank's thread,
// before it makes its communicator.
using ElsewhereOf = std::function<Elsewhere*(int rank)>;

// Runs all cases, one after another, on a communicator of `ranks` threads.
void run_cases(Context& t, int ranks, const Options& options, const std::vector<Case>& cases,
               const std::vector<Expectation>& expected, Exposing exposing = Exposing::nothing,
               const ElsewhereOf& elsewhere_of = {});
std::vector<Expectation> expect_all(const std::vector<Case>& cases, int ranks);

// Options with which a hang becomes an error long before the test's own time is up, and ranks are
// connected as an OverRig says (tests/transport/network_transport.h).
Options test_options(double timeout_s = 20);
Options with_slots(std::size_t slot_bytes, int slot_count);

// Runs `body` on a communicator of each of `ranks` threads.
void on_ranks(int ranks, const Options& options, const std::function<void(Communicator&)>& body);

// Makes the call, whatever comes of it.
void make_call(Communicator& comm, const Case& a_case, const void* send, void* recv);

}  // namespace ringside::test
