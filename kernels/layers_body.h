// The loops of kernels/layers.h, one text for three instruction sets. Included by layers_*.cc
// alone; kernels/loops_body.h tells why everything is in an unnamed namespace and nothing of the
// standard library is called. The functors have no branches, so the compiler makes vectors of them.
#pragma once

#include <cstddef>

#include "kernels/layers_table.h"
#include "kernels/unaligned.h"

namespace ringside {
namespace {

template <class T>
Unaligned<T>* elements(void* memory) {
  return static_cast<Unaligned<T>*>(memory);
}
template <class T>
const Unaligned<T>* elements(const void* memory) {
  return static_cast<const Unaligned<T>*>(memory);
}

template <class T>
void gelu_elements(void* out, const void* x, std::size_t count) {
  Unaligned<T>* const target = elements<T>(out);
  const Unaligned<T>* const source = elements<T>(x);
  RINGSIDE_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i)
    target[i].value = from_float<T>(Gelu{}(to_float(T(source[i].value))));
}

template <class T>
void gelu_gradient_elements(void* dx, const void* x, const void* dy, std::size_t count) {
  Unaligned<T>* const target = elements<T>(dx);
  const Unaligned<T>* const source = elements<T>(x);
  const Unaligned<T>* const above = elements<T>(dy);
  RINGSIDE_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i)
    target[i].value =
        from_float<T>(GeluGradient{}(to_float(T(source[i].value)), to_float(T(above[i].value))));
}

template <class T>
void bias_add_rows(void* out, const void* x, const void* bias, std::size_t rows,
                   std::size_t columns) {
  const Unaligned<T>* const add = elements<T>(bias);
  for (std::size_t r = 0; r < rows; ++r) {
    Unaligned<T>* const target = elements<T>(out) + r * columns;
    const Unaligned<T>* const source = elements<T>(x) + r * columns;
    RINGSIDE_INDEPENDENT
    for (std::size_t c = 0; c < columns; ++c)
      target[c].value = from_float<T>(to_float(T(source[c].value)) + to_float(T(add[c].value)));
  }
}

// Row by row, so that the sums are still in the first cache when GELU asks for them.
template <class T>
void bias_gelu_rows(void* out, void* sum, const void* x, const void* bias, std::size_t rows,
                    std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    void* const out_row = elements<T>(out) + r * columns;
    void* const sum_row = sum == nullptr ? out_row : elements<T>(sum) + r * columns;
    bias_add_rows<T>(sum_row, elements<T>(x) + r * columns, bias, 1, columns);
    gelu_elements<T>(out_row, sum_row, columns);
  }
}

template <class T>
void bias_gradient_columns(float* db, const void* dy, std::size_t rows, std::size_t columns,
                           bool accumulate) {
  constexpr std::size_t kWidth = 64;  // columns at a time: their sums stay in registers or L1
  for (std::size_t begin = 0; begin < columns; begin += kWidth) {
    const std::size_t width = columns - begin < kWidth ? columns - begin : kWidth;
    float total[kWidth];
    for (std::size_t c = 0; c < width; ++c) {
      total[c] = accumulate ? elements<float>(db)[begin + c].value : 0.0f;
    }
    for (std::size_t part = 0; part < rows; part += kBiasPartRows) {
      const std::size_t end = rows - part < kBiasPartRows ? rows : part + kBiasPartRows;
      float sum[kWidth] = {};
      for (std::size_t r = part; r < end; ++r) {
        const Unaligned<T>* const row = elements<T>(dy) + r * columns + begin;
        for (std::size_t c = 0; c < width; ++c) sum[c] += to_float(T(row[c].value));
      }
      for (std::size_t c = 0; c < width; ++c) total[c] += sum[c];
    }
    for (std::size_t c = 0; c < width; ++c) elements<float>(db)[begin + c].value = total[c];
  }
}

template <class T>
void adamw_elements(const AdamW& step, const AdamWTensors& it) {
  const AdamW update = step;  // a copy that nothing else can change keeps it in registers
  Unaligned<float>* const weight = elements<float>(it.weight);
  Unaligned<float>* const mean = elements<float>(it.mean);
  Unaligned<float>* const square = elements<float>(it.square);
  const Unaligned<T>* const gradient = elements<T>(it.gradient);
  RINGSIDE_INDEPENDENT
  for (std::size_t i = 0; i < it.count; ++i) {
    const AdamWState next =
        update({weight[i].value, mean[i].value, square[i].value}, to_float(T(gradient[i].value)));
    weight[i].value = next.weight;
    mean[i].value = next.mean;
    square[i].value = next.square;
  }
  if (it.weight_copy == nullptr) return;
  Unaligned<T>* const copy = elements<T>(it.weight_copy);
  RINGSIDE_INDEPENDENT
  for (std::size_t i = 0; i < it.count; ++i) copy[i].value = from_float<T>(float(weight[i].value));
}

}  // namespace
}  // namespace ringside
