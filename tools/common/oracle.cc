// Inputs and expected outputs; the requirements are in oracle.h.
#include "tools/common/oracle.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "comm/chunks.h"
#include "tools/common/call.h"

namespace ringside::tools {
namespace {

std::uint64_t hash(int rank, std::size_t index) {
  std::uint64_t x = (static_cast<std::uint64_t>(rank) + 1) * 0x9e3779b97f4a7c15u + index;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// A full significand, a sign, and for sums an exponent between −4 and 3. Products stay near ±1, so
// that they do not leave f16's range with a handful of ranks.
double real(std::uint64_t bits, Reduction reduction) {
  const double significand = 1.0 + static_cast<double>(bits >> 12) * 0x1p-52;
  const double sign = (bits & 1) != 0 ? -1.0 : 1.0;
  if (reduction == Reduction::product) return sign * (0.5 + significand * 0.5);
  return sign * significand * 0.0625 * static_cast<double>(1u << (bits >> 1 & 7));
}

template <class T>
T input(int rank, std::size_t index, Reduction reduction) {
  const std::uint64_t bits = hash(rank, index);
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(reduction == Reduction::product ? bits | 1
                                                          : bits);  // an even factor soon gives 0
  else if constexpr (is_half<T>)
    return from_float<T>(static_cast<float>(real(bits, reduction)));
  else
    return static_cast<T>(real(bits, reduction));
}

template <class T>
T combine(T a, T b, Reduction reduction) {
  switch (reduction) {
    case Reduction::product:
      return Product{}(a, b);
    case Reduction::min:
      return Min{}(a, b);
    case Reduction::max:
      return Max{}(a, b);
    default:
      return Sum{}(a, b);
  }
}

// Element `index` of chunk `chunk`: the left fold over ranks chunk+1, chunk+2, …, chunk.
template <class T>
T folded(int chunk, std::size_t index, Reduction reduction, int size) {
  T value = input<T>((chunk + 1) % size, index, reduction);
  for (int k = 2; k <= size; ++k)
    value = combine(value, input<T>((chunk + k) % size, index, reduction), reduction);
  return reduction == Reduction::avg ? Divide{size}(value) : value;
}

template <class T>
bool is_nan(T value) {
  if constexpr (std::is_integral_v<T>)
    return false;
  else if constexpr (is_half<T>)
    return is_nan(to_float(value));
  else
    return value != value;
}

template <class T>
bool same(const void* at, T expected) {
  if (std::memcmp(at, &expected, sizeof expected) == 0) return true;
  T found;
  std::memcpy(&found, at, sizeof found);
  return is_nan(found) && is_nan(expected);
}

// Compares `count` elements at `output` with expected(0), expected(1), …
template <class T, class Expected>
std::size_t compare(const std::byte* output, std::size_t count, const Expected& expected) {
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i)
    wrong += same<T>(output + i * sizeof(T), expected(i)) ? 0 : 1;
  return wrong;
}

// The whole reduced buffer.
template <class T>
std::size_t wrong_in_reduction(const std::byte* output, const Operation& what, int size) {
  std::size_t wrong = 0;
  for (int chunk = 0; chunk < size; ++chunk) {
    const Range range = Chunks{what.count, size}[chunk];
    wrong += compare<T>(output + range.begin * sizeof(T), range.count, [&](std::size_t i) {
      return folded<T>(chunk, range.begin + i, what.reduction, size);
    });
  }
  return wrong;
}

// Every rank's part: the elements of its input from `first` on.
template <class T>
std::size_t wrong_in_parts(const std::byte* output, const Operation& what, std::size_t first,
                           int size) {
  std::size_t wrong = 0;
  for (int from = 0; from < size; ++from)
    wrong +=
        compare<T>(output + static_cast<std::size_t>(from) * what.count * sizeof(T), what.count,
                   [&](std::size_t i) { return input<T>(from, first + i, Reduction::sum); });
  return wrong;
}

template <class T>
std::size_t wrong_in(const std::byte* output, const Operation& what, int rank, int size) {
  const std::size_t own_first = static_cast<std::size_t>(rank) * what.count;
  switch (what.kind) {
    case Kind::all_reduce:
      return wrong_in_reduction<T>(output, what, size);
    case Kind::reduce:
      return rank == what.root ? wrong_in_reduction<T>(output, what, size) : 0;
    case Kind::reduce_scatter:
      return compare<T>(output, what.count, [&](std::size_t i) {
        return folded<T>(rank, own_first + i, what.reduction, size);
      });
    case Kind::all_gather:
      return wrong_in_parts<T>(output, what, 0, size);
    case Kind::gather:
      return rank == what.root ? wrong_in_parts<T>(output, what, 0, size) : 0;
    case Kind::all_to_all:
      return wrong_in_parts<T>(output, what, own_first, size);
    case Kind::send_recv:  // one step of a ring: what comes from the left
      return compare<T>(output, what.count, [&](std::size_t i) {
        return input<T>((rank + size - 1) % size, i, Reduction::sum);
      });
    case Kind::barrier:
      return 0;
    case Kind::scatter:
      return compare<T>(output, what.count, [&](std::size_t i) {
        return input<T>(what.root, own_first + i, Reduction::sum);
      });
    default:
      return compare<T>(output, what.count,
                        [&](std::size_t i) { return input<T>(what.root, i, Reduction::sum); });
  }
}

// Half a unit in the last place of 1.
template <class T>
constexpr long double unit_roundoff() {
  if constexpr (std::is_same_v<T, f16>) return 0x1p-11L;
  if constexpr (std::is_same_v<T, bf16>) return 0x1p-8L;
  return std::is_same_v<T, float> ? 0x1p-24L : 0x1p-53L;
}

template <class T>
long double exact(T value) {
  if constexpr (is_half<T>)
    return to_float(value);
  else
    return value;
}

// Whether `found` is what some order of n − 1 rounded operations may give for element `index`.
template <class T>
bool is_within_rounding(T found, std::size_t index, Reduction reduction, int size) {
  long double sum = 0, magnitudes = 0, product = 1;
  for (int rank = 0; rank < size; ++rank) {
    const long double x = exact(input<T>(rank, index, reduction));
    sum += x;
    magnitudes += std::fabs(x);
    product *= x;
  }
  const long double steps = (size - 1) * unit_roundoff<T>();
  const long double gamma = steps / (1 - steps);
  const bool multiplies = reduction == Reduction::product;
  const long double error = std::fabs(exact(found) - (multiplies ? product : sum));
  return error <= gamma * (multiplies ? std::fabs(product) : magnitudes);  // false for NaN
}

}  // namespace

void fill_input(void* target, std::size_t count, DType dtype, Reduction reduction, int rank,
                std::size_t first) {
  visit(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto* at = static_cast<std::byte*>(target);
    for (std::size_t i = 0; i < count; ++i) {
      const T value = input<T>(rank, first + i, reduction);
      std::memcpy(at + i * sizeof(T), &value, sizeof value);
    }
  });
}

std::size_t count_wrong(const void* output, const Operation& what, int rank, int size) {
  return visit(what.dtype, [&](auto tag) {
    return wrong_in<typename decltype(tag)::type>(static_cast<const std::byte*>(output), what, rank,
                                                  size);
  });
}

std::size_t count_beyond_rounding(const void* output, const Operation& what, int rank, int size) {
  return visit(what.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const bool adds = what.reduction == Reduction::sum || what.reduction == Reduction::product;
    if constexpr (!std::is_integral_v<T>) {
      if (!has_reduction(what.kind) || !adds) return count_wrong(output, what, rank, size);
      const std::size_t count = output_count(what, rank, size);
      const std::size_t first =
          what.kind == Kind::reduce_scatter ? static_cast<std::size_t>(rank) * count : 0;
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < count; ++i) {
        T found;
        std::memcpy(&found, static_cast<const std::byte*>(output) + i * sizeof found, sizeof found);
        wrong += is_within_rounding(found, first + i, what.reduction, size) ? 0 : 1;
      }
      return wrong;
    } else {
      return count_wrong(output, what, rank, size);
    }
  });
}

}  // namespace ringside::tools
