// Expected results by arithmetic of its own; what is independent of what is said in oracle.h.
#include "tests/collectives/oracle.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>

#include "tests/support/test.h"

namespace ringside::test {
namespace {

__extension__ typedef __int128 Wide;  // a type that no sum or product of two elements overflows

// A 16-bit format by its numbers: IEEE half has 11 significant bits, bf16 has 8.
struct HalfFormat {
  int significant_bits;
  int least_exponent;  // of a normal number
  int greatest_exponent;
};
template <class T>
constexpr HalfFormat format_of =
    std::is_same_v<T, f16> ? HalfFormat{11, -14, 15} : HalfFormat{8, -126, 127};

template <class T>
double value_of(T half) {
  const HalfFormat format = format_of<T>;
  const int fraction_bits = format.significant_bits - 1;
  const int biased = (half.bits & 0x7fff) >> fraction_bits;
  const int fraction = half.bits & ((1 << fraction_bits) - 1);
  const int special = format.greatest_exponent - format.least_exponent + 2;
  double magnitude = std::ldexp(fraction, format.least_exponent - fraction_bits);
  if (biased == special)
    magnitude = fraction == 0 ? std::numeric_limits<double>::infinity()
                              : std::numeric_limits<double>::quiet_NaN();
  else if (biased > 0)
    magnitude = std::ldexp(fraction + (1 << fraction_bits),
                           format.least_exponent - fraction_bits + biased - 1);
  return (half.bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// To the nearest multiple of the unit that the format has at this magnitude, ties to even:
// nearbyint does just that, and scaling by powers of two is exact in doubles.
template <class T>
T rounded(float exact) {
  const HalfFormat format = format_of<T>;
  const int fraction_bits = format.significant_bits - 1;
  const int special = format.greatest_exponent - format.least_exponent + 2;
  const auto make = [&](int biased, int fraction) {
    const int sign = std::signbit(exact) ? 0x8000 : 0;
    return T{static_cast<std::uint16_t>(sign | biased << fraction_bits | fraction)};
  };
  if (std::isnan(exact)) return make(special, 1 << (fraction_bits - 1));
  if (std::isinf(exact)) return make(special, 0);
  if (exact == 0) return make(0, 0);
  const int exponent = std::max(std::ilogb(exact), format.least_exponent);
  const double units = std::nearbyint(std::ldexp(std::fabs(exact), fraction_bits - exponent));
  const int kept = static_cast<int>(units);  // at most 2 << fraction_bits
  const int biased = exponent - format.least_exponent + 1;
  if (kept < 1 << fraction_bits) return make(0, kept);  // a denormal
  // A carry into the next power of two moves into the exponent by itself: biased is added to it.
  const int bits = ((biased - 1) << fraction_bits) + kept;
  if (bits >> fraction_bits >= special) return make(special, 0);
  return make(0, bits);
}

template <class T>
bool precedes(T a, T b) {  // −0 before +0; no NaNs here
  if constexpr (std::is_floating_point_v<T>)
    if (a == b) return std::signbit(a) && !std::signbit(b);
  return a < b;
}

template <class T>
T least_or_greatest(Reduction reduction, T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
  return precedes(a, b) == (reduction == Reduction::min) ? a : b;
}

template <class T>
T combined(Reduction reduction, T a, T b) {
  const bool product = reduction == Reduction::product;
  if constexpr (is_half<T>) {
    return rounded<T>(combined<float>(reduction, static_cast<float>(value_of(a)),
                                      static_cast<float>(value_of(b))));
  } else {
    if (reduction == Reduction::min || reduction == Reduction::max)
      return least_or_greatest(reduction, a, b);
    if constexpr (std::is_floating_point_v<T>) {
      return product ? a * b : a + b;
    } else {
      return static_cast<T>(product ? Wide{a} * Wide{b} : Wide{a} + Wide{b});
    }
  }
}

template <class T>
T divided(T sum, int divisor) {
  if constexpr (is_half<T>)
    return rounded<T>(static_cast<float>(value_of(sum)) / static_cast<float>(divisor));
  else if constexpr (std::is_floating_point_v<T>)
    return sum / static_cast<T>(divisor);
  else
    return static_cast<T>(Wide{sum} / divisor);
}

template <class T>
T element(const Bytes& buffer, std::size_t i) {
  T value;
  std::memcpy(&value, buffer.data() + i * sizeof(T), sizeof(T));
  return value;
}

template <class T>
T fold(const std::vector<Bytes>& inputs, std::size_t i, const std::vector<int>& order,
       Reduction reduction, int divisor) {
  T value = element<T>(inputs[static_cast<std::size_t>(order[0])], i);
  for (std::size_t k = 1; k < order.size(); ++k)
    value = combined(reduction, value, element<T>(inputs[static_cast<std::size_t>(order[k])], i));
  return reduction == Reduction::avg ? divided(value, divisor) : value;
}

template <class T>
T from_double(double value) {
  if constexpr (is_half<T>)
    return rounded<T>(static_cast<float>(value));
  else
    return static_cast<T>(value);
}

template <class T>
T special_value(std::uint64_t choice) {
  const double infinity = std::numeric_limits<double>::infinity();
  const bool wide = std::is_same_v<T, double>;
  const double greatest = std::is_same_v<T, f16> ? 65504 : wide ? 1e308 : 3e38;
  const double least = std::is_same_v<T, f16> ? 6e-8 : wide ? 5e-324 : 1e-39;
  const double values[] = {0.0,      -0.0,      infinity, -infinity, std::nan(""),
                           greatest, -greatest, least,    -least};
  return from_double<T>(values[choice % std::size(values)]);
}

template <class T>
T input_value(std::mt19937_64& random, Reduction reduction, bool special) {
  const std::uint64_t bits = random();
  if constexpr (std::is_integral_v<T>) {
    // Odd numbers but 1 have inverses, so a product notices each of them; a sum notices all but 0.
    const T value = static_cast<T>(bits | 1);
    return value == T{1} ? T{3} : value;
  } else {
    if (special && bits % 8 == 0) return special_value<T>(random());
    // Magnitudes over a few powers of two: then additions round, and differently in another order.
    // Factors stay near 1, so that a product of eight stays in f16's range.
    const double significand = 1 + static_cast<double>(random() >> 11) * 0x1p-53;
    const int spread = reduction == Reduction::product ? 2 : 9;
    const int exponent = static_cast<int>(bits >> 8 & 0xffff) % spread - spread / 2;
    return from_double<T>(std::ldexp((bits & 1) != 0 ? -significand : significand, exponent));
  }
}

template <class T>
bool both_nan(T a, T b) {
  if constexpr (is_half<T>)
    return std::isnan(value_of(a)) && std::isnan(value_of(b));
  else if constexpr (std::is_floating_point_v<T>)
    return std::isnan(a) && std::isnan(b);
  else
    return false;
}

}  // namespace

int chunk_of_element(std::size_t i, std::size_t count, int ranks) {
  const auto n = static_cast<std::size_t>(ranks);
  std::size_t end = 0;
  for (std::size_t chunk = 0; chunk < n; ++chunk) {
    // What is left is dealt to the chunks that are left; each takes its share, rounded up.
    end += (count - end + (n - chunk) - 1) / (n - chunk);
    if (i < end) return static_cast<int>(chunk);
  }
  return ranks;
}

int chunk_of_element(std::size_t i, const std::vector<std::size_t>& counts) {
  int chunk = 0;
  for (const std::size_t count : counts) {
    if (i < count) break;
    i -= count;
    ++chunk;
  }
  return chunk;
}

std::vector<int> rotated_order(int chunk, int ranks) {
  std::vector<int> order;
  for (int rank = chunk + 1; rank < ranks; ++rank) order.push_back(rank);
  for (int rank = 0; rank <= chunk; ++rank) order.push_back(rank);
  return order;
}

Bytes folded_element(const std::vector<Bytes>& inputs, std::size_t i, const std::vector<int>& order,
                     DType dtype, Reduction reduction, int divisor) {
  return visit(dtype, [&](auto tag) {
    const auto value = fold<typename decltype(tag)::type>(inputs, i, order, reduction, divisor);
    Bytes result(sizeof value);
    std::memcpy(result.data(), &value, sizeof value);
    return result;
  });
}

Bytes expected_reduction(const std::vector<Bytes>& inputs, std::size_t count, DType dtype,
                         Reduction reduction, const std::vector<std::size_t>& counts) {
  const int ranks = static_cast<int>(inputs.size());
  Bytes result(count * bytes_of(dtype));
  visit(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::size_t i = 0; i < count; ++i) {
      const int chunk =
          counts.empty() ? chunk_of_element(i, count, ranks) : chunk_of_element(i, counts);
      const std::vector<int> order = rotated_order(chunk, ranks);
      const T value = fold<T>(inputs, i, order, reduction, ranks);
      std::memcpy(result.data() + i * sizeof(T), &value, sizeof(T));
    }
  });
  return result;
}

Bytes make_input(int rank, std::size_t count, DType dtype, Reduction reduction, std::uint64_t seed,
                 bool special) {
  std::mt19937_64 random(seed * 64 + static_cast<std::uint64_t>(rank));
  Bytes result(count * bytes_of(dtype));
  visit(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::size_t i = 0; i < count; ++i) {
      const T value = input_value<T>(random, reduction, special);
      std::memcpy(result.data() + i * sizeof(T), &value, sizeof(T));
    }
  });
  return result;
}

std::string difference(const void* got, const void* expected, std::size_t count, DType dtype) {
  const std::size_t bytes = bytes_of(dtype);
  if (count == 0 || std::memcmp(got, expected, count * bytes) == 0) return "";
  return visit(dtype, [&](auto tag) -> std::string {
    using T = typename decltype(tag)::type;
    for (std::size_t i = 0; i < count; ++i) {
      T a, b;
      std::memcpy(&a, static_cast<const std::byte*>(got) + i * bytes, bytes);
      std::memcpy(&b, static_cast<const std::byte*>(expected) + i * bytes, bytes);
      if (std::memcmp(&a, &b, bytes) == 0 || both_nan(a, b)) continue;
      std::uint64_t a_bits = 0, b_bits = 0;
      std::memcpy(&a_bits, &a, bytes);
      std::memcpy(&b_bits, &b, bytes);
      return formatted("element %zu of %zu (%s): %#llx instead of %#llx", i, count, name_of(dtype),
                       static_cast<unsigned long long>(a_bits),
                       static_cast<unsigned long long>(b_bits));
    }
    return "";
  });
}

}  // namespace ringside::test
