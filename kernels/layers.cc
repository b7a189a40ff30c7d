// Finds the build of the layers that this machine gets, and passes calls on to it.
#include "kernels/layers.h"

#include <stdexcept>
#include <string>

#include "kernels/layers_table.h"
#include "kernels/loops.h"

namespace ringside {
namespace {

// One build less than the loops' would do, on the few processors with AVX2 that cannot fuse.
bool machine_fuses() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

const LayerTable& choose() {
  const Isa isa = machine_fuses() ? best_isa() : Isa::baseline;
  if (isa == Isa::avx512 && kLayersAvx512 != nullptr) return *kLayersAvx512;
  if (isa != Isa::baseline && kLayersAvx2 != nullptr) return *kLayersAvx2;
  return *kLayersBaseline;
}

const LayerTable::Row& row_for(DType dtype, const char* what) {
  require_layer_type(dtype, what);
  return layer_table().row[layer_row(dtype)];
}

}  // namespace

const LayerTable& layer_table() {
  static const LayerTable& table = choose();
  return table;
}

void require_layer_type(DType dtype, const char* what) {
  if (dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16) return;
  throw std::invalid_argument(std::string(what) + " computes in f32, f16 or bf16, and not in " +
                              name_of(dtype));
}

void gelu(DType dtype, void* out, const void* x, std::size_t count) {
  row_for(dtype, "gelu").gelu(out, x, count);
}

void gelu_gradient(DType dtype, void* dx, const void* x, const void* dy, std::size_t count) {
  row_for(dtype, "gelu_gradient").gelu_gradient(dx, x, dy, count);
}

void bias_add(DType dtype, void* out, const void* x, const void* bias, std::size_t rows,
              std::size_t columns) {
  row_for(dtype, "bias_add").bias_add(out, x, bias, rows, columns);
}

void bias_gelu(DType dtype, void* out, void* sum, const void* x, const void* bias, std::size_t rows,
               std::size_t columns) {
  row_for(dtype, "bias_gelu").bias_gelu(out, sum, x, bias, rows, columns);
}

void bias_gradient(DType dtype, float* db, const void* dy, std::size_t rows, std::size_t columns,
                   bool accumulate) {
  row_for(dtype, "bias_gradient").bias_gradient(db, dy, rows, columns, accumulate);
}

void adamw(const AdamW& step, const AdamWTensors& tensors) {
  row_for(tensors.dtype, "adamw").adamw(step, tensors);
}

}  // namespace ringside
