// Matrices for tests of the product, and the product by three plain loops, in the promised order or
// in another one.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/gemm.h"

namespace ringside::test {

enum class Order { promised, downwards, in_two_halves, not_fused };

// A, B and C with `gap` elements between dense rows, filled with normal numbers; every element of C
// and of the gaps has a value too, so that a write where none belongs is a difference.
template <class In, class Out>
struct Matrices {
  Gemm what;
  std::vector<In> a, b;
  std::vector<Out> c;

  Matrices(GemmForm form, std::size_t m, std::size_t n, std::size_t k, std::size_t gap) {
    what.form = form;
    what.m = m, what.n = n, what.k = k;
    what.in = dtype_of<In>, what.out = dtype_of<Out>;
    const bool a_turned = form == GemmForm::tn, b_turned = form == GemmForm::nt;
    what.pitch_a = (a_turned ? m : k) + gap;
    what.pitch_b = (b_turned ? k : n) + gap;
    what.pitch_c = n + gap;
    std::mt19937 random(11);
    fill(a, (a_turned ? k : m) * what.pitch_a, random);
    fill(b, (b_turned ? n : k) * what.pitch_b, random);
    fill(c, m * what.pitch_c, random);
  }

  float a_at(std::size_t i, std::size_t k) const {
    const bool turned = what.form == GemmForm::tn;
    return to_float(a[turned ? k * what.pitch_a + i : i * what.pitch_a + k]);
  }
  float b_at(std::size_t k, std::size_t j) const {
    const bool turned = what.form == GemmForm::nt;
    return to_float(b[turned ? j * what.pitch_b + k : k * what.pitch_b + j]);
  }

  // C as it should be afterwards, gaps included.
  std::vector<Out> oracle(Order order) const {
    std::vector<Out> result = c;
    for (std::size_t i = 0; i < what.m; ++i)
      for (std::size_t j = 0; j < what.n; ++j) {
        Out& element = result[i * what.pitch_c + j];
        element = from_float<Out>(sum(order, i, j, what.accumulate ? to_float(element) : 0.0f));
      }
    return result;
  }

 private:
  template <class T>
  static void fill(std::vector<T>& matrix, std::size_t count, std::mt19937& random) {
    std::normal_distribution<float> normal;
    matrix.resize(count);
    for (T& it : matrix) it = from_float<T>(normal(random));
  }

  float sum(Order order, std::size_t i, std::size_t j, float start) const {
    float first = start, second = 0;
    for (std::size_t step = 0; step < what.k; ++step) {
      const std::size_t k = order == Order::downwards ? what.k - 1 - step : step;
      float& it = order == Order::in_two_halves && k >= what.k / 2 ? second : first;
      const float product = a_at(i, k) * b_at(k, j);
      it = order == Order::not_fused ? it + product : std::fma(a_at(i, k), b_at(k, j), it);
    }
    return order == Order::in_two_halves ? first + second : first;
  }
};

}  // namespace ringside::test
