// One build of the layers: the two texts, and the table that leads to them. Included by
// layers_baseline.cc, layers_avx2.cc and layers_avx512.cc, and by nothing else.
#pragma once

#include "kernels/gemm_body.h"
#include "kernels/layers_body.h"

namespace ringside {
namespace {

template <class T>
constexpr LayerTable::Row kRow = {gelu_elements<T>,  gelu_gradient_elements<T>, bias_add_rows<T>,
                                  bias_gelu_rows<T>, bias_gradient_columns<T>,  adamw_elements<T>,
                                  gemm_of_type<T>};

constexpr LayerTable kLayers = {{kRow<float>, kRow<f16>, kRow<bf16>}, gemm_scratch};

}  // namespace
}  // namespace ringside
