// One kernel for everything that goes element by element: out[i] = op(a[i], b[i]), or op(a[i]).
//
// `map_thread` is what one thread does, and the kernel is nothing but that. It is an ordinary
// function of (block, thread), so a CPU can be all threads of a grid, one after the other, and is,
// in tests/test_kernels_cuda_map.cc: where there is no GPU, cutting and shifting are tested all the
// same. Left to a GPU to show are the conversions of halves and the speed.
//
// Bandwidth needs bytes on their way: about 5 TB/s · 0.7 us = 3.5 MB on an H200, 26 KB for each
// multiprocessor. 2048 resident threads with one vector each would have 32 KB; each thread asks for
// several before it waits for the first.
#pragma once

#include <cstddef>

#include "kernels/cuda/map_plan.h"
#include "kernels/cuda/vector16.h"
#include "kernels/hd.h"

namespace ringside::cuda {

struct MapArguments {
  unsigned char* out;  // may be exactly in[0] or in[1]; no other overlap
  const unsigned char* in[2];
  std::size_t count;
  MapPlan plan;
};

inline constexpr unsigned kMapThreads = 256;
// Vectors that a thread asks for at once, from each input.
template <int kInputs>
inline constexpr unsigned kMapUnroll = kInputs == 1 ? 4 : 2;

// `kUnroll` vectors, kMapThreads apart, beginning with number `vector`.
template <class T, int kInputs, int kUnroll, class Op>
RINGSIDE_HD void map_vectors(const MapArguments& it, const Op& op, std::size_t vector) {
  Vector16 a[kUnroll], b[kUnroll];
  const std::size_t begin = it.plan.head * sizeof(T) + vector * kVectorBytes;
  constexpr std::size_t kStride = kMapThreads * kVectorBytes;
  load_vectors(a, it.in[0] + begin, kStride, it.plan.shift[0]);
  if constexpr (kInputs == 2) load_vectors(b, it.in[1] + begin, kStride, it.plan.shift[1]);
  RINGSIDE_UNROLL
  for (int i = 0; i < kUnroll; ++i)
    store_aligned(it.out + begin + i * kStride,
                  apply_to_vectors<kInputs, T>(op, a[i], kInputs == 2 ? b[i] : a[i]));
}

template <class T, int kInputs, class Op>
RINGSIDE_HD void map_thread(const MapArguments& it, const Op& op, std::size_t block,
                            std::size_t blocks, unsigned thread) {
  constexpr std::size_t kTile = std::size_t{kMapThreads} * kMapUnroll<kInputs>;
  const std::size_t tiles = it.plan.vectors / kTile;
  for (std::size_t tile = block; tile < tiles; tile += blocks)
    map_vectors<T, kInputs, kMapUnroll<kInputs>>(it, op, tile * kTile + thread);

  const std::size_t first = block * kMapThreads + thread, stride = blocks * kMapThreads;
  for (std::size_t vector = tiles * kTile + first; vector < it.plan.vectors; vector += stride)
    map_vectors<T, kInputs, 1>(it, op, vector);

  // Head and tail as if they were one.
  const std::size_t middle = it.plan.vectors * (kVectorBytes / sizeof(T));
  for (std::size_t edge = first; edge < it.count - middle; edge += stride) {
    const std::size_t at = (edge < it.plan.head ? edge : edge + middle) * sizeof(T);
    const T a = load_element<T>(it.in[0] + at);
    const T b = kInputs == 2 ? load_element<T>(it.in[1] + at) : a;
    store_element(it.out + at, apply<kInputs>(op, a, b));
  }
}

inline MapArguments map_arguments(void* out, const void* a, const void* b, std::size_t count,
                                  std::size_t element_bytes) {
  const auto address = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p); };
  return {static_cast<unsigned char*>(out),
          {static_cast<const unsigned char*>(a), static_cast<const unsigned char*>(b)},
          count,
          plan_map(address(out), address(a), address(b), count, element_bytes)};
}

// How many blocks have something to do.
template <int kInputs>
std::size_t map_tiles(const MapArguments& it) {
  constexpr std::size_t kTile = std::size_t{kMapThreads} * kMapUnroll<kInputs>;
  if (it.plan.vectors > 0) return (it.plan.vectors + kTile - 1) / kTile;
  return (it.count + kMapThreads - 1) / kMapThreads;
}

#if defined(__CUDACC__)
template <class T, int kInputs, class Op>
__global__ void __launch_bounds__(kMapThreads) map_kernel(MapArguments it, Op op) {
  map_thread<T, kInputs>(it, op, blockIdx.x, gridDim.x, threadIdx.x);
}
#endif

}  // namespace ringside::cuda
