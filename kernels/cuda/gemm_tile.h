// The matrix product of kernels/gemm.h on a GPU: what one thread of a tile does, in phases that a
// CPU can call for every thread (kernels/cuda/map.h tells why).
//
// A block of 256 threads computes a tile of kTile × kTile elements of C. It goes along k in steps
// of kDepth. Each step's strip of A and of B is fetched once, widened to float, and put into shared
// memory with k as the slow index; there each thread reads what its own elements need:
//
//     a column of A's strip (kOwn floats) × a row of B's strip (kOwn floats)
//         → kOwn × kOwn fused multiply-adds
//
// for k upwards: one order for every element, whatever the tile. While a step is computed, the next
// one is on its way from memory into registers (`fetch`), from where it goes into the other half of
// shared memory (`stash`).
//
// A thread owns groups of 4 × 4 elements, 64 rows and columns apart, and not one square: so 16
// neighbouring threads read 64 neighbouring floats, four each, and no two meet in a memory bank.
//
// Plain multiply-adds and not tensor cores: those add several products at once, in an order that is
// not told. An H200 does 67 TFLOP/s of these, and 990 of those in bf16.
#pragma once

#include <cstddef>

#include "kernels/cuda/layer_threads.h"
#include "kernels/cuda/vector16.h"
#include "kernels/gemm.h"
#include "kernels/hd.h"

namespace ringside::cuda {

inline constexpr unsigned kGemmThreads = 256;
inline constexpr unsigned kGemmDepth = 16;

// One operand as the kernel sees it: element (x, k), x counting C's rows for A and columns for B.
struct GemmOperand {
  const void* begin;
  std::size_t pitch;
  std::size_t width;  // how many x there are
  bool k_is_dense;    // neighbours in memory are neighbours in k, else in x
  bool packed;        // four neighbours may be fetched at once
};

struct GemmArguments {
  GemmOperand a, b;
  void* c;
  std::size_t k, pitch_c;
  bool accumulate;
  bool c_is_float;  // else it has the type of A and B
  std::size_t tiles_across;
};

template <class T>
GemmArguments gemm_arguments(const Gemm& what, void* c, const void* a, const void* b,
                             std::size_t tile) {
  const auto operand = [](const void* begin, std::size_t pitch, std::size_t width, bool dense) {
    const bool packed = is_aligned(begin, 4 * sizeof(T)) && pitch % 4 == 0;
    return GemmOperand{begin, pitch, width, dense, packed};
  };
  return {operand(a, what.pitch_a, what.m, what.form != GemmForm::tn),
          operand(b, what.pitch_b, what.n, what.form == GemmForm::nt),
          c,
          what.k,
          what.pitch_c,
          what.accumulate,
          what.out == DType::f32,
          (what.n + tile - 1) / tile};
}

template <int kTile>
struct GemmStrip {
  // Four more floats a row: stores down a column then meet in pairs only, and rows stay aligned.
  alignas(16) float at[kGemmDepth][kTile + 4];
};

template <int kTile>
struct GemmShared {
  GemmStrip<kTile> a[2], b[2];
};

// Four neighbours of an operand, from (x, k) on; 0 where the matrix ends.
template <class T>
RINGSIDE_HD void fetch_four(const GemmOperand& it, std::size_t depth, std::size_t x, std::size_t k,
                            float (&four)[4]) {
  const std::size_t row = it.k_is_dense ? x : k, column = it.k_is_dense ? k : x;
  const std::size_t rows = it.k_is_dense ? it.width : depth;
  const std::size_t columns = it.k_is_dense ? depth : it.width;
  const std::size_t first = row * it.pitch + column;  // no address yet: it may lie outside
  if (it.packed && row < rows && column + 4 <= columns) {
    const auto pack = load_aligned<Pack<T, 4>>(element_address<T>(it.begin, first));
    RINGSIDE_UNROLL
    for (int i = 0; i < 4; ++i) four[i] = widen(pack.at[i]);
    return;
  }
  RINGSIDE_UNROLL
  for (std::size_t i = 0; i < 4; ++i) {
    const bool inside = row < rows && column + i < columns;
    four[i] = inside ? widen(load_aligned<T>(element_address<T>(it.begin, first + i))) : 0.0f;
  }
}

template <class T, int kTile>
struct GemmThread {
  static constexpr int kOwn = kTile / 16;
  static constexpr unsigned kTogether = 4;  // steps of k without a branch in between
  static constexpr int kFours = kTile * kGemmDepth / 4 / kGemmThreads;  // of one strip
  float sum[kOwn][kOwn];
  float next_a[kFours][4], next_b[kFours][4];

  // The place in C of this thread's element (i, j), counted from the tile's corner.
  RINGSIDE_HD static std::size_t row_of(unsigned thread, int i) {
    return static_cast<std::size_t>(i / 4 * 64 + i % 4) + thread / 16 * 4;
  }
  RINGSIDE_HD static std::size_t column_of(unsigned thread, int j) {
    return static_cast<std::size_t>(j / 4 * 64 + j % 4) + thread % 16 * 4;
  }

  // Which four of a strip a thread carries: where they begin.
  struct Place {
    unsigned x, k;
  };
  RINGSIDE_HD static Place place_of(bool k_is_dense, unsigned thread, int i) {
    const unsigned index = thread + static_cast<unsigned>(i) * kGemmThreads;
    constexpr unsigned kAlongK = kGemmDepth / 4, kAlongX = kTile / 4;
    if (k_is_dense) return {index / kAlongK, index % kAlongK * 4};
    return {index % kAlongX * 4, index / kAlongX};
  }

  RINGSIDE_HD void fetch(const GemmArguments& it, std::size_t tile_row, std::size_t tile_column,
                         std::size_t k0, unsigned thread) {
    RINGSIDE_UNROLL
    for (int i = 0; i < kFours; ++i) {
      const Place a = place_of(it.a.k_is_dense, thread, i);
      fetch_four<T>(it.a, it.k, tile_row * kTile + a.x, k0 + a.k, next_a[i]);
      const Place b = place_of(it.b.k_is_dense, thread, i);
      fetch_four<T>(it.b, it.k, tile_column * kTile + b.x, k0 + b.k, next_b[i]);
    }
  }

  RINGSIDE_HD static void put(GemmStrip<kTile>& strip, bool k_is_dense, Place place,
                              const float (&four)[4]) {
    if (k_is_dense) {
      RINGSIDE_UNROLL
      for (unsigned i = 0; i < 4; ++i) strip.at[place.k + i][place.x] = four[i];
    } else {
      RINGSIDE_UNROLL
      for (unsigned i = 0; i < 4; ++i) strip.at[place.k][place.x + i] = four[i];
    }
  }

  RINGSIDE_HD void stash(const GemmArguments& it, GemmShared<kTile>& shared, int half,
                         unsigned thread) const {
    RINGSIDE_UNROLL
    for (int i = 0; i < kFours; ++i) {
      put(shared.a[half], it.a.k_is_dense, place_of(it.a.k_is_dense, thread, i), next_a[i]);
      put(shared.b[half], it.b.k_is_dense, place_of(it.b.k_is_dense, thread, i), next_b[i]);
    }
  }

  RINGSIDE_HD void multiply_one(const GemmShared<kTile>& shared, int half, unsigned k,
                                unsigned thread) {
    float a[kOwn], b[kOwn];
    RINGSIDE_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      a[i] = shared.a[half].at[k][row_of(thread, i)];
      b[i] = shared.b[half].at[k][column_of(thread, i)];
    }
    RINGSIDE_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      RINGSIDE_UNROLL
      for (int j = 0; j < kOwn; ++j) sum[i][j] = fused(a[i], b[j], sum[i][j]);
    }
  }

  // `depth` steps of k. Never one too many: adding 0·0 would turn a sum of −0 into +0.
  RINGSIDE_HD void multiply(const GemmShared<kTile>& shared, int half, std::size_t depth,
                            unsigned thread) {
    if (depth >= kGemmDepth) {
      for (unsigned k = 0; k < kGemmDepth; k += kTogether) {
        RINGSIDE_UNROLL
        for (unsigned i = 0; i < kTogether; ++i) multiply_one(shared, half, k + i, thread);
      }
    } else {
      for (unsigned k = 0; k < depth; ++k) multiply_one(shared, half, k, thread);
    }
  }

  // Calls f(element, address of the element in C) for each of this thread's that is in the matrix.
  template <class F>
  RINGSIDE_HD void for_each(const GemmArguments& it, std::size_t tile_row, std::size_t tile_column,
                            unsigned thread, const F& f) {
    RINGSIDE_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      RINGSIDE_UNROLL
      for (int j = 0; j < kOwn; ++j) {
        const std::size_t row = tile_row * kTile + row_of(thread, i);
        const std::size_t column = tile_column * kTile + column_of(thread, j);
        if (row < it.a.width && column < it.b.width) f(sum[i][j], row * it.pitch_c + column);
      }
    }
  }

  RINGSIDE_HD void start(const GemmArguments& it, std::size_t tile_row, std::size_t tile_column,
                         unsigned thread) {
    RINGSIDE_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      RINGSIDE_UNROLL
      for (int j = 0; j < kOwn; ++j) sum[i][j] = 0;
    }
    if (!it.accumulate) return;
    for_each(it, tile_row, tile_column, thread, [&](float& element, std::size_t index) {
      element = it.c_is_float ? load_aligned<float>(element_address<float>(it.c, index))
                              : widen(load_aligned<T>(element_address<T>(it.c, index)));
    });
  }

  RINGSIDE_HD void finish(const GemmArguments& it, std::size_t tile_row, std::size_t tile_column,
                          unsigned thread) {
    for_each(it, tile_row, tile_column, thread, [&](float element, std::size_t index) {
      if (it.c_is_float) {
        store_aligned(element_address<float>(it.c, index), element);
      } else {
        store_aligned(element_address<T>(it.c, index), narrow<T>(element));
      }
    });
  }
};

}  // namespace ringside::cuda
