// f16 and bf16 against a second opinion that shares nothing with kernels/float16.h: there, integer
// tricks; here, the definition. A 16-bit pattern means sign · fraction · 2^exponent; the nearest
// pattern to a float is found by bisection among all of them, and the tie by its midpoint, which a
// double holds exactly.
#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/dtype.h"
#include "tests/support/test.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ringside {
namespace {

template <class Half>
struct Format;
template <>
struct Format<f16> {
  static constexpr int kFractionBits = 10;
  static constexpr int kMinExponent = -14;
};
template <>
struct Format<bf16> {
  static constexpr int kFractionBits = 7;
  static constexpr int kMinExponent = -126;
};

// The value of a magnitude (no sign bit). The pattern of infinity gets the value that it would have
// if the numbers simply went on, which is what rounding to infinity is defined by.
template <class Half>
double magnitude_value(int pattern) {
  constexpr int kBits = Format<Half>::kFractionBits;
  const int exponent_field = pattern >> kBits;
  const int fraction = pattern & ((1 << kBits) - 1);
  const int scale = Format<Half>::kMinExponent - kBits;
  if (exponent_field == 0) return std::ldexp(fraction, scale);
  return std::ldexp(fraction + (1 << kBits), scale + exponent_field - 1);
}

template <class Half>
constexpr int infinity_pattern() {
  return 0x7fff >> Format<Half>::kFractionBits << Format<Half>::kFractionBits;
}

template <class Half>
std::uint16_t nearest_pattern(float value) {
  const int sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  int low = 0;
  int high = infinity_pattern<Half>();
  if (magnitude >= magnitude_value<Half>(high)) return static_cast<std::uint16_t>(sign | high);
  while (high - low > 1) {  // value(low) <= magnitude < value(high)
    const int middle = (low + high) / 2;
    (magnitude_value<Half>(middle) <= magnitude ? low : high) = middle;
  }
  const double midpoint = (magnitude_value<Half>(low) + magnitude_value<Half>(high)) / 2;
  const bool up = magnitude > midpoint || (magnitude == midpoint && low % 2 == 1);
  return static_cast<std::uint16_t>(sign | (up ? high : low));
}

template <class Half>
bool rounds_correctly(float value) {
  const std::uint16_t got = from_float<Half>(value).bits;
  if (std::isnan(value)) return (got & 0x7fff) > infinity_pattern<Half>();
  return got == nearest_pattern<Half>(value);
}

// Floats worth trying: around every exponent and around every midpoint of two 16-bit neighbours.
template <class Half>
std::vector<float> edge_values() {
  std::vector<float> values;
  const auto add_around = [&values](std::uint32_t bits) {
    for (std::uint32_t delta = 0; delta <= 4; ++delta) {
      for (const std::uint32_t sign : {0u, 0x80000000u}) {
        values.push_back(std::bit_cast<float>((bits + delta - 2u) ^ sign));
      }
    }
  };
  for (std::uint32_t exponent = 0; exponent <= 255; ++exponent) {
    for (const std::uint32_t fraction : {0u, 1u << 22, 0x7fffffu}) {
      add_around(exponent << 23 | fraction);
    }
  }
  for (int low = 0; low < infinity_pattern<Half>(); ++low) {
    const double midpoint = (magnitude_value<Half>(low) + magnitude_value<Half>(low + 1)) / 2;
    add_around(std::bit_cast<std::uint32_t>(static_cast<float>(midpoint)));
  }
  return values;
}

template <class Half>
void check_all_patterns(test::Context& t) {
  for (int pattern = 0; pattern <= 0xffff; ++pattern) {
    const Half half{static_cast<std::uint16_t>(pattern)};
    const float value = to_float(half);
    const int magnitude = pattern & 0x7fff;
    if (magnitude > infinity_pattern<Half>()) {
      CHECK_MSG(std::isnan(value), "%04x must be a NaN", pattern);
      CHECK_MSG(rounds_correctly<Half>(value), "%04x must stay a NaN", pattern);
      continue;
    }
    const float expected = magnitude == infinity_pattern<Half>()
                               ? HUGE_VALF
                               : static_cast<float>(magnitude_value<Half>(magnitude));
    CHECK_MSG(std::fabs(value) == expected, "%04x became %a", pattern, static_cast<double>(value));
    CHECK_MSG(std::signbit(value) == (pattern >= 0x8000), "%04x lost its sign", pattern);
    CHECK_MSG(from_float<Half>(value).bits == pattern, "%04x did not come back", pattern);
  }
}

template <class Half>
void check_rounding(test::Context& t) {
  std::vector<float> values = edge_values<Half>();
  std::mt19937 random(16);
  for (int i = 0; i < 1'000'000; ++i) {
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
  }
  for (const float value : values) {
    CHECK_MSG(rounds_correctly<Half>(value), "%a became %04x, not %04x", static_cast<double>(value),
              from_float<Half>(value).bits, nearest_pattern<Half>(value));
  }
}

RINGSIDE_TEST(float16, f16_patterns_survive_the_way_to_float_and_back) {
  check_all_patterns<f16>(t);
}
RINGSIDE_TEST(float16, bf16_patterns_survive_the_way_to_float_and_back) {
  check_all_patterns<bf16>(t);
}
RINGSIDE_TEST(float16, f16_rounds_to_nearest_even) { check_rounding<f16>(t); }
RINGSIDE_TEST(float16, bf16_rounds_to_nearest_even) { check_rounding<bf16>(t); }

// Would the reference notice? Cutting instead of rounding, and ties away from zero, must be seen.
RINGSIDE_TEST(float16, reference_sees_wrong_rounding) {
  int wrong_by_cutting = 0;
  int wrong_by_ties_away = 0;
  for (const float value : edge_values<bf16>()) {
    if (std::isnan(value)) continue;
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    const std::uint16_t expected = nearest_pattern<bf16>(value);
    wrong_by_cutting += (bits >> 16) != expected;
    wrong_by_ties_away += ((bits + 0x8000u) >> 16) != expected;
  }
  CHECK(wrong_by_cutting > 1000);
  CHECK(wrong_by_ties_away > 1000);
}

#if defined(__x86_64__)

__attribute__((target("f16c"))) float widen_by_hardware(std::uint16_t bits) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
}

__attribute__((target("f16c"))) std::uint16_t round_by_hardware(float value) {
  const __m128i half = _mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT);
  return static_cast<std::uint16_t>(_mm_cvtsi128_si32(half));
}

// The loops use the hardware's conversions where there are any; they must be the same function. We
// ask for more than ringside promises, NaNs' payloads too, as it happens to hold.
RINGSIDE_TEST(float16, f16_hardware_gives_the_same_bits) {
  if (!__builtin_cpu_supports("avx2")) SKIP("this processor has no F16C");
  for (int pattern = 0; pattern <= 0xffff; ++pattern) {
    const std::uint16_t bits = static_cast<std::uint16_t>(pattern);
    const std::uint32_t ours = std::bit_cast<std::uint32_t>(to_float(f16{bits}));
    const std::uint32_t theirs = std::bit_cast<std::uint32_t>(widen_by_hardware(bits));
    CHECK_MSG(ours == theirs, "%04x: %08x, by hardware %08x", pattern, ours, theirs);
  }
  std::vector<float> values = edge_values<f16>();
  std::mt19937 random(17);
  for (int i = 0; i < 1'000'000; ++i) {
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
  }
  for (const float value : values) {
    CHECK_MSG(to_f16(value).bits == round_by_hardware(value), "%a: %04x, by hardware %04x",
              static_cast<double>(value), to_f16(value).bits, round_by_hardware(value));
  }
}

#endif

}  // namespace
}  // namespace ringside
