// The text of the loops. Included by loops_baseline.cc, loops_avx2.cc and loops_avx512.cc, which
// differ only in the compiler flags that the build gives them; by nothing else.
//
//     for each i:  out[i] = op(a[i], b[i])
//
// There is next to no vector code to read here: the functors have no branches, the loop promises
// that its iterations are independent, and the compiler does the rest, as wide as its flags allow.
// Two loops are written by hand because it paid: bf16 two at a time (1.5 times as fast), and f16 by
// the hardware's conversions (10 to 15 times). `tests/kernels/loops.cc` holds all to the same bits.
//
// The trap in compiling one text several times is the "one definition rule". If
// `reduce_elements<float, Sum>` were an ordinary template, three object files would hold a copy
// under the same name, and the linker would keep one for all: perhaps the AVX-512 one, on a machine
// without AVX-512. Hence the unnamed namespace, in a header for once: each including file gets
// functions of its own. The functors are shared, but leave no copies, since they are always inlined
// (kernels/hd.h). And nothing from the standard library is called in here: std::min is an ordinary
// template as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/loops_table.h"
#include "kernels/unaligned.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace ringside {
namespace {

template <class T, class Op>
void map_elements(void* out, const void* a, const void* b, std::size_t count, Op op) {
  Unaligned<T>* const target = static_cast<Unaligned<T>*>(out);
  const Unaligned<T>* const left = static_cast<const Unaligned<T>*>(a);
  const Unaligned<T>* const right = static_cast<const Unaligned<T>*>(b);
  RINGSIDE_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) {
    target[i].value = op(T(left[i].value), T(right[i].value));
  }
}

// bf16, two in one 32-bit word. In the plain loop most of the time goes into spreading 16-bit lanes
// to 32 bits and packing them again. Here nothing moves between lanes: the lower half is shifted up
// to become a float, the upper half already is one once the rest is masked off.
template <class Op>
void map_bf16_pairs(void* out, const void* a, const void* b, std::size_t count, Op op) {
  const auto on_pair = [op](std::uint32_t x, std::uint32_t y) {
    const auto lower = [](std::uint32_t pair) { return bf16{static_cast<std::uint16_t>(pair)}; };
    const std::uint32_t low = op(lower(x), lower(y)).bits;
    const std::uint32_t high = op(lower(x >> 16), lower(y >> 16)).bits;
    return high << 16 | low;
  };
  map_elements<std::uint32_t>(out, a, b, count / 2, on_pair);
  const std::size_t done_bytes = count / 2 * sizeof(std::uint32_t);
  map_elements<bf16>(static_cast<char*>(out) + done_bytes, static_cast<const char*>(a) + done_bytes,
                     static_cast<const char*>(b) + done_bytes, count % 2, op);
}

#if defined(__F16C__)

// f16, eight at a time, widened and rounded by the processor; in between stands the float functor.
// The hardware's conversions give the bits of kernels/float16.h, NaNs included. Wider blocks
// (AVX-512 has them) are not faster, and would leave a longer rest.
template <class Op>
void map_f16_by_hardware(void* out, const void* a, const void* b, std::size_t count, Op op) {
  constexpr std::size_t kBlock = 8;
  const auto load = [](float* lanes, const Unaligned<f16>* source) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source));
    _mm256_store_ps(lanes, _mm256_cvtph_ps(halves));
  };
  Unaligned<f16>* const target = static_cast<Unaligned<f16>*>(out);
  const Unaligned<f16>* const left = static_cast<const Unaligned<f16>*>(a);
  const Unaligned<f16>* const right = static_cast<const Unaligned<f16>*>(b);
  std::size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    // The compiler keeps these arrays in registers.
    alignas(32) float x[kBlock];
    alignas(32) float y[kBlock];
    load(x, left + i);
    load(y, right + i);
    for (std::size_t lane = 0; lane < kBlock; ++lane) x[lane] = op(x[lane], y[lane]);
    const __m128i halves = _mm256_cvtps_ph(_mm256_load_ps(x), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target + i), halves);
  }
  for (; i < count; ++i) {
    const float x = _cvtsh_ss(left[i].value.bits);
    const float y = _cvtsh_ss(right[i].value.bits);
    const __m128i half = _mm_cvtps_ph(_mm_set_ss(op(x, y)), _MM_FROUND_TO_NEAREST_INT);
    target[i].value.bits = static_cast<std::uint16_t>(_mm_cvtsi128_si32(half));
  }
}

#endif

template <class T, class Op>
void map_best(void* out, const void* a, const void* b, std::size_t count, Op op) {
  // Min and Max compare halves as they are, so they have nothing to gain from the two special
  // loops.
  constexpr bool kInFloat = !std::is_same_v<Op, Min> && !std::is_same_v<Op, Max>;
  if constexpr (kInFloat && std::is_same_v<T, bf16>) {
    map_bf16_pairs(out, a, b, count, op);
#if defined(__F16C__)
  } else if constexpr (kInFloat && std::is_same_v<T, f16>) {
    map_f16_by_hardware(out, a, b, count, op);
#endif
  } else {
    map_elements<T>(out, a, b, count, op);
  }
}

template <class T, class Op>
void reduce_elements(void* out, const void* a, const void* b, std::size_t count) {
  map_best<T>(out, a, b, count, Op{});
}

// Takes two operands, so as to go through the same loops, and ignores the second.
struct DivideFirst {
  Divide divide;

  template <class T>
  RINGSIDE_HD T operator()(T value, T) const {
    return divide(value);
  }
};

template <class T>
void divide_elements(void* inout, std::size_t count, int divisor) {
  map_best<T>(inout, inout, inout, count, DivideFirst{{divisor}});
}

consteval LoopTable make_loop_table() {
  LoopTable table{};
  for (const DType dtype : kAllDTypes) {
    visit(dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const std::size_t row = static_cast<std::size_t>(dtype);
      table.reduce[row][static_cast<std::size_t>(Reduction::sum)] = reduce_elements<T, Sum>;
      table.reduce[row][static_cast<std::size_t>(Reduction::product)] = reduce_elements<T, Product>;
      table.reduce[row][static_cast<std::size_t>(Reduction::min)] = reduce_elements<T, Min>;
      table.reduce[row][static_cast<std::size_t>(Reduction::max)] = reduce_elements<T, Max>;
      table.divide[row] = divide_elements<T>;
    });
  }
  return table;
}

constexpr LoopTable kTable = make_loop_table();

}  // namespace
}  // namespace ringside
