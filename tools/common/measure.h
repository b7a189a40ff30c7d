// Measuring one row of a table: one operation, type, reduction and size, out of place and in place.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "comm/communicator.h"
#include "comm/operation.h"
#include "tools/common/arguments.h"

namespace ringside::tools {

struct Timing {
  double time_us = 0;
  double algbw_gbs = 0;   // size / time; GB = 10⁹ bytes
  double busbw_gbs = 0;   // algbw × bus_factor
  std::size_t wrong = 0;  // elements, over all ranks
};

struct Row {
  Operation what;
  std::size_t size_bytes = 0;  // of the whole buffer, of all parts where ranks have parts
  Timing out_of_place;
  std::optional<Timing> in_place;  // broadcast has only one buffer, all_to_all always two
};

// What nccl-tests multiplies by, so that a perfect algorithm shows the bandwidth of a link whatever
// the number of ranks: the share of the buffer that the busiest link must carry.
constexpr double bus_factor(Kind kind, int size) {
  const double n = size;
  if (kind == Kind::all_reduce) return 2 * (n - 1) / n;
  return kind == Kind::broadcast || kind == Kind::reduce ? 1 : (n - 1) / n;
}

// Whether a table of this kind has a line for each reduction.
constexpr bool has_reduction(Kind kind) {
  return kind == Kind::all_reduce || kind == Kind::reduce_scatter || kind == Kind::reduce ||
         kind == Kind::reduce_scatter_v;
}
constexpr bool has_root(Kind kind) {
  return kind == Kind::broadcast || kind == Kind::reduce || kind == Kind::gather ||
         kind == Kind::scatter;
}

// Two buffers, made and touched once for the largest size.
class Buffers {
 public:
  explicit Buffers(std::size_t bytes) : first_(bytes), second_(bytes) {}
  std::byte* first() { return first_.data(); }
  std::byte* second() { return second_.data(); }

 private:
  std::vector<std::byte> first_;
  std::vector<std::byte> second_;
};

// Collective. `size_bytes` is rounded down to whole elements on every rank.
Row measure_row(Communicator& comm, Buffers& buffers, Kind kind, DType dtype, Reduction reduction,
                std::size_t size_bytes, const Arguments& arguments);

// Runs `what` once on inputs from the oracle, into poisoned outputs, and returns the wrong elements
// of all ranks. Collective.
std::size_t check_once(Communicator& comm, Buffers& buffers, const Operation& what, bool in_place);

}  // namespace ringside::tools
