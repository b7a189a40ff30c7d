// GELU, its derivative, bias and AdamW on the CPU: against formulas in double precision, bit for
// bit between the builds for different instruction sets, and with mistakes that must be noticed.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/layers.h"
#include "kernels/layers_table.h"
#include "kernels/loops.h"
#include "tests/kernels/oracle.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using test::GuardedBytes;

const double kRoot2OverPi = std::sqrt(2 / std::acos(-1.0));

// Written from the published formulas, and not from kernels/elementwise.h.
double gelu_in_double(double x) {
  // ½·(1 + tanh u) loses its digits below −1; 1 / (1 + e^−2u) is the same and does not.
  return x / (1 + std::exp(-2 * kRoot2OverPi * (x + 0.044715 * x * x * x)));
}
double gelu_gradient_in_double(double x) {
  const double u = kRoot2OverPi * (x + 0.044715 * x * x * x);
  const double slope = kRoot2OverPi * (1 + 3 * 0.044715 * x * x);
  const double share = 1 / (1 + std::exp(-2 * u)), rest = 1 / (1 + std::exp(2 * u));
  return share + x * share * rest * 2 * slope;
}

std::vector<float> inputs_for_gelu() {
  std::vector<float> inputs = {0.0f, -0.0f, 1e-40f, -1e-40f, 1e-20f, 31.9f, -31.9f, 33.0f, 1e30f};
  for (float x = -14; x < 14; x += 0.001f) inputs.push_back(x);
  return inputs;
}

// The largest error, as a share of the allowed one: what is above 1 is wrong.
template <class F>
double worst(const std::vector<float>& inputs, const F& function, double (*truth)(double)) {
  double most = 0;
  for (const float x : inputs) {
    const double right = truth(static_cast<double>(x));
    const double bound = 4e-7 * std::max(1.0, std::fabs(static_cast<double>(x)));
    most = std::max(most, std::fabs(static_cast<double>(function(x)) - right) / bound);
  }
  return most;
}

RINGSIDE_TEST(kernels_layers, gelu_is_the_published_formula) {
  const std::vector<float> inputs = inputs_for_gelu();
  CHECK(worst(inputs, Gelu{}, gelu_in_double) <= 1);
  // Far down, where GELU is small, it is still small and not merely near 0.
  CHECK(std::fabs(static_cast<double>(Gelu{}(-6.0f)) / gelu_in_double(-6.0) - 1) < 1e-5);
  CHECK(std::isnan(Gelu{}(std::numeric_limits<float>::quiet_NaN())));
  CHECK(std::isinf(Gelu{}(std::numeric_limits<float>::infinity())));
  CHECK_EQ(Gelu{}(-1e30f), 0.0f);
  // Controls: GELU by the error function, and a constant that is off in its fourth digit.
  const auto by_erf = [](float x) { return 0.5f * x * (1 + std::erf(x / std::sqrt(2.0f))); };
  CHECK(worst(inputs, by_erf, gelu_in_double) > 1);
  const auto off = [](float x) {
    return x / (1 + std::exp(-2 * 0.7978846f * (x + 0.04472f * x * x * x)));
  };
  CHECK(worst(inputs, off, gelu_in_double) > 1);
}

RINGSIDE_TEST(kernels_layers, gelu_gradient_is_its_derivative) {
  std::vector<float> inputs = inputs_for_gelu();
  std::erase_if(inputs, [](float x) { return x > 100; });  // where e^2u leaves the doubles
  const auto gradient = [](float x) { return GeluGradient{}(x, 1); };
  CHECK(worst(inputs, gradient, gelu_gradient_in_double) <= 1);
  for (double x = -5; x < 5; x += 0.1) {
    const double h = 1e-6;
    const double slope = (gelu_in_double(x + h) - gelu_in_double(x - h)) / (2 * h);
    CHECK(std::fabs(slope - gelu_gradient_in_double(x)) < 1e-8);
  }
  CHECK_EQ(GeluGradient{}(-1e38f, 3.0f), 0.0f);
  CHECK_EQ(GeluGradient{}(1e38f, 3.0f), 3.0f);
  CHECK(std::isnan(GeluGradient{}(std::numeric_limits<float>::quiet_NaN(), 1)));
  // Control: the derivative without the term of the inner function.
  const auto half_of_it = [](float x) { return 1 / (1 + std::exp(-1.5957691f * x)); };
  CHECK(worst(inputs, half_of_it, gelu_gradient_in_double) > 1);
}

RINGSIDE_TEST(kernels_layers, powers_of_two_are_near_and_exact_at_whole_numbers) {
  for (int n = -126; n < 128; ++n) CHECK_EQ(exp2_fixed(static_cast<float>(n)), std::ldexp(1.0f, n));
  CHECK(std::isinf(exp2_fixed(128.0f)));
  double most = 0;
  for (float power = -126; power < 127.9f; power += 0.0007f) {
    const double right = std::exp2(static_cast<double>(power));
    most = std::max(most, std::fabs(static_cast<double>(exp2_fixed(power)) / right - 1));
  }
  CHECK_MSG(most < 1.2 * 0x1p-24, "off by %g", most);
}

std::vector<const LayerTable*> usable_tables() {
  std::vector<const LayerTable*> tables = {kLayersBaseline};
  const LayerTable* const best = &layer_table();
  if (best != kLayersBaseline && kLayersAvx2 != nullptr) tables.push_back(kLayersAvx2);
  if (best == kLayersAvx512) tables.push_back(best);
  return tables;
}

// f(x, y) for each element through the loops, at odd addresses, beside the functor by itself.
template <class T>
void check_elements(test::Context& t, const LayerTable& table) {
  const test::Inputs<T> inputs = test::make_inputs<T>(1025);
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{17}, inputs.a.size()})
    for (const std::size_t offset : {0u, 1u, 3u}) {
      const std::size_t bytes = count * sizeof(T);
      GuardedBytes x(inputs.a.data(), bytes, offset), dy(inputs.b.data(), bytes, offset + 1);
      GuardedBytes out(nullptr, bytes, 1), dx = dy;
      table.row[layer_row(dtype_of<T>)].gelu(out.data(), x.data(), count);
      table.row[layer_row(dtype_of<T>)].gelu_gradient(dx.data(), x.data(), dx.data(), count);
      for (std::size_t i = 0; i < count; ++i) {
        T got, slope;
        std::memcpy(&got, out.data() + i * sizeof(T), sizeof(T));
        std::memcpy(&slope, dx.data() + i * sizeof(T), sizeof(T));
        const float a = to_float(inputs.a[i]), b = to_float(inputs.b[i]);
        CHECK(test::same(got, from_float<T>(Gelu{}(a))));
        CHECK(test::same(slope, from_float<T>(GeluGradient{}(a, b))));
      }
      CHECK(out.guards_intact() && dx.guards_intact());
    }
}

RINGSIDE_TEST(kernels_layers, every_build_has_the_same_bits) {
  for (const LayerTable* const table : usable_tables()) {
    check_elements<float>(t, *table);
    check_elements<f16>(t, *table);
    check_elements<bf16>(t, *table);
  }
}

RINGSIDE_TEST(kernels_layers, bias_and_gelu_in_one_are_the_two_by_themselves) {
  constexpr std::size_t kRows = 5, kColumns = 37;
  const test::Inputs<bf16> inputs = test::make_inputs<bf16>(kRows * kColumns);
  std::vector<bf16> sum(kRows * kColumns), out(sum), fused_sum(sum), fused_out(sum);
  bias_add(DType::bf16, sum.data(), inputs.a.data(), inputs.b.data(), kRows, kColumns);
  gelu(DType::bf16, out.data(), sum.data(), sum.size());
  bias_gelu(DType::bf16, fused_out.data(), fused_sum.data(), inputs.a.data(), inputs.b.data(),
            kRows, kColumns);
  std::vector<bf16> without_sum(inputs.a.begin(), inputs.a.begin() + kRows * kColumns);
  bias_gelu(DType::bf16, without_sum.data(), nullptr, without_sum.data(), inputs.b.data(), kRows,
            kColumns);
  for (std::size_t i = 0; i < sum.size(); ++i) {
    CHECK(test::same(sum[i], Sum{}(inputs.a[i], inputs.b[i % kColumns])));
    CHECK(test::same(sum[i], fused_sum[i]) && test::same(out[i], fused_out[i]));
    CHECK(test::same(out[i], without_sum[i]));
  }
}

// One column, in the order that is promised, `part` rows at a time.
float column_sum(const std::vector<float>& dy, std::size_t columns, std::size_t c, float start,
                 std::size_t part) {
  float total = start;
  for (std::size_t begin = 0; begin * columns < dy.size(); begin += part) {
    float sum = 0;
    for (std::size_t r = begin; r < begin + part && r * columns < dy.size(); ++r)
      sum += dy[r * columns + c];
    total += sum;
  }
  return total;
}

RINGSIDE_TEST(kernels_layers, bias_gradient_is_added_in_the_promised_order) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::size_t other_order = 0;
  for (const std::size_t rows : {0u, 1u, 15u, 16u, 17u, 100u})
    for (const std::size_t columns : {1u, 63u, 64u, 130u}) {
      std::vector<float> dy(rows * columns), start(columns);
      for (float& it : dy) it = normal(random);
      for (float& it : start) it = normal(random);
      for (const LayerTable* const table : usable_tables())
        for (const bool accumulate : {false, true}) {
          std::vector<float> db = start;
          table->row[0].bias_gradient(db.data(), dy.data(), rows, columns, accumulate);
          for (std::size_t c = 0; c < columns; ++c) {
            const float from = accumulate ? start[c] : 0;
            CHECK_EQ(db[c], column_sum(dy, columns, c, from, kBiasPartRows));
            other_order += db[c] != column_sum(dy, columns, c, from, rows + 1) ? 1 : 0;
          }
        }
    }
  CHECK(other_order > 100);  // a mutant: these inputs show another order
}

// AdamW from its paper, in double; or with a mistake.
struct AdamWInDouble {
  enum Mistake { none, decay_in_gradient, no_correction };
  AdamWOptions options;
  Mistake mistake = none;
  double w, m = 0, v = 0;

  void step(double g, int t) {
    const double rate = options.learning_rate, decay = options.weight_decay;
    const double beta1 = options.beta1, beta2 = options.beta2;
    if (mistake == decay_in_gradient) g += decay * w;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const bool corrects = mistake != no_correction;
    const double m_hat = corrects ? m / (1 - std::pow(beta1, t)) : m;
    const double v_hat = corrects ? v / (1 - std::pow(beta2, t)) : v;
    const double pulled = mistake == decay_in_gradient ? 0 : rate * decay * w;
    w = w - pulled - rate * m_hat / (std::sqrt(v_hat) + static_cast<double>(options.epsilon));
  }
};

// The largest difference from the reference after some steps, over all elements.
double adamw_difference(const LayerTable& table, AdamWInDouble::Mistake mistake) {
  constexpr std::size_t kCount = 203;
  const AdamWOptions options{.learning_rate = 0.01f, .weight_decay = 0.1f};
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> weight(kCount), mean(kCount), square(kCount), gradient(kCount);
  std::vector<AdamWInDouble> reference;
  for (float& it : weight) {
    it = normal(random);
    reference.push_back({options, mistake, static_cast<double>(it)});
  }
  double most = 0;
  for (int step = 1; step <= 20; ++step) {
    for (std::size_t i = 0; i < kCount; ++i) {
      gradient[i] = normal(random) * (i % 3 == 0 ? 1e-3f : 1.0f);
      reference[i].step(static_cast<double>(gradient[i]), step);
    }
    table.row[0].adamw(adamw_step(options, step), {weight.data(), mean.data(), square.data(),
                                                   gradient.data(), nullptr, DType::f32, kCount});
  }
  for (std::size_t i = 0; i < kCount; ++i)
    most = std::max(most, std::fabs(static_cast<double>(weight[i]) - reference[i].w));
  return most;
}

RINGSIDE_TEST(kernels_layers, adamw_is_the_published_algorithm) {
  for (const LayerTable* const table : usable_tables()) {
    const double difference = adamw_difference(*table, AdamWInDouble::none);
    CHECK_MSG(difference < 3e-6, "off by %g", difference);
    CHECK(adamw_difference(*table, AdamWInDouble::decay_in_gradient) > 1e-3);
    CHECK(adamw_difference(*table, AdamWInDouble::no_correction) > 1e-3);
  }
}

RINGSIDE_TEST(kernels_layers, adamw_takes_half_gradients_and_leaves_a_half_copy) {
  const test::Inputs<bf16> inputs = test::make_inputs<bf16>(100);
  const std::size_t count = inputs.a.size();
  std::vector<float> wide(count);
  for (std::size_t i = 0; i < count; ++i) wide[i] = to_float(inputs.a[i]);
  const AdamW step = adamw_step({}, 3);
  for (const LayerTable* const table : usable_tables()) {
    std::vector<float> weight(count, 0.5f), mean(count, 0.1f), square(count, 0.2f);
    std::vector<float> weight2 = weight, mean2 = mean, square2 = square;
    std::vector<bf16> copy(count);
    table->row[2].adamw(step, {weight.data(), mean.data(), square.data(), inputs.a.data(),
                               copy.data(), DType::bf16, count});
    table->row[0].adamw(step, {weight2.data(), mean2.data(), square2.data(), wide.data(), nullptr,
                               DType::f32, count});
    for (std::size_t i = 0; i < count; ++i) {
      CHECK(test::same(weight[i], weight2[i]) && test::same(square[i], square2[i]));
      CHECK(test::same(copy[i], to_bf16(weight[i])));
      const AdamWState alone = step({0.5f, 0.1f, 0.2f}, wide[i]);
      CHECK(test::same(weight[i], alone.weight) && test::same(mean[i], alone.mean));
    }
  }
}

RINGSIDE_TEST(kernels_layers, other_types_are_refused_by_name) {
  std::string said;
  try {
    gelu(DType::i32, nullptr, nullptr, 0);
  } catch (const std::invalid_argument& refused) {
    said = refused.what();
  }
  CHECK_EQ(said, "gelu computes in f32, f16 or bf16, and not in i32");
}

}  // namespace
}  // namespace ringside
