// The oracle: what a collective must give, computed apart from it on every rank.
//
// Inputs are numbers that any rank can compute for any other: a function of (rank, element). They
// have varied signs, magnitudes and low bits, so that adding them in another order, losing one or
// adding one twice changes the result. (nccl-tests chooses inputs whose sum is exact in any order;
// that hides all three but loss.) The expected result is the fold that ring.h states, one element
// at a time.
#pragma once

#include <cstddef>
#include <span>

#include "comm/algorithms/operation.h"

namespace ringside::tools {

// Fills `count` elements: the contribution of `rank` to elements first, first + 1, …
void fill_input(void* target, std::size_t count, DType dtype, Reduction reduction, int rank,
                std::size_t first = 0);

// How many of the elements of `output` differ in any bit from what `what` must give on `rank` of
// `size`, when each rank's input was fill_input. `output` is all of what the call writes. Two NaNs
// count as the same. Where each rank has a count of its own, they are ragged_counts (call.h).
std::size_t count_wrong(const void* output, const Operation& what, int rank, int size);

// Who made a call, and what each brought: the caller is `rank` of `size`.
struct Callers {
  int rank = 0;
  int size = 1;
  std::span<const int> inputs = {};  // rank r brought the input of inputs[r]; empty: its own
  std::size_t first = 0;             // fill_input's
  std::span<const std::size_t> counts = {};  // of the parts, where they differ
};

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

}  // namespace ringside::tools
