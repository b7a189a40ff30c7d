// The loops of kernels/, each build × type × reduction, held bit for bit to the plain oracle of
// tests/kernels/oracle.h: every count around the vectors' widths, every alignment, in place
// and apart. Then loops with one fault each, which the oracle must see.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/loops.h"
#include "tests/kernels/oracle.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using test::GuardedBytes;
using test::Inputs;

std::vector<std::size_t> counts_to_try() {
  std::vector<std::size_t> counts;
  for (std::size_t count = 0; count <= 67; ++count) counts.push_back(count);
  counts.insert(counts.end(), {255, 1000, 1025});
  return counts;
}

template <class T>
std::string compare(GuardedBytes& out, const std::vector<T>& expected, std::size_t count,
                    const char* how) {
  for (std::size_t i = 0; i < count; ++i) {
    T got;
    std::memcpy(&got, out.data() + i * sizeof(T), sizeof got);
    if (!test::same(got, expected[i])) {
      return text("%s, element %zu of %zu is wrong", how, i, count);
    }
  }
  if (!out.guards_intact()) return text("%s, count %zu: wrote outside", how, count);
  return "";
}

// What is wrong with a loop; nothing if all is well.
template <class T>
std::string find_fault(ReduceLoop loop, Reduction reduction) {
  const Inputs<T> inputs = test::make_inputs<T>(1025);
  std::vector<T> expected;
  for (std::size_t i = 0; i < inputs.a.size(); ++i) {
    expected.push_back(test::oracle(reduction, inputs.a[i], inputs.b[i]));
  }
  struct Offsets {
    std::size_t out, a, b;
  };
  for (const Offsets offset : {Offsets{0, 0, 0}, Offsets{1, 2, 3}, Offsets{3, 1, 1}}) {
    for (const std::size_t count : counts_to_try()) {
      const std::size_t bytes = count * sizeof(T);
      GuardedBytes a(inputs.a.data(), bytes, offset.a);
      GuardedBytes b(inputs.b.data(), bytes, offset.b);
      GuardedBytes out(nullptr, bytes, offset.out);
      loop(out.data(), a.data(), b.data(), count);
      std::string fault = compare(out, expected, count, "apart");
      GuardedBytes onto_a = a;
      loop(onto_a.data(), onto_a.data(), b.data(), count);
      if (fault.empty()) fault = compare(onto_a, expected, count, "out == a");
      loop(b.data(), a.data(), b.data(), count);
      if (fault.empty()) fault = compare(b, expected, count, "out == b");
      if (!fault.empty()) return fault;
    }
  }
  return "";
}

template <class T>
std::string find_fault(DivideLoop loop) {
  const Inputs<T> inputs = test::make_inputs<T>(1025);
  for (const int divisor : {1, 2, 3, 7, 64, 100}) {
    std::vector<T> expected;
    for (const T value : inputs.a) expected.push_back(test::oracle_divide(value, divisor));
    for (const std::size_t count : counts_to_try()) {
      GuardedBytes data(inputs.a.data(), count * sizeof(T), count % 4);
      loop(data.data(), count, divisor);
      const std::string fault = compare(data, expected, count, "divide");
      if (!fault.empty()) return text("by %d: %s", divisor, fault.c_str());
    }
  }
  return "";
}

void check_isa(test::Context& t, Isa isa) {
  for (const DType dtype : kAllDTypes) {
    visit(dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (const Reduction reduction : kAllReductions) {
        const std::string fault = find_fault<T>(reduce_loop(isa, dtype, reduction), reduction);
        CHECK_MSG(fault.empty(), "%s %s: %s", name_of(dtype), name_of(reduction), fault.c_str());
      }
      const std::string fault = find_fault<T>(divide_loop(isa, dtype));
      CHECK_MSG(fault.empty(), "%s: %s", name_of(dtype), fault.c_str());
    });
  }
}

RINGSIDE_TEST(kernels, baseline_loops_match_the_oracle) { check_isa(t, Isa::baseline); }

RINGSIDE_TEST(kernels, avx2_loops_match_the_oracle) {
  if (divide_loop(Isa::avx2, DType::f32) == nullptr) SKIP("no AVX2 in this machine or build");
  check_isa(t, Isa::avx2);
}

RINGSIDE_TEST(kernels, avx512_loops_match_the_oracle) {
  if (divide_loop(Isa::avx512, DType::f32) == nullptr) SKIP("no AVX-512 in this machine or build");
  check_isa(t, Isa::avx512);
}

// Loops with one fault each. If the oracle lets one pass, it is the oracle that is broken.
template <class T, class Op>
void faulty_loop(void* out, const void* a, const void* b, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    T x, y;
    std::memcpy(&x, static_cast<const char*>(a) + i * sizeof(T), sizeof(T));
    std::memcpy(&y, static_cast<const char*>(b) + i * sizeof(T), sizeof(T));
    const T result = Op{}(x, y);
    std::memcpy(static_cast<char*>(out) + i * sizeof(T), &result, sizeof(T));
  }
}

struct MinLosesNan {
  float operator()(float a, float b) const { return std::fmin(a, b); }
};
struct MaxByCompare {
  float operator()(float a, float b) const { return a > b ? a : b; }
};
struct MinMixesZeros {
  float operator()(float a, float b) const { return a == b ? a : Min{}(a, b); }
};
struct SumCuts {
  bf16 operator()(bf16 a, bf16 b) const {
    const float sum = to_float(a) + to_float(b);
    return bf16{static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(sum) >> 16)};
  }
};
struct SumSaturates {
  std::uint8_t operator()(std::uint8_t a, std::uint8_t b) const {
    return static_cast<std::uint8_t>(a + b > 255 ? 255 : a + b);
  }
};

void writes_one_too_many(void* out, const void* a, const void* b, std::size_t count) {
  faulty_loop<float, Sum>(out, a, b, count);
  static_cast<char*>(out)[count * sizeof(float)] = 0;
}

RINGSIDE_TEST(kernels, oracle_sees_faults) {
  CHECK_EQ((find_fault<float>(faulty_loop<float, Sum>, Reduction::sum)), "");  // the loop itself
  CHECK(!find_fault<float>(faulty_loop<float, MinLosesNan>, Reduction::min).empty());
  CHECK(!find_fault<float>(faulty_loop<float, MaxByCompare>, Reduction::max).empty());
  CHECK(!find_fault<float>(faulty_loop<float, MinMixesZeros>, Reduction::min).empty());
  CHECK(!find_fault<bf16>(faulty_loop<bf16, SumCuts>, Reduction::sum).empty());
  CHECK(!find_fault<std::uint8_t>(faulty_loop<std::uint8_t, SumSaturates>, Reduction::sum).empty());
  CHECK(!find_fault<float>(writes_one_too_many, Reduction::sum).empty());
}

RINGSIDE_TEST(kernels, both_copies_copy_and_nothing_more) {
  std::vector<unsigned char> source(5000);
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<unsigned char>(i * 7 + 1);
  for (const auto copy : {copy_bytes, copy_bytes_streaming}) {
    for (std::size_t bytes = 0; bytes + 7 <= source.size(); bytes += bytes < 300 ? 1 : 611) {
      for (std::size_t offset = 0; offset < 4; ++offset) {
        const unsigned char* const from = source.data() + 2 * offset;
        GuardedBytes target(nullptr, bytes, offset);
        copy(target.data(), from, bytes);
        CHECK(bytes == 0 || std::memcmp(target.data(), from, bytes) == 0);
        CHECK(target.guards_intact());
      }
    }
    copy(nullptr, nullptr, 0);  // an empty buffer has no address
  }
}

// The same bits as without, wherever the target begins, and in place on either operand.
RINGSIDE_TEST(kernels, streaming_reduces_to_the_same_bits) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::u8, DType::i64}) {
    const std::size_t each = bytes_of(dtype);
    const ReduceLoop loop = reduce_loop(dtype, Reduction::sum);
    for (const std::size_t count : {0u, 1u, 7u, 511u, 513u, 2000u, 5003u})
      for (const std::size_t offset : {0u, 1u, 8u, 40u}) {
        std::vector<unsigned char> a(count * each), b(count * each), wanted(count * each);
        for (std::size_t i = 0; i < a.size(); ++i) {
          a[i] = static_cast<unsigned char>(i * 7 + 1);
          b[i] = static_cast<unsigned char>(i * 13 + offset);
        }
        loop(wanted.data(), a.data(), b.data(), count);
        GuardedBytes target(nullptr, wanted.size(), offset);
        reduce_streaming(loop, each, target.data(), a.data(), b.data(), count);
        CHECK(wanted.empty() || std::memcmp(target.data(), wanted.data(), wanted.size()) == 0);
        CHECK(target.guards_intact());
        reduce_streaming(loop, each, b.data(), a.data(), b.data(), count);
        CHECK(b == wanted);
      }
  }
}

RINGSIDE_TEST(kernels, names_are_parsed_back) {
  for (const DType dtype : kAllDTypes) CHECK(parse_dtype(name_of(dtype)) == dtype);
  for (const Reduction reduction : kAllReductions) {
    CHECK(parse_reduction(name_of(reduction)) == reduction);
  }
  CHECK(parse_dtype("half") == DType::f16);
  CHECK(parse_dtype("bfloat16") == DType::bf16);
  CHECK(!parse_dtype("f8").has_value());
  CHECK(!parse_reduction("").has_value());
  CHECK_EQ(bytes_of(DType::bf16), 2u);
  CHECK(dtype_of<std::int64_t> == DType::i64);
}

RINGSIDE_TEST(kernels, best_loops_are_those_of_the_best_isa) {
  for (const DType dtype : kAllDTypes) {
    for (const Reduction reduction : kAllReductions) {
      CHECK(reduce_loop(dtype, reduction) == reduce_loop(best_isa(), dtype, reduction));
    }
    CHECK(reduce_loop(dtype, Reduction::avg) == reduce_loop(dtype, Reduction::sum));
    CHECK(divide_loop(dtype) == divide_loop(best_isa(), dtype));
  }
}

}  // namespace
}  // namespace ringside
