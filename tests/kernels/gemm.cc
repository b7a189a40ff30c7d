// The matrix product in its fixed order: bit for bit against three plain loops, for every form and
// type, around every tile edge; and the promises that follow from the order. The mutants are other
// orders: inputs that could not tell them apart would prove nothing.
#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "tests/kernels/gemm_oracle.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using test::Matrices;
using test::Order;

struct Size {
  std::size_t m, n, k;
};
constexpr Size kSizes[] = {{1, 1, 1},     {1, 1, 0},     {3, 5, 7},      {12, 32, 256},
                           {13, 33, 257}, {97, 513, 70}, {100, 40, 600}, {6, 16, 1}};

template <class In, class Out>
void check_type(test::Context& t) {
  for (const GemmForm form : kAllGemmForms)
    for (const Size size : kSizes)
      for (const bool accumulate : {false, true})
        for (const std::size_t gap : {0u, 3u}) {
          if (test::kSanitized && size.m > 50 && (accumulate || gap != 0)) continue;
          Matrices<In, Out> it(form, size.m, size.n, size.k, gap);
          it.what.accumulate = accumulate;
          const std::vector<Out> expected = it.oracle(Order::promised);
          gemm(it.what, it.c.data(), it.a.data(), it.b.data());
          CHECK_MSG(std::memcmp(it.c.data(), expected.data(), expected.size() * sizeof(Out)) == 0,
                    "%s %s to %s, %zu x %zu x %zu, gap %zu, accumulate %d", name_of(form),
                    name_of(dtype_of<In>), name_of(dtype_of<Out>), size.m, size.n, size.k, gap,
                    int{accumulate});
        }
}

RINGSIDE_TEST(kernels_gemm, has_the_bits_of_three_plain_loops) {
  if (test::kUnderTsan) SKIP("it has one thread");
  check_type<float, float>(t);
  check_type<bf16, bf16>(t);
  check_type<bf16, float>(t);
  check_type<f16, f16>(t);
  check_type<f16, float>(t);
}

RINGSIDE_TEST(kernels_gemm, another_order_has_other_bits) {
  for (const Order order : {Order::downwards, Order::in_two_halves, Order::not_fused}) {
    const Matrices<float, float> it(GemmForm::nn, 30, 30, 100, 0);
    const std::vector<float> promised = it.oracle(Order::promised), other = it.oracle(order);
    std::size_t different = 0;
    for (std::size_t i = 0; i < promised.size(); ++i) different += promised[i] != other[i] ? 1 : 0;
    CHECK_MSG(different > promised.size() / 4, "order %d: %zu of %zu differ",
              static_cast<int>(order), different, promised.size());
  }
}

RINGSIDE_TEST(kernels_gemm, shards_of_rows_and_columns_are_the_whole) {
  Matrices<float, float> whole(GemmForm::nn, 50, 90, 130, 0);
  gemm(whole.what, whole.c.data(), whole.a.data(), whole.b.data());
  Matrices<float, float> parts(GemmForm::nn, 50, 90, 130, 0);
  for (const std::size_t row : {0u, 17u})
    for (const std::size_t column : {0u, 41u}) {
      Gemm shard = parts.what;
      shard.pitch_a = 130, shard.pitch_b = shard.pitch_c = 90;
      shard.m = row == 0 ? 17 : 33;
      shard.n = column == 0 ? 41 : 49;
      gemm(shard, parts.c.data() + row * 90 + column, parts.a.data() + row * 130,
           parts.b.data() + column);
    }
  CHECK(whole.c == parts.c);
}

RINGSIDE_TEST(kernels_gemm, micro_batches_accumulate_to_the_whole_batch) {
  // dW = dYᵀ·X with a batch of 70 as k, at once and as 20 + 20 + 30.
  Matrices<bf16, float> whole(GemmForm::tn, 24, 40, 70, 0);
  gemm(whole.what, whole.c.data(), whole.a.data(), whole.b.data());
  Matrices<bf16, float> parts(GemmForm::tn, 24, 40, 70, 0);
  for (const std::size_t begin : {0u, 20u, 40u}) {
    Gemm part = parts.what;
    part.k = begin == 40 ? 30 : 20;
    part.accumulate = begin > 0;
    gemm(part, parts.c.data(), parts.a.data() + begin * 24, parts.b.data() + begin * 40);
  }
  CHECK(whole.c == parts.c);
}

std::string refusal(const Gemm& what) {
  try {
    checked(what);
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return "";
}

RINGSIDE_TEST(kernels_gemm, what_cannot_be_multiplied_is_refused_in_a_sentence) {
  CHECK_EQ(refusal({.m = 2, .n = 2, .k = 2}), "");
  CHECK_EQ(refusal({.in = DType::f64, .out = DType::f64}),
           "gemm computes in f32, f16 or bf16, and not in f64");
  CHECK_EQ(refusal({.in = DType::f32, .out = DType::bf16}),
           "gemm: C is f32 or of the type of A and B, which is f32, and not bf16");
  CHECK_EQ(refusal({.m = 4, .n = 4, .k = 4, .pitch_b = 3}),
           "gemm: a row of B has 4 elements, and its pitch of 3 is less");
}

}  // namespace
}  // namespace ringside
