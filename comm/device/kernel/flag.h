// Flags in memory that a GPU and a CPU, or two GPUs, share: acquire and release for the whole
// system.
//
// Memory order of the device executor, in full: the threads' stores ─ barrier of the block ─ the
// leader's release of the flag at system scope; the peer's leader acquires it ─ barrier ─ its
// threads' loads. Causality passes through barriers (PTX ISA, "memory consistency model").
#pragma once

#include <cstdint>

#include "kernels/hd.h"

namespace ringside {

RINGSIDE_HD std::uint64_t load_acquire(const std::uint64_t* at) {
#if defined(__CUDA_ARCH__)
  std::uint64_t value;
  asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(value) : "l"(at) : "memory");
  return value;
#else
  return __atomic_load_n(at, __ATOMIC_ACQUIRE);
#endif
}
RINGSIDE_HD void store_release(std::uint64_t* at, std::uint64_t value) {
#if defined(__CUDA_ARCH__)
  asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(at), "l"(value) : "memory");
#else
  __atomic_store_n(at, value, __ATOMIC_RELEASE);
#endif
}
RINGSIDE_HD std::uint32_t load_word(const std::uint32_t* at) {
#if defined(__CUDA_ARCH__)
  std::uint32_t value;
  asm volatile("ld.relaxed.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(at) : "memory");
  return value;
#else
  return __atomic_load_n(at, __ATOMIC_RELAXED);
#endif
}
RINGSIDE_HD void store_word(std::uint32_t* at, std::uint32_t value) {
#if defined(__CUDA_ARCH__)
  asm volatile("st.relaxed.sys.global.u32 [%0], %1;" ::"l"(at), "r"(value) : "memory");
#else
  __atomic_store_n(at, value, __ATOMIC_RELAXED);
#endif
}

}  // namespace ringside
