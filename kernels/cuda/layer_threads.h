// What one thread does in the kernels of AdamW and bias, as functions that a CPU can call for every
// thread of a grid (kernels/cuda/map.h tells why).
#pragma once

#include <cstddef>

#include "kernels/cuda/vector16.h"
#include "kernels/elementwise.h"
#include "kernels/hd.h"
#include "kernels/layers.h"

namespace ringside::cuda {

inline constexpr unsigned kLayerThreads = 256;

// kCount elements of T, moved by one instruction each way where they fill 4, 8 or 16 bytes.
template <class T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T at[kCount];
};

template <class T>
RINGSIDE_HD unsigned char* element_address(void* begin, std::size_t index) {
  return static_cast<unsigned char*>(begin) + index * sizeof(T);
}
template <class T>
RINGSIDE_HD const unsigned char* element_address(const void* begin, std::size_t index) {
  return static_cast<const unsigned char*>(begin) + index * sizeof(T);
}

// --- AdamW: 28 bytes an element and more, so nothing but memory counts ------------------------

template <class T>
struct AdamWArguments {
  AdamW step;
  AdamWTensors it;
  std::size_t quads;  // of four elements; 0 where the tensors' addresses do not allow them
};

template <class T>
AdamWArguments<T> adamw_arguments(const AdamW& step, const AdamWTensors& it) {
  const bool aligned = is_aligned(it.weight, 16) && is_aligned(it.mean, 16) &&
                       is_aligned(it.square, 16) && is_aligned(it.gradient, 4 * sizeof(T)) &&
                       is_aligned(it.weight_copy, 4 * sizeof(T));
  return {step, it, aligned ? it.count / 4 : 0};
}

template <class T>
RINGSIDE_HD void adamw_quad(const AdamWArguments<T>& arguments, std::size_t first) {
  using Floats = Pack<float, 4>;
  using Ts = Pack<T, 4>;
  const AdamWTensors& it = arguments.it;
  auto weight = load_aligned<Floats>(element_address<float>(it.weight, first));
  auto mean = load_aligned<Floats>(element_address<float>(it.mean, first));
  auto square = load_aligned<Floats>(element_address<float>(it.square, first));
  const auto gradient = load_aligned<Ts>(element_address<T>(it.gradient, first));
  Ts copy;
  RINGSIDE_UNROLL
  for (int i = 0; i < 4; ++i) {
    const AdamWState next =
        arguments.step({weight.at[i], mean.at[i], square.at[i]}, widen(gradient.at[i]));
    weight.at[i] = next.weight, mean.at[i] = next.mean, square.at[i] = next.square;
    copy.at[i] = narrow<T>(next.weight);
  }
  store_aligned(element_address<float>(it.weight, first), weight);
  store_aligned(element_address<float>(it.mean, first), mean);
  store_aligned(element_address<float>(it.square, first), square);
  if (it.weight_copy != nullptr) store_aligned(element_address<T>(it.weight_copy, first), copy);
}

template <class T>
RINGSIDE_HD void adamw_element(const AdamWArguments<T>& arguments, std::size_t i) {
  const AdamWTensors& it = arguments.it;
  unsigned char* const weight = element_address<float>(it.weight, i);
  unsigned char* const mean = element_address<float>(it.mean, i);
  unsigned char* const square = element_address<float>(it.square, i);
  const AdamWState next = arguments.step(
      {load_element<float>(weight), load_element<float>(mean), load_element<float>(square)},
      widen(load_element<T>(element_address<T>(it.gradient, i))));
  store_element(weight, next.weight);
  store_element(mean, next.mean);
  store_element(square, next.square);
  if (it.weight_copy != nullptr)
    store_element(element_address<T>(it.weight_copy, i), narrow<T>(next.weight));
}

template <class T>
RINGSIDE_HD void adamw_thread(const AdamWArguments<T>& it, std::size_t block, std::size_t blocks,
                              unsigned thread) {
  const std::size_t first = block * kLayerThreads + thread, stride = blocks * kLayerThreads;
  for (std::size_t quad = first; quad < it.quads; quad += stride) adamw_quad(it, quad * 4);
  for (std::size_t i = it.quads * 4 + first; i < it.it.count; i += stride) adamw_element(it, i);
}

// --- Bias: a block is 32 packs of columns wide and 8 rows high --------------------------------

inline constexpr unsigned kBiasWidth = 32, kBiasHeight = kLayerThreads / kBiasWidth;

struct BiasArguments {
  void* out;
  void* sum;  // with gelu: where x + bias goes; null: nowhere
  const void* x;
  const void* bias;
  std::size_t rows, columns;
  bool gelu;
  bool packed;  // addresses and columns allow packs of 16 bytes
};

template <class T>
BiasArguments bias_arguments(BiasArguments it) {
  it.packed = it.columns * sizeof(T) % 16 == 0 && is_aligned(it.out, 16) &&
              is_aligned(it.sum, 16) && is_aligned(it.x, 16) && is_aligned(it.bias, 16);
  return it;
}

// Blocks side by side across the columns.
template <class T>
std::size_t bias_blocks_across(const BiasArguments& it) {
  const std::size_t packs = it.packed ? it.columns * sizeof(T) / 16 : it.columns;
  return (packs + kBiasWidth - 1) / kBiasWidth;
}

// One pack of columns, in every row that falls to this thread. The bias is fetched once.
template <class T, int kPack>
RINGSIDE_HD void bias_columns(const BiasArguments& it, std::size_t column, std::size_t row,
                              std::size_t row_stride) {
  using Ts = Pack<T, kPack>;
  if (column >= it.columns) return;
  const auto load = [](const void* begin, std::size_t index) {
    if constexpr (kPack == 1)
      return Ts{{load_element<T>(element_address<T>(begin, index))}};
    else
      return load_aligned<Ts>(element_address<T>(begin, index));
  };
  const auto store = [](void* begin, std::size_t index, const Ts& value) {
    if constexpr (kPack == 1)
      store_element(element_address<T>(begin, index), value.at[0]);
    else
      store_aligned(element_address<T>(begin, index), value);
  };
  const Ts bias = load(it.bias, column);
  for (; row < it.rows; row += row_stride) {
    const std::size_t index = row * it.columns + column;
    Ts value = load(it.x, index);
    RINGSIDE_UNROLL
    for (int i = 0; i < kPack; ++i) value.at[i] = narrow<T>(widen(value.at[i]) + widen(bias.at[i]));
    if (it.gelu) {
      if (it.sum != nullptr) store(it.sum, index, value);
      RINGSIDE_UNROLL
      for (int i = 0; i < kPack; ++i) value.at[i] = narrow<T>(Gelu{}(widen(value.at[i])));
    }
    store(it.out, index, value);
  }
}

template <class T>
RINGSIDE_HD void bias_thread(const BiasArguments& it, std::size_t block_x, std::size_t block_y,
                             std::size_t blocks_y, unsigned thread) {
  constexpr int kPack = 16 / sizeof(T);
  const std::size_t pack = block_x * kBiasWidth + thread % kBiasWidth;
  const std::size_t row = block_y * kBiasHeight + thread / kBiasWidth;
  if (it.packed) {
    bias_columns<T, kPack>(it, pack * kPack, row, blocks_y * kBiasHeight);
  } else {
    bias_columns<T, 1>(it, pack, row, blocks_y * kBiasHeight);
  }
}

// --- Bias gradient: a block has 32 columns; a thread adds one part of kBiasPartRows rows -------
//
// In waves of 32 parts: each thread adds up its part, all meet, and the first row of threads adds
// the sums of that wave to the totals, in the order of the parts.

inline constexpr unsigned kGradientColumns = 32, kGradientParts = 32;
inline constexpr unsigned kGradientThreads = kGradientColumns * kGradientParts;

struct BiasGradientArguments {
  float* db;
  const void* dy;
  std::size_t rows, columns;
  bool accumulate;
};

struct PartSums {
  float of[kGradientParts][kGradientColumns];
};

template <class T, bool kAligned>
RINGSIDE_HD float add_part(const BiasGradientArguments& it, std::size_t part, std::size_t column) {
  const std::size_t begin = part * kBiasPartRows;
  const auto at = [&](std::size_t row) {
    const unsigned char* const from = element_address<T>(it.dy, row * it.columns + column);
    return widen(kAligned ? load_aligned<T>(from) : load_element<T>(from));
  };
  float sum = 0;
  if (begin + kBiasPartRows <= it.rows) {
    float value[kBiasPartRows];  // all of them are asked for before the first is added
    RINGSIDE_UNROLL
    for (std::size_t i = 0; i < kBiasPartRows; ++i) value[i] = at(begin + i);
    RINGSIDE_UNROLL
    for (std::size_t i = 0; i < kBiasPartRows; ++i) sum += value[i];
  } else {
    for (std::size_t row = begin; row < it.rows; ++row) sum += at(row);
  }
  return sum;
}

template <class T>
RINGSIDE_HD void add_part_of_wave(const BiasGradientArguments& it, PartSums& sums,
                                  std::size_t block, std::size_t wave, unsigned thread) {
  const unsigned lane = thread % kGradientColumns, of_wave = thread / kGradientColumns;
  const std::size_t column = block * kGradientColumns + lane;
  const std::size_t part = wave * kGradientParts + of_wave;
  if (column >= it.columns || part * kBiasPartRows >= it.rows) return;
  // Asked once here and not before each load, which would keep loads from following each other.
  sums.of[of_wave][lane] = is_aligned(it.dy, sizeof(T)) ? add_part<T, true>(it, part, column)
                                                        : add_part<T, false>(it, part, column);
}

// For the first kGradientColumns threads; `total` lives from wave to wave.
RINGSIDE_HD void add_wave(const BiasGradientArguments& it, const PartSums& sums, std::size_t wave,
                          unsigned lane, float& total) {
  for (unsigned of_wave = 0; of_wave < kGradientParts; ++of_wave) {
    if ((wave * kGradientParts + of_wave) * kBiasPartRows >= it.rows) return;
    total += sums.of[of_wave][lane];
  }
}

RINGSIDE_HD constexpr std::size_t gradient_waves(std::size_t rows) {
  constexpr std::size_t kWaveRows = kGradientParts * kBiasPartRows;
  return (rows + kWaveRows - 1) / kWaveRows;
}

RINGSIDE_HD float gradient_start(const BiasGradientArguments& it, std::size_t column) {
  if (!it.accumulate || column >= it.columns) return 0;
  return load_element<float>(element_address<float>(it.db, column));
}

RINGSIDE_HD void store_gradient(const BiasGradientArguments& it, std::size_t column, float total) {
  if (column < it.columns) store_element(element_address<float>(it.db, column), total);
}

}  // namespace ringside::cuda
