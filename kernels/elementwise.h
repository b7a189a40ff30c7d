// What a layer does to one element: GELU, its derivative, and one step of AdamW. Each formula
// stands here once and runs on both sides (kernels/hd.h), with the same bits
// (kernels/fixed_math.h).
//
// Everything is computed in float; f16 and bf16 are widened before and rounded once after.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/fixed_math.h"
#include "kernels/hd.h"

namespace ringside {

// GELU in its tanh form (Hendrycks and Gimpel, arXiv:1606.08415), the one that GPT-2 was trained
// with, and not the erf form, from which it differs by up to 5e-4:
//
//     ½·x·(1 + tanh(u)),  u = √(2/π)·(x + 0.044715·x³)
//
// Since ½·(1 + tanh u) = 1 / (1 + e^−2u), that is one exponential and one division:
//
//     x / (1 + 2^t),  t = −2u·log2(e) = x·(A + B·x²)
//
// A NaN gives a NaN. So does −∞, as ½·x·(1 + tanh(u)) does there: −∞·0.
struct GeluConstants {
  static constexpr float kA = -0x1.26aec2p+1f;  // −2·√(2/π)·log2(e)
  static constexpr float kB = -0x1.a5a7d0p-4f;  // the same times 0.044715
  static constexpr float kC = 0x1.988454p+0f;   // 2·√(2/π)
  static constexpr float kD = 0x1.b6676cp-3f;   // the same times 3·0.044715
};

struct Gelu {
  RINGSIDE_HD float operator()(float x) const {
    using Constants = GeluConstants;
    const float t = x * fused(Constants::kB, x * x, Constants::kA);
    // At 128 the power is infinite and the quotient 0; below −126 the 1 swallows it.
    return x / (1.0f + exp2_fixed(clamped(t, -126.0f, 128.0f)));
  }
};

// dy times the derivative of GELU at x. With s = 1 / (1 + 2^t), the share of x that passes:
//
//     s + x·s·(1 − s)·(C + D·x²)
//
// 1 − s is not computed by subtracting, which would lose its digits where s is near 1: with
// e = 2^−|t| and h = 1 / (1 + e), s and 1 − s are h and e·h, or the other way round. Beyond ±32 the
// answer is 0 or 1 to the last bit; cutting x there keeps the powers finite.
struct GeluGradient {
  RINGSIDE_HD float operator()(float x, float dy) const {
    using Constants = GeluConstants;
    const float cut = clamped(x, -32.0f, 32.0f);
    const float square = cut * cut;
    const float t = cut * fused(Constants::kB, square, Constants::kA);
    const float minus = t > 0.0f ? -t : t;
    const float e = minus < -126.0f ? 0.0f : exp2_fixed(minus);
    const float h = 1.0f / (1.0f + e);
    const float rest = e * h;
    const float share = t > 0.0f ? rest : h;
    const float slope = cut * fused(Constants::kD, square, Constants::kC);
    return dy * fused(slope, h * rest, share);
  }
};

// What the user chooses. The defaults are AdamW's usual ones, and are no advice.
struct AdamWOptions {
  float learning_rate = 1e-3f;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.01f;
};

// The state of one element. All of it is float, whatever type the gradient has.
struct AdamWState {
  float weight;
  float mean;    // m: of the gradient, forgetting
  float square;  // v: of the gradient's square, forgetting
};

// AdamW (Loshchilov and Hutter, arXiv:1711.05101, Algorithm 2): the weight decays by itself,
// outside the gradient. With t = 1 in the first step:
//
//     m ← β1·m + (1 − β1)·g            v ← β2·v + (1 − β2)·g²
//     w ← (1 − η·λ)·w − η·m̂ / (√v̂ + ε),   m̂ = m / (1 − β1^t),  v̂ = v / (1 − β2^t)
//
// All that is alike for every element of one step is computed once, in double and on the host, by
// adamw_step(): the device gets the same numbers.
struct AdamW {
  float beta1, rest1;  // rest = 1 − β
  float beta2, rest2;
  float keep;             // 1 − η·λ
  float step_size;        // η / (1 − β1^t)
  float root_correction;  // 1 / √(1 − β2^t)
  float epsilon;

  RINGSIDE_HD AdamWState operator()(AdamWState it, float gradient) const {
    it.mean = fused(beta1, it.mean, rest1 * gradient);
    it.square = fused(beta2, it.square, rest2 * gradient * gradient);
    const float divisor = fused(square_root(it.square), root_correction, epsilon);
    it.weight = fused(it.weight, keep, -(step_size * (it.mean / divisor)));
    return it;
  }
};

// `step` counts from 1.
inline AdamW adamw_step(const AdamWOptions& options, std::int64_t step) {
  const double beta1 = options.beta1, beta2 = options.beta2, rate = options.learning_rate;
  const double t = static_cast<double>(step);
  AdamW it{};
  it.beta1 = options.beta1;
  it.rest1 = static_cast<float>(1 - beta1);
  it.beta2 = options.beta2;
  it.rest2 = static_cast<float>(1 - beta2);
  it.keep = static_cast<float>(1 - rate * static_cast<double>(options.weight_decay));
  it.step_size = static_cast<float>(rate / (1 - std::pow(beta1, t)));
  it.root_correction = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, t)));
  it.epsilon = options.epsilon;
  return it;
}

// For templates over the element type: f32 is itself.
RINGSIDE_HD constexpr float to_float(float value) { return value; }
template <>
RINGSIDE_HD constexpr float from_float<float>(float value) {
  return value;
}

// The order in which a bias gradient is added up: rows in parts of so many, each part from +0
// upwards, and then the parts, upwards. A single sum from the first row to the last would leave a
// GPU one thread for each column; parts whose size depends on nothing let many threads share a
// column, and change no bit from one device to another.
inline constexpr std::size_t kBiasPartRows = 16;

}  // namespace ringside
