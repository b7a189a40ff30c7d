// What is measured: an operation as a call on two buffers, made by one library or another.
//
// Every table, check and comparison speaks of an Operation (comm/algorithms/operation.h). Here
// stands what it reads and writes where each rank has two buffers, and the one interface behind
// which ringside and its baselines make the call.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/algorithms/chunks.h"
#include "comm/algorithms/operation.h"
#include "comm/communicator.h"
#include "comm/host/choice.h"
#include "comm/host/plan.h"
#include "tools/support/buffers.h"

namespace ringside::tools {

// As options, tables and JSON have it. A row of send_recv is one step of a ring: each rank sends
// `count` elements to its right and receives as many from its left, both at once.
constexpr const char* row_name(Kind kind) { return traits(kind).option; }

// What bench measures, in the order of tables and help.
inline constexpr std::array kMeasuredKinds = {
    Kind::all_reduce, Kind::reduce_scatter,   Kind::all_gather,   Kind::broadcast,
    Kind::reduce,     Kind::gather,           Kind::scatter,      Kind::all_to_all,
    Kind::send_recv,  Kind::reduce_scatter_v, Kind::all_gather_v, Kind::barrier};
// Those of them that ring_allreduce shows and price predicts.
inline constexpr std::span kPlainCollectives = std::span(kMeasuredKinds).first<8>();

// What nccl-tests multiplies by, so that a perfect algorithm shows the bandwidth of a link whatever
// the number of ranks: the share of the buffer that the busiest link must carry.
constexpr double bus_factor(Kind kind, int size) {
  const double n = size;
  if (kind == Kind::all_reduce) return 2 * (n - 1) / n;
  const bool whole = kind == Kind::broadcast || kind == Kind::reduce || kind == Kind::send_recv;
  return whole ? 1 : (n - 1) / n;
}

// broadcast has only one buffer, all_to_all and send_recv always have two, a barrier has none.
constexpr bool has_in_place(Kind kind) {
  return kind != Kind::broadcast && kind != Kind::all_to_all && kind != Kind::send_recv &&
         kind != Kind::barrier;
}
// Each rank's count where they differ: rank r has r + 1 shares of the `count` elements, so the last
// rank of n has n times as many as the first. Adds up to `count`.
std::vector<std::size_t> ragged_counts(std::size_t count, int size);

// The same for the calls of a library, which are timed: worked out for the first one, and kept
// while the calls are alike. `unit`: what each count is multiplied by.
template <class Count>
class KeptCounts {
 public:
  const std::vector<Count>& of(std::size_t count, int size, std::size_t unit = 1) {
    if (kept_.empty() || count != count_ || size != size_ || unit != unit_) {
      kept_.clear();
      for (const std::size_t it : ragged_counts(count, size))
        kept_.push_back(static_cast<Count>(it * unit));
      count_ = count, size_ = size, unit_ = unit;
    }
    return kept_;
  }

 private:
  std::size_t count_ = 0, unit_ = 0;
  int size_ = 0;
  std::vector<Count> kept_;
};

// The operation that a row of `size_bytes` is: rounded down to whole elements on every rank.
Operation operation_of(Kind kind, DType dtype, Reduction reduction, std::size_t size_bytes,
                       int size);

// A rank's part of the whole, where ranks have parts.
Range part_of_rank(const Operation& what, int rank, int size);

// In elements: the whole buffer, and what one rank reads and writes (0 where only the root does).
std::size_t whole_count(const Operation& what, int size);
std::size_t input_count(const Operation& what, int rank, int size);
std::size_t output_count(const Operation& what, int rank, int size);

// One call's memory: where it reads and where it writes.
struct Sides {
  std::byte* send;
  std::byte* recv;
};
Sides sides_of(Buffers& buffers, const Operation& what, bool in_place, int rank, int size);

// Makes the call. `counts`: each rank's, for the operations on _v. `at_once`: by the call that
// returns a Work; else that is empty.
Work make_call(Communicator& comm, const Operation& what, Sides at,
               std::span<const std::size_t> counts, bool at_once);

// The plan that a call of `what` on these buffers has; not for send_recv, which has none. Touches
// nothing.
Plan plan_of(const HostSettings& settings, Operation what, Sides at);

// What the ranks of `comm` agreed on at the start.
HostSettings settings_of(const Communicator& comm);

// A library whose calls are measured: ringside, or a baseline (baseline.h).
class Library {
 public:
  virtual ~Library() = default;

  virtual const char* name() const = 0;

  // Collective. `what` is what part_of() answered.
  virtual void call(const Operation& what, Sides at) = 0;

  // The same call in two halves, between which the caller does something else. A library that has
  // no calls that return at once makes it in the first.
  virtual void start(const Operation& what, Sides at) { call(what, at); }
  virtual void finish() {}

  // What this library does where a row asks for `what`; nothing if it cannot. `note` says in what
  // it differs or why there is nothing, as a sentence for the foot of the table.
  struct Part {
    std::optional<Operation> what;
    std::string note;
  };
  virtual Part part_of(const Operation& what) const { return {what, ""}; }

  // Around a sample, and not timed: before the ranks meet for it, and after it.
  virtual void prepare() {}
  virtual void recover() {}

  // Whether its floating-point results have the bits that comm/algorithms/ring.h promises. A
  // library that adds in another order is right within the rounding of its additions.
  virtual bool has_our_bits() const { return false; }
};

class Ringside : public Library {
 public:
  explicit Ringside(Communicator& comm) : comm_(comm) {}
  const char* name() const override { return "ringside"; }
  void call(const Operation& what, Sides at) override { make(what, at, false); }
  void start(const Operation& what, Sides at) override { work_ = make(what, at, true); }
  void finish() override { work_.wait(); }
  bool has_our_bits() const override { return true; }

 private:
  Work make(const Operation& what, Sides at, bool at_once) {
    std::span<const std::size_t> counts;
    if (is_ragged(what.kind)) counts = counts_.of(what.count, comm_.size());
    return make_call(comm_, what, at, counts, at_once);
  }

  Communicator& comm_;
  Work work_;
  KeptCounts<std::size_t> counts_;
};

}  // namespace ringside::tools
