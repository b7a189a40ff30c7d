// Two 16-bit floating-point types, as storage.
//
//              sign  exponent  fraction
//     float       1         8        23     (the reference)
//     bf16        1         8         7     float's upper half: same range, 2-3 decimal digits
//     f16         1         5        10     IEEE half: 3-4 digits, but 65504 is the largest number
//
// Nothing is computed in these types. A value is widened to float (always exact), the operation is
// done in float, and the result is rounded back to 16 bits. The rounding is written out here, in
// integer arithmetic, so that a CPU without any support, one with F16C, and a GPU all give the same
// bits: to nearest, ties to even; denormals are kept; what is too large becomes infinity; a NaN
// stays a NaN (its payload is cut, its quiet bit set, as the hardware does it).
//
// There are no branches: every case is computed and one is selected, because that is the shape that
// compilers turn into vector code. bf16 hardware (AVX512_BF16's vcvtneps2bf16) is not used on
// purpose: it flushes denormals to zero, so its bits would differ.
#pragma once

#include <cstdint>

#include "kernels/hd.h"

namespace ringside {

struct f16 {
  std::uint16_t bits;
};

struct bf16 {
  std::uint16_t bits;
};

static_assert(sizeof(f16) == 2 && sizeof(bf16) == 2, "they are laid over users' memory");

// __builtin_bit_cast and not std::bit_cast: the latter is a library function, which without
// optimisation is left behind out of line (see hd.h), and which nvcc takes for host-only.
RINGSIDE_HD constexpr std::uint32_t bits_of(float value) {
  return __builtin_bit_cast(std::uint32_t, value);
}

RINGSIDE_HD constexpr float float_of_bits(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}

// Exact: every bf16 is a float whose lower half is zero.
RINGSIDE_HD constexpr float to_float(bf16 value) {
  return float_of_bits(static_cast<std::uint32_t>(value.bits) << 16);
}

// Exact: every f16 is a float. (Bits are compared as signed integers, since SSE2 has no others.)
RINGSIDE_HD constexpr float to_float(f16 value) {
  constexpr std::int32_t kRebias = (127 - 15) << 23;  // float's exponent bias less f16's
  constexpr std::int32_t kExponent = 0x1f << 23;      // f16's exponent, where float keeps it
  constexpr std::int32_t kTwoToMinus14 = 113 << 23;   // the smallest normal f16, as float bits
  const std::uint32_t sign = (value.bits & 0x8000u) << 16;
  const std::int32_t magnitude = (value.bits & 0x7fff) << 13;  // fraction aligned to float's
  const bool is_special = magnitude >= kExponent;  // infinity, NaN: 31 becomes 255, the bias twice
  const bool is_denormal = magnitude < (1 << 23);
  // Exponent 0 has no leading one. Put one there (2^-14 · 1.fraction) and subtract it again. The
  // others subtract 0, so that the choice is between two constants and not between two
  // computations.
  const std::int32_t bias = is_special ? 2 * kRebias : is_denormal ? kTwoToMinus14 : kRebias;
  const float excess = float_of_bits(is_denormal ? std::uint32_t{kTwoToMinus14} : 0u);
  const float result = float_of_bits(static_cast<std::uint32_t>(magnitude + bias)) - excess;
  return float_of_bits(sign | bits_of(result));
}

// To nearest even. Adding half a unit (less one, plus one if the kept part is odd) before cutting
// carries upwards exactly when rounding up is right; a carry out of the fraction raises the
// exponent, which is also right, up to infinity.
RINGSIDE_HD constexpr bf16 to_bf16(float value) {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t odd = (bits >> 16) & 1u;
  const std::uint32_t rounded = (bits + 0x7fffu + odd) >> 16;
  // A NaN may neither lose its last set bit (it would become infinity) nor carry into the sign.
  const std::uint32_t quiet_nan = (bits >> 16) | 0x40u;
  return bf16{static_cast<std::uint16_t>(value != value ? quiet_nan : rounded)};
}

// To nearest even, in three ranges of magnitude.
RINGSIDE_HD constexpr f16 to_f16(float value) {
  constexpr std::int32_t kTwoTo16 = 143 << 23;       // from here on: infinity
  constexpr std::int32_t kTwoToMinus14 = 113 << 23;  // below: a denormal f16
  constexpr std::int32_t kOneHalf = 126 << 23;       // its last bit is worth 2^-24: f16's smallest
  constexpr std::int32_t kRebias = (127 - 15) << 23;
  constexpr std::int32_t kInfinity = 255 << 23;
  const std::uint32_t sign = (bits_of(value) >> 16) & 0x8000u;
  const std::int32_t magnitude = static_cast<std::int32_t>(bits_of(value) & 0x7fffffffu);
  // All ones or all zeros: selecting by `and` leaves GCC nothing to turn back into branches.
  const std::int32_t if_denormal = -static_cast<std::int32_t>(magnitude < kTwoToMinus14);
  const std::int32_t if_special = -static_cast<std::int32_t>(magnitude >= kTwoTo16);
  const std::int32_t if_nan = -static_cast<std::int32_t>(magnitude > kInfinity);
  // One half has its last bit exactly where a denormal f16 has its own, so the adder does the
  // rounding, and the low bits of the sum are the answer. The others add 0.
  const float anchor = float_of_bits(static_cast<std::uint32_t>(kOneHalf & if_denormal));
  const std::int32_t sum = static_cast<std::int32_t>(
      bits_of(float_of_bits(static_cast<std::uint32_t>(magnitude)) + anchor));
  // As for bf16, with the exponent's bias changed on the way. 65520 and more carries into infinity.
  const std::int32_t normal = (sum - kRebias + 0xfff + ((sum >> 13) & 1)) >> 13;
  const std::int32_t special = 0x7c00 | (if_nan & (0x0200 | ((sum >> 13) & 0x3ff)));
  const std::int32_t result = (if_special & special) | (if_denormal & (sum - kOneHalf)) |
                              (~(if_special | if_denormal) & normal);
  return f16{static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(result))};
}

// For templates: from_float<f16>(x), from_float<bf16>(x).
template <class Half>
RINGSIDE_HD constexpr Half from_float(float value) = delete;
template <>
RINGSIDE_HD constexpr f16 from_float<f16>(float value) {
  return to_f16(value);
}
template <>
RINGSIDE_HD constexpr bf16 from_float<bf16>(float value) {
  return to_bf16(value);
}

static_assert(to_f16(1.0f).bits == 0x3c00 && to_f16(-65520.0f).bits == 0xfc00);
static_assert(to_float(f16{0x0001}) == 0x1p-24f && to_bf16(0x1p-133f).bits == 0x0001);

}  // namespace ringside
