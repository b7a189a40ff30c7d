// What the layers of a model need beside a matrix product: GELU, bias, AdamW, on the CPU.
//
// These are twins of the GPU's kernels (kernels/cuda/layers.h): the same arguments, the same
// functors (kernels/elementwise.h), the same bits for every number (which NaN is not promised). A
// driver runs on either, and a run on a CPU is the reference for a run on a GPU.
//
// Element types are f32, f16 and bf16; any other throws std::invalid_argument. Pointers may have
// any alignment. Matrices are row-major and dense. One core does the work: ranks are what share a
// machine here.
#pragma once

#include <cstddef>

#include "kernels/dtype.h"
#include "kernels/elementwise.h"

namespace ringside {

// Throws std::invalid_argument, in the name of `what`, unless a layer can compute in `dtype`.
void require_layer_type(DType dtype, const char* what);

// out[i] = gelu(x[i]). `out` may be exactly `x`.
void gelu(DType dtype, void* out, const void* x, std::size_t count);

// dx[i] = dy[i] · gelu′(x[i]), where x is what gelu() was given. `dx` may be exactly `x` or `dy`.
void gelu_gradient(DType dtype, void* dx, const void* x, const void* dy, std::size_t count);

// out[r][c] = x[r][c] + bias[c]. `out` may be exactly `x`.
void bias_add(DType dtype, void* out, const void* x, const void* bias, std::size_t rows,
              std::size_t columns);

// sum[r][c] = x[r][c] + bias[c], rounded to the type; out[r][c] = gelu(sum[r][c]). The same bits as
// bias_add and gelu one after the other. `sum` is what gelu_gradient will want; null: not kept.
// Either may be exactly `x`; not both.
void bias_gelu(DType dtype, void* out, void* sum, const void* x, const void* bias, std::size_t rows,
               std::size_t columns);

// db[c] = Σ over r of dy[r][c], in float and in the order that kBiasPartRows describes. With
// `accumulate` it begins at what stands in db, else at 0.
void bias_gradient(DType dtype, float* db, const void* dy, std::size_t rows, std::size_t columns,
                   bool accumulate);

// The parameters that one call of adamw() updates.
struct AdamWTensors {
  float* weight;         // master copy
  float* mean;           // 0 before the first step
  float* square;         // 0 before the first step
  const void* gradient;  // of type `dtype`
  void* weight_copy;     // the new weights rounded to `dtype`; null: none wanted
  DType dtype;
  std::size_t count;
};

void adamw(const AdamW& step, const AdamWTensors& tensors);

}  // namespace ringside
