// From a call's arguments to what it means: which operation, on which buffers, in which chunks.
//
// A plan is a value. It says nothing of how the call is carried out: the executor that takes it
// chooses the algorithm and the messages (choice.h on the host, device/calls.h on GPUs), and
// --explain asks there, too. A plan depends on the arguments, the rank and the world size alone, so
// all ranks make fitting ones; it can be made on one thread and carried out on another. Arguments
// that make no sense are refused here, with Error{usage}, when nothing has been sent yet.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "comm/algorithms/chunks.h"
#include "comm/algorithms/operation.h"
#include "comm/algorithms/ring.h"
#include "kernels/loops.h"

namespace ringside {

// Elements of each rank, where they differ.
using RankCounts = std::span<const std::size_t>;

// `input` and `output` may be the same address.
struct Plan {
  Operation what;
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
  std::size_t element_bytes = 1;
  Chunks chunks;
  // The element at which `input` and `output` begin. 0 for a whole buffer; where a rank has only
  // its own chunk (all_gather's input, reduce_scatter's output), that chunk's first element.
  std::size_t input_first = 0;
  std::size_t output_first = 0;
  // How many elements of each this rank uses.
  std::size_t input_count = 0;
  std::size_t output_count = 0;
  ReduceLoop reduce = nullptr;
  DivideLoop divide = nullptr;  // AVG's last step
  int divisor = 1;

  std::size_t whole_bytes() const { return what.count * element_bytes; }
};

// Shapes, in-place rules and meaning as in communicator.h; `self` is this rank among all. `send`
// and `recv` of a broadcast are the same. `counts`: where each rank has one of its own (_v), and
// the plan's operation gets its count and layout from them. Throws Error{usage}.
//
// An all_reduce in groups (hierarchical.h) has another order of additions, so that is part of what
// the call means: `what.root` says of how many ranks they are.
Plan make_plan(const Ring& self, const Operation& what, const void* send, void* recv,
               const RankCounts& counts = {});

// The checks that send and recv share with collectives.
void check_buffer(const Ring& self, Kind kind, const void* buffer, std::size_t count, DType dtype);
void check_peer(const Ring& self, Kind kind, const char* role, int rank);
[[noreturn]] void refuse(const Ring& self, Kind kind, const std::string& why);

}  // namespace ringside
