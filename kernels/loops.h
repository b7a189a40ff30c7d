// The two things that a CPU rank does with received bytes: fold them in, or copy them.
//
// A loop is an ordinary function over untyped memory, found once a call by type and reduction:
//
//     const ReduceLoop fold = reduce_loop(DType::bf16, Reduction::sum);
//     fold(out, received, mine, count);               // out[i] = received[i] + mine[i]
//
// Behind that stand three builds of one text (kernels/loops_body.h), for three instruction sets;
// the best that the machine has is chosen once. All three give the same bits.
//
// Pointers may have any alignment, even odd ones: a user's buffer may begin in the middle of a
// packet.
#pragma once

#include <cstddef>

#include "kernels/dtype.h"
#include "kernels/reduction.h"

namespace ringside {

// out[i] = a[i] op b[i] for i < count. `out` may be exactly `a` or exactly `b`; no other overlap.
using ReduceLoop = void (*)(void* out, const void* a, const void* b, std::size_t count);

// inout[i] = inout[i] / divisor for i < count; divisor > 0.
using DivideLoop = void (*)(void* inout, std::size_t count, int divisor);

// Never null. For avg this is sum's loop: the division is a separate last step.
ReduceLoop reduce_loop(DType dtype, Reduction reduction);
DivideLoop divide_loop(DType dtype);

// Copies; the two ranges must not overlap.
void copy_bytes(void* target, const void* source, std::size_t bytes);

// The same, past the caches: for large data that this core will not read again, such as a chunk put
// into a peer's window. An ordinary store first *reads* the line that it writes to; a non-temporal
// one does not, and leaves what is in the cache alone. It has to wait for memory, though, so it
// pays only for data that is larger than the cache. On one core of a server with 2 MiB of L2, in
// GB/s:
//
//     bytes                  64   4 KiB   256 KiB   1 MiB   4 MiB   64 MiB
//     copy_bytes             24     161        41      28      14        8
//     copy_bytes_streaming  0.3      12        21      21      17       10.5
//
// Such stores are not ordered by a later release store, not even on x86. This function therefore
// ends with a store fence: when it has returned, a release store (a signal) does come after the
// bytes.
void copy_bytes_streaming(void* target, const void* source, std::size_t bytes);

// A loop whose result goes past the caches in the same way: block by block, through a few KiB that
// stay in the first cache. `out` may be exactly `a` or `b`. Ends with a store fence too.
void reduce_streaming(ReduceLoop loop, std::size_t element_bytes, void* out, const void* a,
                      const void* b, std::size_t count);

// The instruction sets that the loops are built for. `baseline` is what every machine of the target
// architecture has (on x86-64: SSE2).
enum class Isa { baseline, avx2, avx512 };

inline constexpr std::array kAllIsas = {Isa::baseline, Isa::avx2, Isa::avx512};

const char* name_of(Isa isa);

// What the machine and the build have in common, at best. Looked up once. The environment variable
// RINGSIDE_ISA=baseline|avx2|avx512 can lower it, to compare or to rule out a suspect; it cannot
// raise it, and for any other value Options::from_environment has an error.
Isa best_isa();

// For tests and measurements: nullptr where `isa` is not available here.
ReduceLoop reduce_loop(Isa isa, DType dtype, Reduction reduction);
DivideLoop divide_loop(Isa isa, DType dtype);

}  // namespace ringside
