// The layers of kernels/layers.h on a GPU: the same arguments, the same functors, the same bits
// (which NaN is not promised). What is said there of each call holds here too; pointers are the
// device's, and a call enqueues a kernel on the launch's stream.
#pragma once

#include <cstddef>

#include "kernels/cuda/launch.h"
#include "kernels/layers.h"

namespace ringside::cuda {

void gelu(DType dtype, void* out, const void* x, std::size_t count, const Launch& launch);

void gelu_gradient(DType dtype, void* dx, const void* x, const void* dy, std::size_t count,
                   const Launch& launch);

void bias_add(DType dtype, void* out, const void* x, const void* bias, std::size_t rows,
              std::size_t columns, const Launch& launch);

void bias_gelu(DType dtype, void* out, void* sum, const void* x, const void* bias, std::size_t rows,
               std::size_t columns, const Launch& launch);

void bias_gradient(DType dtype, float* db, const void* dy, std::size_t rows, std::size_t columns,
                   bool accumulate, const Launch& launch);

void adamw(const AdamW& step, const AdamWTensors& tensors, const Launch& launch);

}  // namespace ringside::cuda
