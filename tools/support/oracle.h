// The oracle: what a collective must compute, to the bit, worked out in another way than the
// library does. The tools ask it, and so do the tests.
//
// It is written from the promise and not from the code: elements are dealt out to chunks, chunk c
// of n is the left fold of the ranks' contributions in the order c+1, c+2, …, c (of an all_reduce
// in groups, what comm/algorithms/hierarchical.h states), and the arithmetic is its own
// (oracle_arithmetic.h). It shares only the library's names: Operation, DType,
// Reduction, and the two storage types.
//
// Inputs are numbers that any rank can compute for any other: a function of (rank, element). They
// have varied signs, magnitudes and low bits, so that adding them in another order, losing one or
// adding one twice changes the result. (nccl-tests chooses inputs whose sum is exact in any order;
// that hides all three but loss.) tests/collectives/oracle_check.cc tests that claim.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/algorithms/operation.h"

namespace ringside::tools {

using Bytes = std::vector<std::byte>;

// --- inputs ---

struct InputKind {
  std::uint64_t seed = 0;
  // Mixes in zeros of both signs, infinities, NaNs, denormals and the largest numbers.
  bool special = false;
};

// Fills `count` elements: the contribution of `rank` to elements first, first + 1, …
void fill_input(void* target, std::size_t count, DType dtype, Reduction reduction, int rank,
                std::size_t first = 0, InputKind kind = {});
Bytes make_input(int rank, std::size_t count, DType dtype, Reduction reduction, std::uint64_t seed,
                 bool special = false);

// --- chunks and their order ---

// How many of `count` elements each rank's chunk has: as equal as can be, longer chunks first.
std::vector<std::size_t> dealt(std::size_t count, int ranks);

// The order in which the ranks' contributions to chunk c are folded.
std::vector<int> rotated_order(int chunk, int ranks);

// --- outputs ---

// Who made a call, and what each brought: the caller is `rank` of `size`.
struct Callers {
  int rank = 0;
  int size = 1;
  std::span<const int> inputs = {};  // rank r brought the input of inputs[r]; empty: its own
  std::size_t first = 0;             // fill_input's
  std::span<const std::size_t> counts = {};  // of the parts, where they differ
  int group_ranks = 0;                       // of an all_reduce in groups; 0: by the ring's order
};

// How many of the elements of `output` differ from what `what` must give on `rank` of `size`, when
// each rank's input was fill_input. `output` is all of what the call writes. Two NaNs count as the
// same. Where each rank has a count of its own, they are ragged_counts (call.h).
std::size_t count_wrong(const void* output, const Operation& what, int rank, int size,
                        int group_ranks = 0);

struct Wrong {
  std::size_t count = 0;
  std::size_t first = 0;  // the first of them in `output`
};
Wrong find_wrong(const void* output, const Operation& what, const Callers& callers);

// The same for a library that adds in an order of its own. Where that changes bits (sum and product
// of floating-point numbers), an element is wrong if it is further from the exact result than n − 1
// roundings can take it: |error| ≤ γ·Σ|xᵢ| for a sum and γ·|Πxᵢ| for a product, where
// γ = (n−1)u / (1 − (n−1)u) and u is half a unit in the last place of 1 (N. Higham, Accuracy and
// Stability of Numerical Algorithms, chapters 3 and 4). Everything else is compared bit for bit.
std::size_t count_beyond_rounding(const void* output, const Operation& what, int rank, int size);

// What the call must give where rank r brought inputs[r], as long as the call reads.
Bytes expected_output(const Operation& what, const Callers& callers,
                      const std::vector<Bytes>& inputs);

// Element `index` alone, folded over the given ranks in the given order and divided by the number
// of inputs for avg: what a wrong order, a lost or a doubled contribution would give.
Bytes folded_element(const std::vector<Bytes>& inputs, std::size_t index,
                     const std::vector<int>& order, DType dtype, Reduction reduction);

// Where two buffers differ, in words; empty if they are equal bit for bit, but for NaNs.
std::string difference(const void* got, const void* expected, std::size_t count, DType dtype);

}  // namespace ringside::tools
