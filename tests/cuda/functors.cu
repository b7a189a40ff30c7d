// The promise "one text for CPU and GPU", kept at build time: every functor, for every type,
// compiled into a kernel. Nothing here is run; that nvcc accepts it for the device is the test. (A
// functor that calls a host-only function, std::bit_cast say, is caught here, on a machine without
// a GPU too.)
#include <cstddef>

#include "kernels/dtype.h"
#include "kernels/reduction.h"

namespace ringside::test {

template <class T>
__global__ void apply_functors(T* out, const T* a, const T* b, int divisor) {
  const std::size_t i = threadIdx.x;
  out[i] = Sum{}(a[i], b[i]);
  out[i] = Product{}(out[i], b[i]);
  out[i] = Min{}(out[i], b[i]);
  out[i] = Max{}(out[i], a[i]);
  out[i] = Divide{divisor}(out[i]);
}

// A kernel is compiled for the device once something asks for it.
template __global__ void apply_functors(float*, const float*, const float*, int);
template __global__ void apply_functors(double*, const double*, const double*, int);
template __global__ void apply_functors(f16*, const f16*, const f16*, int);
template __global__ void apply_functors(bf16*, const bf16*, const bf16*, int);
template __global__ void apply_functors(std::int32_t*, const std::int32_t*, const std::int32_t*,
                                        int);
template __global__ void apply_functors(std::int64_t*, const std::int64_t*, const std::int64_t*,
                                        int);
template __global__ void apply_functors(std::uint8_t*, const std::uint8_t*, const std::uint8_t*,
                                        int);

}  // namespace ringside::test
