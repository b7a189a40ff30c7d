// Sixteen bytes as a GPU moves them, and what can be done with them: fetched from any address, seen
// as elements, combined by a functor.
//
// All of it runs on a CPU as well (that is how it is tested where there is no GPU). Two things are
// the hardware's on a GPU and software on a CPU, with the same bits: the funnel shift, and the
// conversions of halves. Those of kernels/float16.h cost up to twenty instructions an element,
// which would show; the hardware's differ from them in nothing but the payloads of NaNs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/map_plan.h"
#include "kernels/elementwise.h"
#include "kernels/hd.h"
#include "kernels/reduction.h"

namespace ringside::cuda {

struct alignas(16) Vector16 {
  std::uint32_t word[4];
};

// `Word` says how memory is read: at a multiple of its size. A compiler sees one load.
template <class Primitive>
RINGSIDE_HD Primitive load_aligned(const unsigned char* from) {
  Primitive word;
  __builtin_memcpy(&word, __builtin_assume_aligned(from, sizeof(Primitive)), sizeof(Primitive));
  return word;
}
template <class Primitive>
RINGSIDE_HD void store_aligned(unsigned char* to, const Primitive& word) {
  __builtin_memcpy(__builtin_assume_aligned(to, sizeof(Primitive)), &word, sizeof(Primitive));
}

RINGSIDE_HD bool is_aligned(const void* address, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

// One element, wherever it lies. Byte by byte where it must be, and `volatile` there: otherwise the
// compiler sees that both ways read the same bytes, keeps one of them, and it is the slow one.
template <class T>
RINGSIDE_HD T load_element(const unsigned char* from) {
  if (is_aligned(from, sizeof(T))) return load_aligned<T>(from);
  struct Bytes {
    unsigned char at[sizeof(T)];
  } bytes;
  RINGSIDE_UNROLL
  for (std::size_t i = 0; i < sizeof(T); ++i)
    bytes.at[i] = *static_cast<const volatile unsigned char*>(from + i);
  return __builtin_bit_cast(T, bytes);
}
template <class T>
RINGSIDE_HD void store_element(unsigned char* to, T value) {
  if (is_aligned(to, sizeof(T))) return store_aligned(to, value);
  struct Bytes {
    unsigned char at[sizeof(T)];
  };
  const Bytes bytes = __builtin_bit_cast(Bytes, value);
  RINGSIDE_UNROLL
  for (std::size_t i = 0; i < sizeof(T); ++i)
    *static_cast<volatile unsigned char*>(to + i) = bytes.at[i];
}

// The lower word of (high:low) >> bits, for bits < 32.
RINGSIDE_HD std::uint32_t funnel_shift(std::uint32_t low, std::uint32_t high, unsigned bits) {
#if defined(__CUDA_ARCH__)
  return __funnelshift_r(low, high, bits);
#else
  return bits == 0 ? low : low >> bits | high << (32 - bits);
#endif
}

// 16 of these 32 bytes, from byte `shift` (1 to 15) on. By two words, by one word, by bytes:
// registers have no index, so each step is a choice and not an offset.
RINGSIDE_HD Vector16 cut_out(const Vector16& first, const Vector16& second, unsigned shift) {
  std::uint32_t x[8];
  RINGSIDE_UNROLL
  for (int i = 0; i < 4; ++i) x[i] = first.word[i], x[i + 4] = second.word[i];
  RINGSIDE_UNROLL
  for (int i = 0; i < 6; ++i) x[i] = (shift & 8) != 0 ? x[i + 2] : x[i];
  RINGSIDE_UNROLL
  for (int i = 0; i < 5; ++i) x[i] = (shift & 4) != 0 ? x[i + 1] : x[i];
  Vector16 result;
  RINGSIDE_UNROLL
  for (int i = 0; i < 4; ++i) result.word[i] = funnel_shift(x[i], x[i + 1], (shift & 3) * 8);
  return result;
}

// kCount vectors, `stride` bytes apart, the first at `from`, which is `shift` beyond a boundary;
// the vectors on both sides of each are readable (kernels/cuda/map_plan.h). All loads are asked for
// before the first is waited for.
template <int kCount>
RINGSIDE_HD void load_vectors(Vector16 (&to)[kCount], const unsigned char* from, std::size_t stride,
                              unsigned shift) {
  if (shift == 0) {
    RINGSIDE_UNROLL
    for (int i = 0; i < kCount; ++i) to[i] = load_aligned<Vector16>(from + i * stride);
    return;
  }
  Vector16 first[kCount], second[kCount];
  RINGSIDE_UNROLL
  for (int i = 0; i < kCount; ++i) {
    first[i] = load_aligned<Vector16>(from + i * stride - shift);
    second[i] = load_aligned<Vector16>(from + i * stride - shift + kVectorBytes);
  }
  RINGSIDE_UNROLL
  for (int i = 0; i < kCount; ++i) to[i] = cut_out(first[i], second[i], shift);
}

// --- Halves -----------------------------------------------------------------------------------

RINGSIDE_HD float widen(float value) { return value; }
RINGSIDE_HD float widen(bf16 value) { return to_float(value); }
RINGSIDE_HD float widen(f16 value) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
#else
  return to_float(value);
#endif
}

// Two halves in a word, the first one in the lower bits, as memory has them.
template <class Half>
RINGSIDE_HD std::uint32_t narrow_pair(float first, float second) {
#if defined(__CUDA_ARCH__)
  std::uint32_t pair;
  if constexpr (std::is_same_v<Half, f16>) {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  } else {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  }
  return pair;
#else
  const std::uint32_t high = from_float<Half>(second).bits;
  return high << 16 | from_float<Half>(first).bits;
#endif
}

template <class T>
RINGSIDE_HD T narrow(float value) {
  if constexpr (is_half<T>) {
    return T{static_cast<std::uint16_t>(narrow_pair<T>(value, value))};
  } else {
    return value;
  }
}

template <class Half>
RINGSIDE_HD float widen_first(std::uint32_t pair) {
  return widen(Half{static_cast<std::uint16_t>(pair)});
}
template <class Half>
RINGSIDE_HD float widen_second(std::uint32_t pair) {
  return widen(Half{static_cast<std::uint16_t>(pair >> 16)});
}

// --- Functors on elements and on vectors ------------------------------------------------------

struct Copy {};

// Min and Max compare halves as they are; all others compute in float.
template <class T, class Op>
inline constexpr bool computes_in_float =
    is_half<T> && !std::is_same_v<Op, Min> && !std::is_same_v<Op, Max>;

template <int kInputs, class T, class Op>
RINGSIDE_HD T call(const Op& op, T a, T b) {
  if constexpr (std::is_same_v<Op, Copy>) {
    return a;
  } else if constexpr (kInputs == 1) {
    return op(a);
  } else {
    return op(a, b);
  }
}

template <int kInputs, class T, class Op>
RINGSIDE_HD T apply(const Op& op, T a, T b) {
  if constexpr (computes_in_float<T, Op>) {
    return narrow<T>(call<kInputs>(op, widen(a), widen(b)));
  } else {
    return call<kInputs>(op, a, b);
  }
}

template <int kInputs, class T, class Op>
RINGSIDE_HD Vector16 apply_to_vectors(const Op& op, const Vector16& a, const Vector16& b) {
  if constexpr (std::is_same_v<Op, Copy>) {
    return a;
  } else if constexpr (computes_in_float<T, Op>) {
    Vector16 result;
    RINGSIDE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t x = a.word[i], y = b.word[i];
      result.word[i] = narrow_pair<T>(call<kInputs>(op, widen_first<T>(x), widen_first<T>(y)),
                                      call<kInputs>(op, widen_second<T>(x), widen_second<T>(y)));
    }
    return result;
  } else {
    struct alignas(16) Elements {
      T at[kVectorBytes / sizeof(T)];
    };
    Elements x = __builtin_bit_cast(Elements, a);
    const Elements y = __builtin_bit_cast(Elements, b);
    RINGSIDE_UNROLL
    for (std::size_t i = 0; i < kVectorBytes / sizeof(T); ++i)
      x.at[i] = call<kInputs>(op, x.at[i], y.at[i]);
    return __builtin_bit_cast(Vector16, x);
  }
}

}  // namespace ringside::cuda
