// The kernel of the matrix product, for three types and two sizes of tile.
#include "kernels/cuda/gemm.h"

#include <stdexcept>

#include "kernels/cuda/gemm_tile.h"

namespace ringside::cuda {
namespace {

template <class T, int kTile>
__global__ void __launch_bounds__(kGemmThreads, 2) gemm_kernel(GemmArguments it) {
  __shared__ GemmShared<kTile> shared;
  const unsigned thread = threadIdx.x;
  const std::size_t row = blockIdx.x / it.tiles_across, column = blockIdx.x % it.tiles_across;
  GemmThread<T, kTile> own;
  own.start(it, row, column, thread);
  own.fetch(it, row, column, 0, thread);
  own.stash(it, shared, 0, thread);
  __syncthreads();
  int half = 0;
  for (std::size_t k0 = 0; k0 < it.k; k0 += kGemmDepth, half ^= 1) {
    const bool more = k0 + kGemmDepth < it.k;
    if (more) own.fetch(it, row, column, k0 + kGemmDepth, thread);
    own.multiply(shared, half, it.k - k0, thread);
    if (more) own.stash(it, shared, half ^ 1, thread);
    __syncthreads();
  }
  own.finish(it, row, column, thread);
}

constexpr std::size_t kLarge = 128, kSmall = 64;

std::size_t tiles_of(const Gemm& what, std::size_t tile) {
  return ((what.m + tile - 1) / tile) * ((what.n + tile - 1) / tile);
}

template <class T, int kTile>
void launch_gemm(const Gemm& what, void* c, const void* a, const void* b, const Launch& launch) {
  GemmArguments it = gemm_arguments<T>(what, c, a, b, kTile);
  const std::size_t tiles = tiles_of(what, kTile);
  if (tiles > 0x7fffffff) throw std::invalid_argument("gemm: C has more tiles than a grid blocks");
  void* arguments[] = {&it};
  launch_kernel(reinterpret_cast<const void*>(gemm_kernel<T, kTile>), static_cast<unsigned>(tiles),
                kGemmThreads, arguments, launch, "gemm");
}

template <class T>
void launch_either(const Gemm& what, void* c, const void* a, const void* b, const Launch& launch,
                   bool large) {
  if (large) return launch_gemm<T, kLarge>(what, c, a, b, launch);
  launch_gemm<T, kSmall>(what, c, a, b, launch);
}

}  // namespace

void gemm(const Gemm& what, void* c, const void* a, const void* b, const Launch& launch,
          GemmTile tile) {
  const Gemm it = checked(what);
  if (it.m == 0 || it.n == 0) return;
  const bool large = tile == GemmTile::large ||
                     (tile == GemmTile::automatic && tiles_of(it, kLarge) >= multiprocessors());
  if (it.in == DType::f32) return launch_either<float>(it, c, a, b, launch, large);
  if (it.in == DType::f16) return launch_either<f16>(it, c, a, b, launch, large);
  launch_either<bf16>(it, c, a, b, launch, large);
}

}  // namespace ringside::cuda
