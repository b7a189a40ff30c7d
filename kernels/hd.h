// One word before a function: it runs on the host and on the device, and it is always inlined.
//
// The arithmetic of a collective is written once, as small functors (kernels/reduction.h), and runs
// in two places: in vector loops on the CPU and inside CUDA kernels. Under nvcc RINGSIDE_HD says
// `__host__ __device__`; a plain C++ compiler sees only the inlining.
//
// Why *always* inline, and not only `inline`? The same functor is compiled several times, into
// files built with different flags (-mavx2, -mavx512f; see kernels/loops_body.h). An ordinary
// inline function that a compiler chooses not to inline is left behind as an out-of-line copy, one
// in each file, and the linker keeps *any one* of them, because the language says that they are all
// the same. They are not: one is made of AVX-512 instructions. If that one is kept, then a file
// that was built for every x86-64 calls it, and dies of an illegal instruction on an older machine,
// depending on the order of the files on the link line. A function that is always inlined leaves no
// copy, so there is nothing to choose from.
#pragma once

#if defined(__CUDACC__)
#define RINGSIDE_HD __host__ __device__ __forceinline__
#else
#define RINGSIDE_HD __attribute__((always_inline)) inline
#endif

// Before a loop that a GPU must have unrolled, as its arrays live in registers, which cannot be
// indexed. A CPU has a cache for that.
#if defined(__CUDA_ARCH__)
#define RINGSIDE_UNROLL _Pragma("unroll")
#else
#define RINGSIDE_UNROLL
#endif
