// The kernels of GELU, bias and AdamW, each compiled here and nowhere else.
#include "kernels/cuda/layers.h"

#include <algorithm>

#include "kernels/cuda/layer_threads.h"
#include "kernels/cuda/map.h"

namespace ringside::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kLayerThreads) adamw_kernel(AdamWArguments<T> it) {
  adamw_thread(it, blockIdx.x, gridDim.x, threadIdx.x);
}

template <class T>
__global__ void __launch_bounds__(kLayerThreads) bias_kernel(BiasArguments it) {
  bias_thread<T>(it, blockIdx.x, blockIdx.y, gridDim.y, threadIdx.x);
}

template <class T>
__global__ void __launch_bounds__(kGradientThreads) bias_gradient_kernel(BiasGradientArguments it) {
  __shared__ PartSums sums;
  const std::size_t column = blockIdx.x * std::size_t{kGradientColumns} + threadIdx.x;
  const bool adds = threadIdx.x < kGradientColumns;
  float total = adds ? gradient_start(it, column) : 0;
  for (std::size_t wave = 0; wave < gradient_waves(it.rows); ++wave) {
    add_part_of_wave<T>(it, sums, blockIdx.x, wave, threadIdx.x);
    __syncthreads();
    if (adds) add_wave(it, sums, wave, threadIdx.x, total);
    __syncthreads();
  }
  if (adds) store_gradient(it, column, total);
}

// Calls f(std::type_identity<T>{}) for the types that layers compute in.
template <class F>
void visit_layer_type(DType dtype, const char* what, F&& f) {
  require_layer_type(dtype, what);
  if (dtype == DType::f32) return f(std::type_identity<float>{});
  if (dtype == DType::f16) return f(std::type_identity<f16>{});
  f(std::type_identity<bf16>{});
}

template <class Kernel>
const void* entry(Kernel* kernel) {
  return reinterpret_cast<const void*>(kernel);
}

void launch_bias(DType dtype, BiasArguments raw, const Launch& launch, const char* what) {
  visit_layer_type(dtype, what, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (raw.rows == 0 || raw.columns == 0) return;
    BiasArguments it = bias_arguments<T>(raw);
    const std::size_t across = bias_blocks_across<T>(it);
    const std::size_t down = (it.rows + kBiasHeight - 1) / kBiasHeight;
    const std::size_t all = blocks_for(across * down, launch);
    constexpr std::size_t kMostDown = 65535;  // CUDA's limit of a grid's second dimension
    const dim3 grid(static_cast<unsigned>(across),
                    static_cast<unsigned>(std::clamp(all / across, std::size_t{1}, kMostDown)));
    void* arguments[] = {&it};
    launch_kernel(entry(bias_kernel<T>), grid, kLayerThreads, arguments, launch, what);
  });
}

template <int kInputs, class Op>
void launch_map(DType dtype, void* out, const void* a, const void* b, std::size_t count, Op op,
                const Launch& launch, const char* what) {
  visit_layer_type(dtype, what, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (count == 0) return;
    MapArguments it = map_arguments(out, a, b, count, sizeof(T));
    void* arguments[] = {&it, &op};
    launch_kernel(entry(map_kernel<T, kInputs, Op>), blocks_for(map_tiles<kInputs>(it), launch),
                  kMapThreads, arguments, launch, what);
  });
}

}  // namespace

void gelu(DType dtype, void* out, const void* x, std::size_t count, const Launch& launch) {
  launch_map<1>(dtype, out, x, x, count, Gelu{}, launch, "gelu");
}

void gelu_gradient(DType dtype, void* dx, const void* x, const void* dy, std::size_t count,
                   const Launch& launch) {
  launch_map<2>(dtype, dx, x, dy, count, GeluGradient{}, launch, "gelu_gradient");
}

void bias_add(DType dtype, void* out, const void* x, const void* bias, std::size_t rows,
              std::size_t columns, const Launch& launch) {
  launch_bias(dtype, {out, nullptr, x, bias, rows, columns, false, false}, launch, "bias_add");
}

void bias_gelu(DType dtype, void* out, void* sum, const void* x, const void* bias, std::size_t rows,
               std::size_t columns, const Launch& launch) {
  launch_bias(dtype, {out, sum, x, bias, rows, columns, true, false}, launch, "bias_gelu");
}

void bias_gradient(DType dtype, float* db, const void* dy, std::size_t rows, std::size_t columns,
                   bool accumulate, const Launch& launch) {
  visit_layer_type(dtype, "bias_gradient", [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (columns == 0) return;
    BiasGradientArguments it{db, dy, rows, columns, accumulate};
    const std::size_t blocks = (columns + kGradientColumns - 1) / kGradientColumns;
    void* arguments[] = {&it};
    launch_kernel(entry(bias_gradient_kernel<T>), static_cast<unsigned>(blocks), kGradientThreads,
                  arguments, launch, "bias_gradient");
  });
}

void adamw(const AdamW& step, const AdamWTensors& tensors, const Launch& launch) {
  visit_layer_type(tensors.dtype, "adamw", [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (tensors.count == 0) return;
    AdamWArguments<T> it = adamw_arguments<T>(step, tensors);
    const std::size_t pieces = it.quads > 0 ? it.quads : tensors.count;
    void* arguments[] = {&it};
    launch_kernel(entry(adamw_kernel<T>),
                  blocks_for((pieces + kLayerThreads - 1) / kLayerThreads, launch), kLayerThreads,
                  arguments, launch, "adamw");
  });
}

}  // namespace ringside::cuda
