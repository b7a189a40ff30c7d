// Is the oracle worth asking? The tools, and the tests of the collectives, compare with
// tools/support/oracle.h, so here the oracle itself is looked at: its roundings against values
// worked out by hand, and its inputs against the mistakes that they are meant to show. Inputs that
// hide a wrong order would let a wrong library pass.
#include <algorithm>
#include <bit>
#include <cstring>

#include "tests/support/test.h"
#include "tools/support/oracle.h"

using namespace ringside;
using namespace ringside::test;
using namespace ringside::tools;

namespace {

constexpr std::size_t kCount = 64;

std::vector<Bytes> make_inputs(int ranks, DType dtype, Reduction reduction) {
  std::vector<Bytes> inputs;
  for (int rank = 0; rank < ranks; ++rank)
    inputs.push_back(make_input(rank, kCount, dtype, reduction, 3));
  return inputs;
}

// How many of the elements come out differently when folded in the second order.
int changed(const std::vector<Bytes>& inputs, DType dtype, Reduction reduction,
            const std::vector<int>& right, const std::vector<int>& wrong) {
  int count = 0;
  for (std::size_t i = 0; i < kCount; ++i)
    count += folded_element(inputs, i, right, dtype, reduction) !=
             folded_element(inputs, i, wrong, dtype, reduction);
  return count;
}

bool is_float(DType dtype) {
  return dtype != DType::i32 && dtype != DType::i64 && dtype != DType::u8;
}
bool is_extremum(Reduction reduction) {
  return reduction == Reduction::min || reduction == Reduction::max;
}

template <class T>
Bytes one_element(T value) {
  Bytes bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

template <class T>
T two(Reduction reduction, T a, T b) {
  const Bytes result = expected_output({Kind::all_reduce, dtype_of<T>, reduction, 0, 1},
                                       {.rank = 0, .size = 2}, {one_element(a), one_element(b)});
  T value;
  std::memcpy(&value, result.data(), sizeof value);
  return value;
}

int bits(f16 value) { return value.bits; }
int bits(bf16 value) { return value.bits; }
f16 h(int bits) { return {static_cast<std::uint16_t>(bits)}; }
bf16 b(int bits) { return {static_cast<std::uint16_t>(bits)}; }

}  // namespace

RINGSIDE_TEST(oracle, rounds_halves_as_worked_out_by_hand) {
  const Reduction sum = Reduction::sum, product = Reduction::product;
  CHECK_EQ(bits(two(sum, h(0x3c00), h(0x3c00))), 0x4000);      // 1 + 1 = 2
  CHECK_EQ(bits(two(sum, h(0x6800), h(0x3c00))), 0x6800);      // 2048 + 1: a tie, to even
  CHECK_EQ(bits(two(sum, h(0x6801), h(0x3c00))), 0x6802);      // 2050 + 1: a tie, to even
  CHECK_EQ(bits(two(sum, h(0x7bff), h(0x7bff))), 0x7c00);      // 65504 + 65504: infinity
  CHECK_EQ(bits(two(sum, h(0x7bff), h(0x4b80))), 0x7bff);      // + 15: below half a unit
  CHECK_EQ(bits(two(sum, h(0x7bff), h(0x4c00))), 0x7c00);      // + 16: half a unit, to even
  CHECK_EQ(bits(two(sum, h(0x0001), h(0x0001))), 0x0002);      // denormals
  CHECK_EQ(bits(two(sum, h(0x03ff), h(0x0001))), 0x0400);      // the least normal number
  CHECK_EQ(bits(two(product, h(0x0001), h(0x3800))), 0x0000);  // half the least: a tie, to 0
  CHECK_EQ(bits(two(product, h(0x8003), h(0x3800))), 0x8002);  // −1.5 units: to −2
  CHECK_EQ(bits(two(sum, b(0x3f80), b(0x3b80))), 0x3f80);      // 1 + 2⁻⁸: a tie, to even
  CHECK_EQ(bits(two(sum, b(0x3f81), b(0x3b80))), 0x3f82);
  CHECK_EQ(bits(two(sum, b(0x7f7f), b(0x7f7f))), 0x7f80);
  CHECK_EQ(bits(two(sum, b(0x007f), b(0x0001))), 0x0080);
}

RINGSIDE_TEST(oracle, min_max_and_integers_as_promised) {
  CHECK_EQ(std::bit_cast<std::uint32_t>(two(Reduction::min, 0.0f, -0.0f)), 0x80000000u);
  CHECK_EQ(std::bit_cast<std::uint32_t>(two(Reduction::max, -0.0f, 0.0f)), 0u);
  const float nan = std::bit_cast<float>(0x7fc00000);
  CHECK(two(Reduction::min, nan, 1.0f) != two(Reduction::min, nan, 1.0f));
  CHECK(two(Reduction::max, 1.0f, nan) != two(Reduction::max, 1.0f, nan));
  CHECK_EQ(two(Reduction::sum, std::int32_t{2147483647}, std::int32_t{1}), -2147483647 - 1);
  CHECK_EQ(two(Reduction::avg, std::int32_t{-4}, std::int32_t{-3}), -3);  // −3.5, towards 0
  CHECK_EQ(int{two(Reduction::avg, std::uint8_t{200}, std::uint8_t{100})}, 22);  // (300 − 256) / 2
}

RINGSIDE_TEST(oracle, deals_elements_and_rotates_ranks) {
  CHECK(dealt(10, 4) == (std::vector<std::size_t>{3, 3, 2, 2}));
  CHECK(dealt(1, 3) == (std::vector<std::size_t>{1, 0, 0}));
  CHECK(rotated_order(1, 4) == (std::vector{2, 3, 0, 1}));
  CHECK(rotated_order(3, 4) == (std::vector{0, 1, 2, 3}));
}

// The claim on which all of the matrix rests.
RINGSIDE_TEST(oracle, inputs_show_a_lost_a_doubled_and_a_misplaced_contribution) {
  for (const DType dtype : kAllDTypes)
    for (const Reduction reduction : kAllReductions)
      for (const int ranks : {2, 3, 5, 8}) {
        const std::vector<Bytes> inputs = make_inputs(ranks, dtype, reduction);
        const std::vector<int> right = rotated_order(0, ranks);
        for (int victim = 0; victim < ranks; ++victim) {
          std::vector<int> lost = right, doubled = right;
          lost.erase(std::find(lost.begin(), lost.end(), victim));
          doubled.push_back(victim);
          CHECK_MSG(changed(inputs, dtype, reduction, right, lost) > 0, "%s %s of %d hides a loss",
                    name_of(dtype), name_of(reduction), ranks);
          // min and max cannot tell once from twice: nothing could.
          CHECK_MSG(
              is_extremum(reduction) || changed(inputs, dtype, reduction, right, doubled) > 30,
              "%s %s of %d hides a doubled contribution", name_of(dtype), name_of(reduction),
              ranks);
        }
        // Order: only rounding shows it, and only from three ranks on (a + b = b + a).
        if (!is_float(dtype) || is_extremum(reduction) || ranks < 3) continue;
        for (int chunk = 1; chunk < ranks; ++chunk)
          CHECK_MSG(changed(inputs, dtype, reduction, right, rotated_order(chunk, ranks)) > 0,
                    "%s %s of %d: order %d looks like order 0", name_of(dtype), name_of(reduction),
                    ranks, chunk);
        std::vector<int> swapped = right;
        std::swap(swapped[1], swapped[2]);
        CHECK_MSG(changed(inputs, dtype, reduction, right, swapped) > 0,
                  "%s %s of %d hides two ranks in each other's place", name_of(dtype),
                  name_of(reduction), ranks);
      }
}
