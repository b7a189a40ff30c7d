// What it means to combine two elements.
//
// A reduction folds the ranks' contributions pairwise: ((x0 op x1) op x2) … Which order that is, is
// the business of the algorithm; what one `op` does to the bits is said here, for CPU and GPU:
//
//     integers   sum and product wrap around (two's complement), exactly and without undefined
//                behaviour: they are computed unsigned.
//     floats     IEEE, to nearest even, one rounding an operation.
//     f16, bf16  computed in float, rounded to 16 bits after every operation. So the bits do not
//                depend on how many operations one kernel happens to fuse.
//     min, max   a NaN on either side gives a NaN, as a lost NaN hides a broken run; −0 < +0.
//                Commutative to the bit. (fmin breaks the first rule, `a < b ? a : b` all three.)
//     avg        folds as sum; the last step divides, once, by the number of contributions. So the
//                sum must fit: f16 is infinite beyond 65504, and integers wrap around.
//
// Not promised: *which* NaN. The payload and the sign of a NaN may differ between instruction sets.
//
// The build must not contract a·b + c into one rounding (-ffp-contract=off, nvcc -fmad=false), nor
// flush denormals: otherwise these promises hold for each functor, but not for code around it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include "kernels/float16.h"
#include "kernels/hd.h"

namespace ringside {

enum class Reduction : std::uint8_t { sum, product, min, max, avg };

inline constexpr std::array kAllReductions = {Reduction::sum, Reduction::product, Reduction::min,
                                              Reduction::max, Reduction::avg};

constexpr const char* name_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::sum:
      return "sum";
    case Reduction::product:
      return "product";
    case Reduction::min:
      return "min";
    case Reduction::max:
      return "max";
    case Reduction::avg:
      return "avg";
  }
  return "?";
}

// Our names, and `prod`, which NCCL's and MPI's users type.
inline std::optional<Reduction> parse_reduction(std::string_view text) {
  for (const Reduction reduction : kAllReductions) {
    if (text == name_of(reduction)) return reduction;
  }
  if (text == "prod") return Reduction::product;
  return std::nullopt;
}

template <class T>
inline constexpr bool is_half = std::is_same_v<T, f16> || std::is_same_v<T, bf16>;

struct Sum {
  template <class T>
  RINGSIDE_HD constexpr T operator()(T a, T b) const {
    if constexpr (is_half<T>) {
      return from_float<T>(to_float(a) + to_float(b));
    } else if constexpr (std::is_floating_point_v<T>) {
      return a + b;
    } else {
      using U = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b)));
    }
  }
};

struct Product {
  template <class T>
  RINGSIDE_HD constexpr T operator()(T a, T b) const {
    if constexpr (is_half<T>) {
      return from_float<T>(to_float(a) * to_float(b));
    } else if constexpr (std::is_floating_point_v<T>) {
      return a * b;
    } else {
      using U = std::make_unsigned_t<T>;  // u8 · u8 is an int; it fits, and the cast wraps it
      return static_cast<T>(static_cast<U>(static_cast<U>(a) * static_cast<U>(b)));
    }
  }
};

namespace detail {

template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;

template <class T>
RINGSIDE_HD constexpr T flip_sign(T value) {
  using B = BitsOf<T>;
  return __builtin_bit_cast(T, __builtin_bit_cast(B, value) ^ (B{1} << (8 * sizeof(T) - 1)));
}

// When neither is less, the two are equal or one is a NaN, and in both cases `or` is the answer:
// equal values have equal bits, except ±0, where `or` gives −0; and a NaN, which is an exponent of
// all ones and any fraction but zero, stays one whatever is or-ed into it.
template <class T>
RINGSIDE_HD constexpr T min_float(T a, T b) {
  using B = BitsOf<T>;
  const B either = __builtin_bit_cast(B, a) | __builtin_bit_cast(B, b);
  const T not_less = b < a ? b : __builtin_bit_cast(T, either);
  return a < b ? a : not_less;
}

// A half is compared without widening it: read as sign and magnitude, the bits of floating-point
// numbers are already in order (and −0 comes below +0). Flipping a negative's lower bits makes that
// a two's complement integer, and back again; every NaN becomes the integer below all others, so
// that it wins.
RINGSIDE_HD constexpr std::int16_t flip_if_negative(std::int16_t bits) {
  return static_cast<std::int16_t>(bits ^ ((bits >> 15) & 0x7fff));
}

template <class Half>
RINGSIDE_HD constexpr std::int16_t order_of(Half value) {
  constexpr std::int16_t kInfinity = std::is_same_v<Half, f16> ? 0x7c00 : 0x7f80;
  const std::int16_t bits = static_cast<std::int16_t>(value.bits);
  const std::int16_t magnitude = static_cast<std::int16_t>(bits & 0x7fff);
  const std::int16_t order = flip_if_negative(bits);
  return magnitude > kInfinity ? std::int16_t{-32768} : order;
}

template <class Half>
RINGSIDE_HD constexpr Half min_half(Half a, Half b) {
  const std::int16_t order_a = order_of(a);
  const std::int16_t order_b = order_of(b);
  const std::int16_t least = order_a < order_b ? order_a : order_b;
  // The same flip undoes it; -32768 becomes 0xffff: again a NaN.
  return Half{static_cast<std::uint16_t>(flip_if_negative(least))};
}

}  // namespace detail

struct Min {
  template <class T>
  RINGSIDE_HD constexpr T operator()(T a, T b) const {
    if constexpr (is_half<T>) {
      return detail::min_half(a, b);
    } else if constexpr (std::is_floating_point_v<T>) {
      return detail::min_float(a, b);
    } else {
      return a < b ? a : b;
    }
  }
};

// max(a, b) = −min(−a, −b): flipping a sign is exact, so Min's rules for NaN and ±0 carry over.
struct Max {
  template <class T>
  RINGSIDE_HD constexpr T operator()(T a, T b) const {
    if constexpr (is_half<T>) {
      constexpr unsigned kSign = 0x8000;
      const T least = detail::min_half(T{static_cast<std::uint16_t>(a.bits ^ kSign)},
                                       T{static_cast<std::uint16_t>(b.bits ^ kSign)});
      return T{static_cast<std::uint16_t>(least.bits ^ kSign)};
    } else if constexpr (std::is_floating_point_v<T>) {
      return detail::flip_sign(detail::min_float(detail::flip_sign(a), detail::flip_sign(b)));
    } else {
      return a < b ? b : a;
    }
  }
};

// The end of avg. `divisor` is positive: a number of ranks. A true division and not a product with
// 1/divisor, which would round twice. Integers are cut towards zero.
struct Divide {
  int divisor;

  template <class T>
  RINGSIDE_HD constexpr T operator()(T value) const {
    if constexpr (is_half<T>) {
      return from_float<T>(to_float(value) / static_cast<float>(divisor));
    } else if constexpr (std::is_floating_point_v<T>) {
      return value / static_cast<T>(divisor);
    } else if constexpr (sizeof(T) < 8) {
      // Processors divide vectors of floats, but not of integers. This is exact: a quotient that is
      // no integer is at least 1/divisor away from the next one, and the rounding error is smaller
      // (for i32: at most 2^31/divisor · 2^-53), so cutting to an integer sees the right side.
      using Wide = std::conditional_t<sizeof(T) == 1, float, double>;
      return static_cast<T>(static_cast<Wide>(value) / static_cast<Wide>(divisor));
    } else {
      return static_cast<T>(value / divisor);
    }
  }
};

static_assert(bits_of(Min{}(0.0f, -0.0f)) == 0x80000000u && bits_of(Max{}(0.0f, -0.0f)) == 0);
static_assert(Sum{}(std::int32_t{2147483647}, std::int32_t{1}) == -2147483647 - 1);

}  // namespace ringside
