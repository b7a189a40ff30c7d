// The matrix product of kernels/gemm.h for a CPU, one text for three instruction sets. Included by
// layers_*.cc alone, and built by the rules of kernels/loops_body.h.
//
// The plan is Goto's (ACM TOMS 34:3, 2008): what the innermost loop reads is first copied into the
// order in which it reads it, in blocks that stay in a cache.
//
//     for each block of kColumns columns of B and C
//       for each block of kDepth of k, upwards
//         pack B's block:  strips of kWide columns, each strip k by k                   (L2)
//         for each block of kRows rows of A and C
//           pack A's block:  strips of kTall rows, each strip k by k                    (L2)
//           for each pair of strips: a kTall × kWide tile of C in registers             (L1)
//
// Packing also widens halves to float and takes care of who is transposed, so there is one inner
// loop for all forms and types. A tile's accumulators leave the registers between two blocks of k,
// as floats: that changes no bit, and each element still takes its k steps in their one order.
#pragma once

#include <cstddef>

#include "kernels/layers_table.h"

#if defined(__FMA__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace ringside {
namespace {

// As many floats as a register holds, and the three things that the inner loop does with them.
#if defined(__AVX512F__)
struct Executors {
  static constexpr std::size_t kCount = 16, kTall = 12;  // 24 of 32 registers accumulate
  __m512 value;
  static Executors load(const float* from) { return {_mm512_loadu_ps(from)}; }
  static Executors all(float value) { return {_mm512_set1_ps(value)}; }
  void add_product(Executors a, Executors b) { value = _mm512_fmadd_ps(a.value, b.value, value); }
  void store(float* to) const { _mm512_storeu_ps(to, value); }
};
#elif defined(__FMA__)
struct Executors {
  static constexpr std::size_t kCount = 8, kTall = 6;  // 12 of 16 registers accumulate
  __m256 value;
  static Executors load(const float* from) { return {_mm256_loadu_ps(from)}; }
  static Executors all(float value) { return {_mm256_set1_ps(value)}; }
  void add_product(Executors a, Executors b) { value = _mm256_fmadd_ps(a.value, b.value, value); }
  void store(float* to) const { _mm256_storeu_ps(to, value); }
};
#else
struct Executors {
  static constexpr std::size_t kCount = 4, kTall = 4;
  float value[kCount];
  static Executors load(const float* from) { return {{from[0], from[1], from[2], from[3]}}; }
  static Executors all(float value) { return {{value, value, value, value}}; }
  void add_product(Executors a, Executors b) {
    for (std::size_t i = 0; i < kCount; ++i) value[i] = fused(a.value[i], b.value[i], value[i]);
  }
  void store(float* to) const {
    for (std::size_t i = 0; i < kCount; ++i) to[i] = value[i];
  }
};
#endif

constexpr std::size_t kTall = Executors::kTall;
constexpr std::size_t kWide = 2 * Executors::kCount;
constexpr std::size_t kDepth = 256;
constexpr std::size_t kRows = 96;      // divided by every kTall
constexpr std::size_t kColumns = 512;  // divided by every kWide

constexpr std::size_t least(std::size_t a, std::size_t b) { return a < b ? a : b; }

// One operand: element (x, k), where x counts C's rows for A and C's columns for B.
template <class T>
struct Operand {
  const T* begin;
  std::size_t step_x, step_k;
  float at(std::size_t x, std::size_t k) const { return to_float(begin[x * step_x + k * step_k]); }
};

// [x0, x0 + width) × [k0, k0 + depth) in strips of kStrip, missing elements as 0: what a tile
// computes from those is never stored.
template <std::size_t kStrip, class T>
void pack(float* out, const Operand<T>& operand, std::size_t x0, std::size_t width, std::size_t k0,
          std::size_t depth) {
  for (std::size_t strip = 0; strip < width; strip += kStrip, out += depth * kStrip) {
    const std::size_t inside = least(kStrip, width - strip);
    if (inside < kStrip)
      for (std::size_t i = 0; i < depth * kStrip; ++i) out[i] = 0;
    if (operand.step_x == 1) {
      for (std::size_t k = 0; k < depth; ++k)
        for (std::size_t x = 0; x < inside; ++x)
          out[k * kStrip + x] = operand.at(x0 + strip + x, k0 + k);
    } else {
      for (std::size_t x = 0; x < inside; ++x)
        for (std::size_t k = 0; k < depth; ++k)
          out[k * kStrip + x] = operand.at(x0 + strip + x, k0 + k);
    }
  }
}

// kTall × kWide elements of C, `pitch` floats from row to row: `depth` steps of k for each.
void multiply_tile(float* c, std::size_t pitch, const float* a, const float* b, std::size_t depth) {
  constexpr std::size_t kExecutors = Executors::kCount;
  Executors sum[kTall][2];
  for (std::size_t i = 0; i < kTall; ++i) {
    sum[i][0] = Executors::load(c + i * pitch);
    sum[i][1] = Executors::load(c + i * pitch + kExecutors);
  }
  for (std::size_t k = 0; k < depth; ++k, a += kTall, b += kWide) {
    const Executors left = Executors::load(b), right = Executors::load(b + kExecutors);
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kTall; ++i) {
      const Executors scale = Executors::all(a[i]);
      sum[i][0].add_product(scale, left);
      sum[i][1].add_product(scale, right);
    }
  }
  for (std::size_t i = 0; i < kTall; ++i) {
    sum[i][0].store(c + i * pitch);
    sum[i][1].store(c + i * pitch + kExecutors);
  }
}

// A tile at the edge of C goes through a small one of its own.
void multiply_edge(float* c, std::size_t pitch, const float* a, const float* b, std::size_t depth,
                   std::size_t rows, std::size_t columns) {
  float tile[kTall * kWide] = {};
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) tile[i * kWide + j] = c[i * pitch + j];
  multiply_tile(tile, kWide, a, b, depth);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) c[i * pitch + j] = tile[i * kWide + j];
}

void multiply_block(float* c, std::size_t pitch, const float* a, const float* b, std::size_t depth,
                    std::size_t rows, std::size_t columns) {
  for (std::size_t j = 0; j < columns; j += kWide)
    for (std::size_t i = 0; i < rows; i += kTall) {
      const std::size_t tall = least(kTall, rows - i), wide = least(kWide, columns - j);
      float* const tile = c + i * pitch + j;
      if (tall == kTall && wide == kWide) {
        multiply_tile(tile, pitch, a + i * depth, b + j * depth, depth);
      } else {
        multiply_edge(tile, pitch, a + i * depth, b + j * depth, depth, tall, wide);
      }
    }
}

// Two packed blocks, and accumulators for a block of columns where C itself holds no floats.
std::size_t gemm_scratch(const Gemm& it) {
  const std::size_t sums = it.out == DType::f32 ? 0 : it.m * least(it.n, kColumns);
  return kDepth * (kRows + kColumns) + sums;
}

// The columns [j0, j0 + width) of C, for all k; `sums` has a row of `pitch` floats for each of C.
template <class T>
void multiply_columns(const Gemm& it, float* sums, std::size_t pitch, const Operand<T>& a,
                      const Operand<T>& b, std::size_t j0, std::size_t width, float* packed) {
  float* const packed_a = packed;
  float* const packed_b = packed + kDepth * kRows;
  for (std::size_t k0 = 0; k0 < it.k; k0 += kDepth) {
    const std::size_t depth = least(kDepth, it.k - k0);
    pack<kWide>(packed_b, b, j0, width, k0, depth);
    for (std::size_t i0 = 0; i0 < it.m; i0 += kRows) {
      const std::size_t rows = least(kRows, it.m - i0);
      pack<kTall>(packed_a, a, i0, rows, k0, depth);
      multiply_block(sums + i0 * pitch, pitch, packed_a, packed_b, depth, rows, width);
    }
  }
}

template <class T>
void gemm_of_type(const Gemm& it, void* c, const void* a, const void* b, float* scratch) {
  const bool a_by_k = it.form != GemmForm::tn, b_by_k = it.form == GemmForm::nt;
  const Operand<T> left{static_cast<const T*>(a), a_by_k ? it.pitch_a : 1, a_by_k ? 1 : it.pitch_a};
  const Operand<T> right{static_cast<const T*>(b), b_by_k ? it.pitch_b : 1,
                         b_by_k ? 1 : it.pitch_b};
  const bool in_place = it.out == DType::f32;  // C is its own accumulator
  for (std::size_t j0 = 0; j0 < it.n; j0 += kColumns) {
    const std::size_t width = least(kColumns, it.n - j0);
    float* const sums =
        in_place ? static_cast<float*>(c) + j0 : scratch + kDepth * (kRows + kColumns);
    const std::size_t pitch = in_place ? it.pitch_c : width;
    T* const rounded = static_cast<T*>(c) + j0;
    for (std::size_t i = 0; i < it.m; ++i)
      for (std::size_t j = 0; j < width; ++j) {
        if (!it.accumulate) sums[i * pitch + j] = 0;
        if (it.accumulate && !in_place) sums[i * pitch + j] = to_float(rounded[i * it.pitch_c + j]);
      }
    multiply_columns(it, sums, pitch, left, right, j0, width, scratch);
    if (in_place) continue;
    for (std::size_t i = 0; i < it.m; ++i)
      for (std::size_t j = 0; j < width; ++j)
        rounded[i * it.pitch_c + j] = from_float<T>(sums[i * pitch + j]);
  }
}

}  // namespace
}  // namespace ringside
