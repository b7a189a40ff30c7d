// The oracle: what a collective must compute, to the bit, worked out in another way than the
// library does.
//
// It is written from the promise and not from the code: elements are cut into chunks by dealing
// them out, a chunk c of n is the left fold of the ranks' contributions in the order c+1, c+2, …,
// c, f16 and bf16 are rounded by arithmetic on doubles (the library shifts bits), integers are
// computed in 128 bits and cut (the library lets unsigned numbers wrap). It shares only the
// library's names: DType, Reduction, and the two storage types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/dtype.h"
#include "kernels/reduction.h"

namespace ringside::test {

using Bytes = std::vector<std::byte>;

// Which rank's chunk element i of `count` belongs to: as equal as can be, longer chunks first.
int chunk_of_element(std::size_t i, std::size_t count, int ranks);

// The same where rank r's chunk has counts[r] elements.
int chunk_of_element(std::size_t i, const std::vector<std::size_t>& counts);

// The order in which the ranks' contributions to chunk c are added.
std::vector<int> rotated_order(int chunk, int ranks);

// The reduction of one buffer a rank, all of `count` elements. `counts`, if there are any, say how
// long each rank's chunk is.
Bytes expected_reduction(const std::vector<Bytes>& inputs, std::size_t count, DType dtype,
                         Reduction reduction, const std::vector<std::size_t>& counts = {});

// The same for element i alone, folding the given ranks in the given order and dividing by
// `divisor` for avg. What a wrong order, a lost or a doubled contribution would give.
Bytes folded_element(const std::vector<Bytes>& inputs, std::size_t i, const std::vector<int>& order,
                     DType dtype, Reduction reduction, int divisor);

// Inputs on which mistakes show: magnitudes spread, no element a reduction's neutral one.
// `special` mixes in zeros of both signs, infinities, NaNs, denormals and the largest numbers.
Bytes make_input(int rank, std::size_t count, DType dtype, Reduction reduction, std::uint64_t seed,
                 bool special = false);

// Where two buffers differ, in words; empty if they are equal bit for bit. Any NaN equals any
// other: which NaN comes out is not promised.
std::string difference(const void* got, const void* expected, std::size_t count, DType dtype);

}  // namespace ringside::test
