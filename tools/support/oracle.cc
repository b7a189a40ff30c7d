// Inputs and expected outputs; the requirements are in oracle.h.
#include "tools/support/oracle.h"

#include <numeric>

#include "comm/error.h"
#include "comm/util/function_ref.h"
#include "tools/support/call.h"
#include "tools/support/oracle_arithmetic.h"

namespace ringside::tools {
namespace {

constexpr std::size_t at(int rank) { return static_cast<std::size_t>(rank); }

std::uint64_t hash(int rank, std::size_t index, std::uint64_t seed) {
  std::uint64_t x = (static_cast<std::uint64_t>(rank) + 1) * 0x9e3779b97f4a7c15u + index;
  x += seed * 0xd1342543de82ef95u;
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
T input(int rank, std::size_t index, Reduction reduction, InputKind kind = {}) {
  const std::uint64_t bits = hash(rank, index, kind.seed);
  if constexpr (std::is_integral_v<T>) {
    // Odd numbers but 1 have inverses, so a product notices each of them; a sum notices all but 0.
    const T value = static_cast<T>(bits | 1);
    return value == T{1} ? T{3} : value;
  } else {
    // Bits that real() leaves alone.
    if (kind.special && (bits >> 4 & 7) == 0) return special_value<T>(bits >> 7 & 31);
    return from_double<T>(real(bits, reduction));
  }
}

template <class T>
T element(const void* buffer, std::size_t index) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(buffer) + index * sizeof value, sizeof value);
  return value;
}

template <class T>
void set_element(void* buffer, std::size_t index, T value) {
  std::memcpy(static_cast<std::byte*>(buffer) + index * sizeof value, &value, sizeof value);
}

// Sums of ranks' contributions, which are added in turn. Of all operations but an all_reduce in
// groups there is one.
using Order = std::vector<std::vector<int>>;

// `brought(rank, index)` is an element of a rank's input.
template <class T, class Brought>
T fold(const Brought& brought, std::size_t index, const Order& order, Reduction reduction,
       int divisor) {
  const auto sum_of = [&](const std::vector<int>& ranks) {
    T value = brought(ranks[0], index);
    for (std::size_t k = 1; k < ranks.size(); ++k)
      value = combined(reduction, value, brought(ranks[k], index));
    return value;
  };
  T value = sum_of(order[0]);
  for (std::size_t k = 1; k < order.size(); ++k)
    value = combined(reduction, value, sum_of(order[k]));
  return reduction == Reduction::avg ? divided(value, divisor) : value;
}

// In groups, place p of group g folds chunk p · groups + g: place by place inside each group, and
// then group by group, from the next one to its own.
Order order_of(Kind kind, const Callers& callers, int chunk) {
  if (kind != Kind::all_reduce || callers.group_ranks == 0)
    return {rotated_order(chunk, callers.size)};
  const int each = callers.group_ranks, groups = callers.size / each;
  Order order;
  for (const int group : rotated_order(chunk % groups, groups)) {
    order.push_back(rotated_order(chunk / groups, each));
    for (int& rank : order.back()) rank += group * each;
  }
  return order;
}

template <class T>
auto brought_in(const std::vector<Bytes>& inputs) {
  return
      [&inputs](int rank, std::size_t index) { return element<T>(inputs[at(rank)].data(), index); };
}

// `count` elements of the output: elements first, first + 1, … of what `rank` brought, or of the
// fold of that rank's chunk.
using Piece = FunctionRef<void(int rank, std::size_t first, std::size_t count)>;

// An output piece by piece, from its first element to its last.
void walk(const Operation& what, const Callers& callers, Piece folded, Piece copied) {
  const int rank = callers.rank, size = callers.size;
  const bool cuts_the_whole = what.kind == Kind::all_reduce || what.kind == Kind::reduce;
  std::vector<std::size_t> counts(at(size), what.count);
  if (cuts_the_whole) counts = dealt(what.count, size);
  if (!callers.counts.empty()) counts.assign(callers.counts.begin(), callers.counts.end());
  const auto before = [&](int chunk) {
    return std::accumulate(counts.begin(), counts.begin() + chunk, std::size_t{0});
  };
  const bool one_takes = what.kind == Kind::reduce || what.kind == Kind::gather;
  if (one_takes && rank != what.root) return;
  switch (what.kind) {
    case Kind::all_reduce:
    case Kind::reduce:
      for (int chunk = 0; chunk < size; ++chunk) folded(chunk, before(chunk), counts[at(chunk)]);
      break;
    case Kind::reduce_scatter:
    case Kind::reduce_scatter_v:
      folded(rank, before(rank), counts[at(rank)]);
      break;
    case Kind::all_gather:
    case Kind::all_gather_v:
    case Kind::gather:
      for (int from = 0; from < size; ++from) copied(from, 0, counts[at(from)]);
      break;
    case Kind::all_to_all:
      for (int from = 0; from < size; ++from) copied(from, before(rank), counts[at(rank)]);
      break;
    case Kind::scatter:
      copied(what.root, before(rank), counts[at(rank)]);
      break;
    case Kind::send_recv:  // one step of a ring: what comes from the left
      copied((rank + size - 1) % size, 0, what.count);
      break;
    case Kind::broadcast:
      copied(what.root, 0, what.count);
      break;
    default:
      break;
  }
}

// `is_right(found, order, index)` judges an element that is a fold.
template <class T, class IsRight>
Wrong find_wrong_by(const void* output, const Operation& what, const Callers& callers,
                    const IsRight& is_right) {
  Wrong wrong;
  std::size_t next = 0;
  const auto compare = [&](std::size_t count, const auto& judge) {
    for (std::size_t i = 0; i < count; ++i, ++next)
      if (!judge(element<T>(output, next), i) && wrong.count++ == 0) wrong.first = next;
  };
  const auto folded = [&](int chunk, std::size_t first, std::size_t count) {
    const Order order = order_of(what.kind, callers, chunk);
    compare(count, [&](T found, std::size_t i) { return is_right(found, order, first + i); });
  };
  const auto copied = [&](int from, std::size_t first, std::size_t count) {
    const int of = callers.inputs.empty() ? from : callers.inputs[at(from)];
    compare(count, [&](T found, std::size_t i) {
      return same(found, input<T>(of, callers.first + first + i, Reduction::sum));
    });
  };
  walk(what, callers, folded, copied);
  return wrong;
}

// Those of count_wrong() and count_beyond_rounding(), where the ranks' counts differ.
std::vector<std::size_t> counts_of(const Operation& what, int size) {
  return is_ragged(what.kind) ? ragged_counts(what.count, size) : std::vector<std::size_t>();
}

// Half a unit in the last place of 1.
template <class T>
constexpr long double unit_roundoff() {
  if constexpr (std::is_same_v<T, f16>) return 0x1p-11L;
  if constexpr (std::is_same_v<T, bf16>) return 0x1p-8L;
  return std::is_same_v<T, float> ? 0x1p-24L : 0x1p-53L;
}

// Whether `found` is what some order of n − 1 rounded operations may give for element `index`.
template <class T>
bool is_within_rounding(T found, std::size_t index, Reduction reduction, int size) {
  long double sum = 0, magnitudes = 0, product = 1;
  for (int rank = 0; rank < size; ++rank) {
    const long double x = value_of(input<T>(rank, index, reduction));
    sum += x;
    magnitudes += std::fabs(x);
    product *= x;
  }
  const long double steps = (size - 1) * unit_roundoff<T>();
  const long double gamma = steps / (1 - steps);
  const bool multiplies = reduction == Reduction::product;
  const long double error =
      std::fabs(static_cast<long double>(value_of(found)) - (multiplies ? product : sum));
  return error <= gamma * (multiplies ? std::fabs(product) : magnitudes);  // false for NaN
}

}  // namespace

void fill_input(void* target, std::size_t count, DType dtype, Reduction reduction, int rank,
                std::size_t first, InputKind kind) {
  visit(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::size_t i = 0; i < count; ++i)
      set_element(target, i, input<T>(rank, first + i, reduction, kind));
  });
}

Bytes make_input(int rank, std::size_t count, DType dtype, Reduction reduction, std::uint64_t seed,
                 bool special) {
  Bytes made(count * bytes_of(dtype));
  fill_input(made.data(), count, dtype, reduction, rank, 0, {seed, special});
  return made;
}

std::vector<std::size_t> dealt(std::size_t count, int ranks) {
  std::vector<std::size_t> counts;
  for (std::size_t left = at(ranks); left > 0; --left) {
    // What is left is dealt to the ranks that are left; each takes its share, rounded up.
    counts.push_back((count + left - 1) / left);
    count -= counts.back();
  }
  return counts;
}

std::vector<int> rotated_order(int chunk, int ranks) {
  std::vector<int> order;
  for (int rank = chunk + 1; rank < ranks; ++rank) order.push_back(rank);
  for (int rank = 0; rank <= chunk; ++rank) order.push_back(rank);
  return order;
}

Wrong find_wrong(const void* output, const Operation& what, const Callers& callers) {
  return visit(what.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto brought = [&](int rank, std::size_t index) {
      const int of = callers.inputs.empty() ? rank : callers.inputs[at(rank)];
      return input<T>(of, callers.first + index, what.reduction);
    };
    return find_wrong_by<T>(
        output, what, callers, [&](T found, const Order& order, std::size_t index) {
          return same(found, fold<T>(brought, index, order, what.reduction, callers.size));
        });
  });
}

std::size_t count_wrong(const void* output, const Operation& what, int rank, int size,
                        int group_ranks) {
  const std::vector<std::size_t> counts = counts_of(what, size);
  const Callers callers{
      .rank = rank, .size = size, .counts = counts, .group_ranks = group_ranks};
  return find_wrong(output, what, callers).count;
}

std::size_t count_beyond_rounding(const void* output, const Operation& what, int rank, int size) {
  const bool adds = what.reduction == Reduction::sum || what.reduction == Reduction::product;
  return visit(what.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_integral_v<T>)
      if (adds) {
        const std::vector<std::size_t> counts = counts_of(what, size);
        return find_wrong_by<T>(output, what, {.rank = rank, .size = size, .counts = counts},
                                [&](T found, const Order&, std::size_t index) {
                                  return is_within_rounding(found, index, what.reduction, size);
                                })
            .count;
      }
    return count_wrong(output, what, rank, size);
  });
}

Bytes expected_output(const Operation& what, const Callers& callers,
                      const std::vector<Bytes>& inputs) {
  Bytes output;
  visit(what.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto brought = brought_in<T>(inputs);
    const auto append = [&](std::size_t count, const auto& value) {
      const std::size_t begin = output.size() / sizeof(T);
      output.resize(output.size() + count * sizeof(T));
      for (std::size_t i = 0; i < count; ++i) set_element(output.data(), begin + i, value(i));
    };
    const auto folded = [&](int chunk, std::size_t first, std::size_t count) {
      const Order order = order_of(what.kind, callers, chunk);
      append(count, [&](std::size_t i) {
        return fold<T>(brought, first + i, order, what.reduction, callers.size);
      });
    };
    const auto copied = [&](int from, std::size_t first, std::size_t count) {
      append(count, [&](std::size_t i) { return brought(from, first + i); });
    };
    walk(what, callers, folded, copied);
  });
  return output;
}

Bytes folded_element(const std::vector<Bytes>& inputs, std::size_t index,
                     const std::vector<int>& order, DType dtype, Reduction reduction) {
  Bytes result(bytes_of(dtype));
  visit(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const int divisor = static_cast<int>(inputs.size());
    set_element(result.data(), 0,
                fold<T>(brought_in<T>(inputs), index, {order}, reduction, divisor));
  });
  return result;
}

std::string difference(const void* got, const void* expected, std::size_t count, DType dtype) {
  if (count == 0 || std::memcmp(got, expected, count * bytes_of(dtype)) == 0) return "";
  return visit(dtype, [&](auto tag) -> std::string {
    using T = typename decltype(tag)::type;
    for (std::size_t i = 0; i < count; ++i) {
      const T a = element<T>(got, i), b = element<T>(expected, i);
      if (same(a, b)) continue;
      std::uint64_t a_bits = 0, b_bits = 0;
      std::memcpy(&a_bits, &a, sizeof a);
      std::memcpy(&b_bits, &b, sizeof b);
      return text("element %zu of %zu (%s): %#llx instead of %#llx", i, count, name_of(dtype),
                  static_cast<unsigned long long>(a_bits), static_cast<unsigned long long>(b_bits));
    }
    return "";
  });
}

}  // namespace ringside::tools
