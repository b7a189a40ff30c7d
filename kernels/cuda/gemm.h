// The matrix product in a fixed order, on a GPU: the bits of kernels/gemm.h.
#pragma once

#include <cstddef>

#include "kernels/cuda/launch.h"
#include "kernels/gemm.h"

namespace ringside::cuda {

// Two sizes of tile are built. The larger one reads memory half as often; the smaller one gives
// every multiprocessor something to do where the matrix is small. The bits are the same.
enum class GemmTile { automatic, small, large };

// As ringside::gemm, enqueued on the launch's stream. `blocks_max` is not heard: one block a tile.
void gemm(const Gemm& what, void* c, const void* a, const void* b, const Launch& launch,
          GemmTile tile = GemmTile::automatic);

}  // namespace ringside::cuda
