// What one build of kernels/layers_body.h and kernels/gemm_body.h hands to the dispatchers: plain
// function pointers, as kernels/loops_table.h does for the loops, and for the same reason.
#pragma once

#include <cstddef>

#include "kernels/gemm.h"
#include "kernels/layers.h"

namespace ringside {

inline constexpr std::size_t kLayerTypes = 3;  // f32, f16, bf16

constexpr std::size_t layer_row(DType dtype) {
  return dtype == DType::f32 ? 0 : dtype == DType::f16 ? 1 : 2;
}

struct LayerTable {
  struct Row {
    void (*gelu)(void* out, const void* x, std::size_t count);
    void (*gelu_gradient)(void* dx, const void* x, const void* dy, std::size_t count);
    void (*bias_add)(void* out, const void* x, const void* bias, std::size_t rows,
                     std::size_t columns);
    void (*bias_gelu)(void* out, void* sum, const void* x, const void* bias, std::size_t rows,
                      std::size_t columns);
    void (*bias_gradient)(float* db, const void* dy, std::size_t rows, std::size_t columns,
                          bool accumulate);
    void (*adamw)(const AdamW& step, const AdamWTensors& tensors);
    // `what` is checked; `scratch` has gemm_scratch_floats(what) floats, at a 64-byte boundary.
    void (*gemm)(const Gemm& what, void* c, const void* a, const void* b, float* scratch);
  };
  Row row[kLayerTypes];
  std::size_t (*gemm_scratch_floats)(const Gemm& what);
};

// Null where the compiler was not told to make (or cannot make) such code.
extern const LayerTable* const kLayersBaseline;
extern const LayerTable* const kLayersAvx2;
extern const LayerTable* const kLayersAvx512;

// The best that this machine has; RINGSIDE_ISA lowers it (kernels/loops.h).
const LayerTable& layer_table();

}  // namespace ringside
