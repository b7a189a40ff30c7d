// What the loops' tests compare with: an oracle for one operation, inputs that hurt, and a buffer
// that notices when somebody writes beside it. The oracle is written from the text of the promise
// (kernels/reduction.h) and not from its code.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "kernels/reduction.h"

namespace ringside::test {

template <class T>
T oracle_min(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
    if (a == b) return std::signbit(a) ? a : b;
  }
  return a < b ? a : b;
}

template <class T>
T oracle_max(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
    if (a == b) return std::signbit(a) ? b : a;
  }
  return a > b ? a : b;
}

template <class T>
T oracle(Reduction reduction, T a, T b) {
  if constexpr (is_half<T>) {
    // The conversions have tests of their own (tests/kernels/float16.cc).
    return from_float<T>(oracle(reduction, to_float(a), to_float(b)));
  } else {
    if (reduction == Reduction::min) return oracle_min(a, b);
    if (reduction == Reduction::max) return oracle_max(a, b);
    if constexpr (std::is_floating_point_v<T>) {
      return reduction == Reduction::product ? a * b : a + b;
    } else {
      T result;  // the builtins are defined to wrap
      if (reduction == Reduction::product) {
        (void)__builtin_mul_overflow(a, b, &result);
      } else {
        (void)__builtin_add_overflow(a, b, &result);
      }
      return result;
    }
  }
}

template <class T>
T oracle_divide(T value, int divisor) {
  if constexpr (is_half<T>) {
    return from_float<T>(to_float(value) / static_cast<float>(divisor));
  } else {
    return static_cast<T>(value / static_cast<T>(divisor));
  }
}

// Equal bits, or a NaN on both sides: which NaN is not promised.
template <class T>
bool same(T a, T b) {
  if constexpr (is_half<T>) {
    return a.bits == b.bits || (std::isnan(to_float(a)) && std::isnan(to_float(b)));
  } else {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    }
    return std::memcmp(&a, &b, sizeof a) == 0;
  }
}

template <class T>
std::vector<T> special_values() {
  if constexpr (is_half<T>) {
    std::vector<T> values;
    for (const int bits : {0x0000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0x3f80, 0x7bff, 0x7c00, 0x7c01,
                           0x7e00, 0x7f7f, 0x7f80, 0x7f81, 0x7fc0, 0x7fff}) {
      values.push_back(T{static_cast<std::uint16_t>(bits)});
      values.push_back(T{static_cast<std::uint16_t>(bits | 0x8000)});
    }
    return values;
  } else {
    using Limits = std::numeric_limits<T>;
    std::vector<T> values = {T(0),         T(1), T(2), T(3), Limits::max(), Limits::lowest(),
                             Limits::min()};
    if constexpr (std::is_floating_point_v<T>) {
      for (const T value : {Limits::infinity(), Limits::quiet_NaN(), Limits::denorm_min(),
                            Limits::epsilon(), T(1) / 3, T(0)}) {
        values.push_back(value);
        values.push_back(-value);
      }
    } else {
      for (const T value : {T(-1), T(-2), T(-7), T(127), T(128), T(0x55)}) values.push_back(value);
    }
    return values;
  }
}

template <class T>
struct Inputs {
  std::vector<T> a;
  std::vector<T> b;
};

// Every special value against every other, then random bits, which for floats are of every
// exponent.
template <class T>
Inputs<T> make_inputs(std::size_t count_at_least) {
  Inputs<T> inputs;
  for (const T a : special_values<T>()) {
    for (const T b : special_values<T>()) {
      inputs.a.push_back(a);
      inputs.b.push_back(b);
    }
  }
  std::mt19937_64 random(7);
  const auto random_value = [&random] {
    const std::uint64_t bits = random();
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  };
  while (inputs.a.size() < count_at_least) {
    inputs.a.push_back(random_value());
    inputs.b.push_back(random_value());
  }
  return inputs;
}

template <class T>
std::vector<T> normal_values(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<T> values(count);
  for (T& it : values) it = from_float<T>(normal(random) * 2);
  return values;
}

// In the sense of same().
template <class T>
bool equal(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same<T>);
}

// A buffer of bytes that lies `offset` bytes away from an aligned address, between guards.
class GuardedBytes {
 public:
  GuardedBytes(const void* data, std::size_t bytes, std::size_t offset)
      : memory_(kGuardBytes + offset + bytes + kGuardBytes, kGuard),
        begin_(kGuardBytes + offset),
        bytes_(bytes) {
    if (data != nullptr && bytes != 0) std::memcpy(this->data(), data, bytes);
  }

  unsigned char* data() { return memory_.data() + begin_; }

  bool guards_intact() const {
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      const bool inside = i >= begin_ && i < begin_ + bytes_;
      if (!inside && memory_[i] != kGuard) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kGuardBytes = 128;  // more than any vector register is wide
  static constexpr unsigned char kGuard = 0xa5;
  std::vector<unsigned char> memory_;
  std::size_t begin_;
  std::size_t bytes_;
};

}  // namespace ringside::test
