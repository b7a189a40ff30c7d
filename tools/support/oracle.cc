// Inputs and expected outputs; the requirements are in oracle.h.
#include "tools/support/oracle.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "comm/algorithms/chunks.h"
#include "comm/algorithms/ring.h"
#include "tools/support/call.h"

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

int input_of(const Callers& callers, int rank) {
  return callers.inputs.empty() ? rank : callers.inputs[static_cast<std::size_t>(rank)];
}

// Element `index` of the input of `rank`.
template <class T>
T brought(const Callers& callers, int rank, std::size_t index, Reduction reduction) {
  return input<T>(input_of(callers, rank), callers.first + index, reduction);
}

// Element `index` of chunk `chunk`: the left fold over ranks chunk+1, chunk+2, …, chunk.
template <class T>
T folded(const Callers& callers, int chunk, std::size_t index, Reduction reduction) {
  const int size = callers.size;
  T value = brought<T>(callers, (chunk + 1) % size, index, reduction);
  for (int k = 2; k <= size; ++k)
    value = combine(value, brought<T>(callers, (chunk + k) % size, index, reduction), reduction);
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

// An output that is compared with what it must be, part by part.
template <class T>
class Comparison {
 public:
  explicit Comparison(const std::byte* output) : output_(output) {}

  // The next `count` elements must be expected(0), expected(1), …
  template <class Expected>
  void next(std::size_t count, const Expected& expected) {
    for (std::size_t i = 0; i < count; ++i, ++index_) {
      if (same<T>(output_ + index_ * sizeof(T), expected(i))) continue;
      if (wrong_.count++ == 0) wrong_.first = index_;
    }
  }
  Wrong wrong() const { return wrong_; }

 private:
  const std::byte* output_;
  std::size_t index_ = 0;
  Wrong wrong_;
};

// Where each rank's part lies in the whole.
Chunks parts(const Operation& what, const Callers& callers) {
  if (!callers.counts.empty()) return Chunks(callers.counts);
  return Chunks(what.count * static_cast<std::size_t>(callers.size), callers.size);
}

template <class T>
Wrong wrong_in(const std::byte* output, const Operation& what, const Callers& callers) {
  Comparison<T> comparison(output);
  const auto reduced = [&](int chunk, Range range) {
    comparison.next(range.count, [&](std::size_t i) {
      return folded<T>(callers, chunk, range.begin + i, what.reduction);
    });
  };
  const auto copied = [&](int from, std::size_t first, std::size_t count) {
    comparison.next(
        count, [&](std::size_t i) { return brought<T>(callers, from, first + i, Reduction::sum); });
  };
  const Range own = parts(what, callers)[callers.rank];
  const bool on_root = callers.rank == what.root;
  switch (what.kind) {
    case Kind::all_reduce:
    case Kind::reduce:
      if (what.kind == Kind::reduce && !on_root) break;
      for (int chunk = 0; chunk < callers.size; ++chunk)
        reduced(chunk, Chunks{what.count, callers.size}[chunk]);
      break;
    case Kind::reduce_scatter:
    case Kind::reduce_scatter_v:
      reduced(callers.rank, own);
      break;
    case Kind::all_gather:
    case Kind::all_gather_v:
    case Kind::gather:
      if (what.kind == Kind::gather && !on_root) break;
      for (int from = 0; from < callers.size; ++from)
        copied(from, 0, parts(what, callers)[from].count);
      break;
    case Kind::all_to_all:
      for (int from = 0; from < callers.size; ++from) copied(from, own.begin, own.count);
      break;
    case Kind::scatter:
      copied(what.root, own.begin, own.count);
      break;
    case Kind::send_recv:  // one step of a ring: what comes from the left
      copied(Ring{callers.rank, callers.size}.left(), 0, what.count);
      break;
    case Kind::barrier:
      break;
    default:
      copied(what.root, 0, what.count);
      break;
  }
  return comparison.wrong();
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

Wrong find_wrong(const void* output, const Operation& what, const Callers& callers) {
  return visit(what.dtype, [&](auto tag) {
    return wrong_in<typename decltype(tag)::type>(static_cast<const std::byte*>(output), what,
                                                  callers);
  });
}

std::size_t count_wrong(const void* output, const Operation& what, int rank, int size) {
  std::vector<std::size_t> counts;
  if (is_ragged(what.kind)) counts = ragged_counts(what.count, size);
  return find_wrong(output, what, {.rank = rank, .size = size, .counts = counts}).count;
}

std::size_t count_beyond_rounding(const void* output, const Operation& what, int rank, int size) {
  return visit(what.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const bool adds = what.reduction == Reduction::sum || what.reduction == Reduction::product;
    if constexpr (!std::is_integral_v<T>) {
      if (!has_reduction(what.kind) || !adds) return count_wrong(output, what, rank, size);
      const std::size_t count = output_count(what, rank, size);
      const bool part = what.kind == Kind::reduce_scatter || what.kind == Kind::reduce_scatter_v;
      const std::size_t first = part ? part_of_rank(what, rank, size).begin : 0;
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
