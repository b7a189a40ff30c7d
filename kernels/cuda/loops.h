// The loops of kernels/loops.h on a GPU: the same functors, the same bits (which NaN is not
// promised), any alignment and any count.
//
// A call enqueues a kernel on the launch's stream and returns. Pointers are anything that the
// device reaches: its own memory, a peer's, pinned memory of the host. Throws CudaError if the
// launch is refused; what goes wrong in the kernel is told by a later call, as always in CUDA.
#pragma once

#include <cstddef>

#include "kernels/cuda/launch.h"
#include "kernels/dtype.h"
#include "kernels/reduction.h"

namespace ringside::cuda {

// out[i] = a[i] op b[i]. `out` may be exactly `a` or exactly `b`; no other overlap. avg folds as
// sum.
void reduce(DType dtype, Reduction reduction, void* out, const void* a, const void* b,
            std::size_t count, const Launch& launch);

// inout[i] = inout[i] / divisor; divisor > 0.
void divide(DType dtype, void* inout, std::size_t count, int divisor, const Launch& launch);

// The two ranges must not overlap. cudaMemcpyAsync does the same with the copy engines, which are
// fewer; this one takes multiprocessors, and as many as the launch allows.
void copy(void* target, const void* source, std::size_t bytes, const Launch& launch);

// Loads the code of all of them (load_kernel tells why).
void load_loops();

}  // namespace ringside::cuda
