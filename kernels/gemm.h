// The matrix product whose bits depend on the matrices alone.
//
//     C[i][j] = start + A[i][0]·B[0][j] + A[i][1]·B[1][j] + … + A[i][k−1]·B[k−1][j]
//
// in exactly this order for every element: one accumulator, in float; k steps upwards; each step
// one fused multiply-add, rounded once; at the end one rounding to C's type. `start` is +0, or,
// with `accumulate`, what stands in C. The order is that of the sentence above and of nothing else:
// tile sizes, vector widths, the number of threads, CPU or GPU change no bit. Three things follow
// that parallel training stands on:
//
//   - A product whose columns (of B and C) or rows (of A and C) are spread over ranks has the bits
//     of the whole.
//   - A gradient that is accumulated over micro-batches in a float C has the bits of the gradient
//     of the whole batch.
//   - A run on CPUs is a reference for a run on GPUs, to the bit. (Which NaN is not promised.)
//
// Not promised: that a product split along k (a row-parallel layer) has the bits of the whole. It
// cannot: its partial sums are added in another order.
//
// The price is speed on a GPU: tensor cores add in an order of their own. kernels/cuda/blas.h is
// there for those who want speed and not bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/dtype.h"

namespace ringside {

// Which operand is stored transposed. A linear layer Y = X·Wᵀ with W of (outputs × inputs) needs
// all three: Y = X·Wᵀ is nt, dX = dY·W is nn, dW = dYᵀ·X is tn.
enum class GemmForm : std::uint8_t {
  nn,  // A is m × k, B is k × n
  nt,  // A is m × k, B is n × k
  tn,  // A is k × m, B is k × n
};

inline constexpr std::array kAllGemmForms = {GemmForm::nn, GemmForm::nt, GemmForm::tn};

constexpr const char* name_of(GemmForm form) {
  switch (form) {
    case GemmForm::nn:
      return "nn";
    case GemmForm::nt:
      return "nt";
    case GemmForm::tn:
      return "tn";
  }
  return "?";
}

// One product. Matrices are row-major; a pitch is the distance in elements from one row to the
// next, as stored, so that a block of a larger matrix can take part. 0: the rows lie densely.
struct Gemm {
  GemmForm form = GemmForm::nn;
  std::size_t m = 0, n = 0, k = 0;  // C is m × n
  DType in = DType::f32;            // of A and B: f32, f16 or bf16
  DType out = DType::f32;           // of C: f32, or the same as `in`
  bool accumulate = false;
  std::size_t pitch_a = 0, pitch_b = 0, pitch_c = 0;
};

// The same with every pitch filled in. Throws std::invalid_argument with a sentence if `it` is no
// product that can be computed.
Gemm checked(Gemm it);

// On the CPU, on one core. C overlaps neither A nor B; each is aligned as its type wants to be.
void gemm(const Gemm& what, void* c, const void* a, const void* b);

}  // namespace ringside
