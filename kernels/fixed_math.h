// Mathematics whose bits are the same on a CPU and on a GPU.
//
// The C library's expf and CUDA's expf are both good, and differ in their last bits. A training run
// that is to be held against a reference bit for bit can use neither. What both sides agree on, by
// IEEE 754, are + − × ÷, the square root and the fused multiply-add, each rounded once and to
// nearest; so everything here is made of these, in an order that is written down.
//
// A fused multiply-add is only ever asked for by name (`fused`): the compilers may not make one of
// a·b + c by themselves (-ffp-contract=off, nvcc -fmad=false), as they would do it on one side and
// not on the other.
#pragma once

#include <cstdint>

#include "kernels/float16.h"
#include "kernels/hd.h"

namespace ringside {

// a·b + c, rounded once. On an x86 processor without such an instruction, or in a file that is
// built without leave to use it, this is a call of the C library: the same bits, slowly.
RINGSIDE_HD float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

RINGSIDE_HD float square_root(float value) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(value);
#else
  return __builtin_sqrtf(value);
#endif
}

// The bounds are ordinary comparisons, in this form, so that a NaN passes through.
RINGSIDE_HD constexpr float clamped(float value, float least, float most) {
  const float not_more = value > most ? most : value;
  return not_more < least ? least : not_more;
}

// 2^t for −126 <= t <= 128, off by less than 1.2·2^-24 of itself; exactly 1 at 0, exactly infinity
// at 128. Outside those bounds, and for a NaN, any number.
//
// t is cut into a whole number n and a rest |f| <= ½. Adding 1.5·2^23 pushes everything behind the
// point out of a float, rounding to nearest; n then stands in the lowest bits of the sum. 2^f comes
// from a polynomial (interpolated at Chebyshev's nodes; off by 1e-8 before rounding), and 2^n is
// multiplied in by adding n to the exponent.
RINGSIDE_HD float exp2_fixed(float t) {
  constexpr float kPushOut = 12582912.0f;
  const float pushed = t + kPushOut;
  const float f = t - (pushed - kPushOut);
  float p = 0x1.44138ap-13f;
  p = fused(p, f, 0x1.5f0890p-10f);
  p = fused(p, f, 0x1.3b2a54p-7f);
  p = fused(p, f, 0x1.c6af6cp-5f);
  p = fused(p, f, 0x1.ebfbe0p-3f);
  p = fused(p, f, 0x1.62e430p-1f);
  p = fused(p, f, 1.0f);
  return float_of_bits(bits_of(p) + (bits_of(pushed) << 23));
}

}  // namespace ringside
