// The oracle's arithmetic, written from the promise of kernels/reduction.h and not from its code:
// f16 and bf16 are rounded by arithmetic on doubles (the library shifts bits), integers are
// computed in 128 bits and cut (the library lets unsigned numbers wrap).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "kernels/dtype.h"
#include "kernels/reduction.h"

namespace ringside::tools {

__extension__ typedef __int128 Wide;  // a type that no sum or product of two elements overflows

// A 16-bit format by its numbers: IEEE half has 11 significant bits, bf16 has 8.
struct HalfFormat {
  int fraction_bits;
  int least_exponent;  // of a normal number
  int greatest_exponent;
  constexpr int special() const { return greatest_exponent - least_exponent + 2; }
};
template <class T>
constexpr HalfFormat format_of =
    std::is_same_v<T, f16> ? HalfFormat{10, -14, 15} : HalfFormat{7, -126, 127};

template <class T>
double work_out_half(int bits) {
  constexpr HalfFormat format = format_of<T>;
  const int biased = (bits & 0x7fff) >> format.fraction_bits;
  const int fraction = bits & ((1 << format.fraction_bits) - 1);
  const int unit_exponent = format.least_exponent - format.fraction_bits;
  double magnitude = std::ldexp(fraction, unit_exponent);
  if (biased == format.special())
    magnitude = fraction == 0 ? std::numeric_limits<double>::infinity()
                              : std::numeric_limits<double>::quiet_NaN();
  else if (biased > 0)
    magnitude = std::ldexp(fraction + (1 << format.fraction_bits), unit_exponent + biased - 1);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// The number that an element is. All 65,536 halves are worked out once.
template <class T>
auto value_of(T x) {
  if constexpr (is_half<T>) {
    static const std::vector<float> values = [] {
      std::vector<float> all;
      for (int bits = 0; bits <= 0xffff; ++bits)
        all.push_back(static_cast<float>(work_out_half<T>(bits)));
      return all;
    }();
    return values[x.bits];
  } else {
    return x;
  }
}

// To the nearest multiple of the unit that the format has at this magnitude, ties to even:
// nearbyint does just that, and scaling by powers of two is exact in doubles.
template <class T>
T rounded(float exact) {
  constexpr HalfFormat format = format_of<T>;
  const auto make = [&](int biased, int fraction) {
    const int sign = std::signbit(exact) ? 0x8000 : 0;
    return T{static_cast<std::uint16_t>(sign | biased << format.fraction_bits | fraction)};
  };
  if (std::isnan(exact)) return make(format.special(), 1 << (format.fraction_bits - 1));
  if (std::isinf(exact)) return make(format.special(), 0);
  if (exact == 0) return make(0, 0);
  const int exponent = std::max(std::ilogb(exact), format.least_exponent);
  const double units =
      std::nearbyint(std::ldexp(std::fabs(exact), format.fraction_bits - exponent));
  const int kept = static_cast<int>(units);  // at most 2 << fraction_bits
  const int biased = exponent - format.least_exponent + 1;
  if (kept < 1 << format.fraction_bits) return make(0, kept);  // a denormal
  // A carry into the next power of two moves into the exponent by itself: biased is added to it.
  const int bits = ((biased - 1) << format.fraction_bits) + kept;
  if (bits >> format.fraction_bits >= format.special()) return make(format.special(), 0);
  return make(0, bits);
}

template <class T>
T from_double(double value) {
  if constexpr (is_half<T>)
    return rounded<T>(static_cast<float>(value));
  else
    return static_cast<T>(value);
}

template <class T>
bool is_nan(T x) {
  if constexpr (std::is_integral_v<T>)
    return false;
  else
    return std::isnan(value_of(x));
}

// Equal bits, or NaN on both sides: which NaN comes out is not promised.
template <class T>
bool same(T a, T b) {
  return std::memcmp(&a, &b, sizeof a) == 0 || (is_nan(a) && is_nan(b));
}

template <class T>
bool precedes(T a, T b) {  // −0 before +0; no NaNs here
  if constexpr (std::is_floating_point_v<T>)
    if (a == b) return std::signbit(a) && !std::signbit(b);
  return a < b;
}

template <class T>
T least_or_greatest(Reduction reduction, T a, T b) {
  if (is_nan(a) || is_nan(b)) return std::numeric_limits<T>::quiet_NaN();
  return precedes(a, b) == (reduction == Reduction::min) ? a : b;
}

template <class T>
T combined(Reduction reduction, T a, T b) {
  const bool product = reduction == Reduction::product;
  if constexpr (is_half<T>) {
    return rounded<T>(combined<float>(reduction, value_of(a), value_of(b)));
  } else {
    if (reduction == Reduction::min || reduction == Reduction::max)
      return least_or_greatest(reduction, a, b);
    if constexpr (std::is_floating_point_v<T>)
      return product ? a * b : a + b;
    else
      return static_cast<T>(product ? Wide{a} * Wide{b} : Wide{a} + Wide{b});
  }
}

template <class T>
T divided(T sum, int divisor) {
  if constexpr (is_half<T>)
    return rounded<T>(value_of(sum) / static_cast<float>(divisor));
  else if constexpr (std::is_floating_point_v<T>)
    return sum / static_cast<T>(divisor);
  else
    return static_cast<T>(Wide{sum} / divisor);
}

}  // namespace ringside::tools
