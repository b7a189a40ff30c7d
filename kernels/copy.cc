// Two ways to copy; which one when, is told in kernels/loops.h.
//
// The cached copy is the C library's memcpy. Loops of 64-byte AVX-512 stores and `rep movsb` were
// measured beside it from 64 B to 64 MiB: neither is faster by more than noise from 4 KiB on.
// The streaming copy fills each 64-byte line with four 16-byte non-temporal stores, which every
// x86-64 has. The processor joins them into one write of a full line; one 64-byte store does the
// same (AVX-512, measured: equal up to 1 MiB, 5 to 10 % faster beyond) and is not worth a second
// build of this file.
#include "kernels/loops.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace ringside {

void copy_bytes(void* target, const void* source, std::size_t bytes) {
  if (bytes != 0) std::memcpy(target, source, bytes);  // memcpy(null, …, 0) would be undefined
}

#if defined(__x86_64__)

void copy_bytes_streaming(void* target, const void* source, std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  char* to = static_cast<char*>(target);
  const char* from = static_cast<const char*>(source);
  // A line is written once only if it is written whole, so begin at the start of one.
  const std::size_t to_boundary = (kLine - reinterpret_cast<std::uintptr_t>(to) % kLine) % kLine;
  const std::size_t head = to_boundary < bytes ? to_boundary : bytes;
  copy_bytes(to, from, head);
  to += head, from += head, bytes -= head;
  for (; bytes >= kLine; to += kLine, from += kLine, bytes -= kLine) {
    const __m128i* const in = reinterpret_cast<const __m128i*>(from);
    __m128i* const out = reinterpret_cast<__m128i*>(to);
    const __m128i part0 = _mm_loadu_si128(in + 0);
    const __m128i part1 = _mm_loadu_si128(in + 1);
    const __m128i part2 = _mm_loadu_si128(in + 2);
    const __m128i part3 = _mm_loadu_si128(in + 3);
    _mm_stream_si128(out + 0, part0);
    _mm_stream_si128(out + 1, part1);
    _mm_stream_si128(out + 2, part2);
    _mm_stream_si128(out + 3, part3);
  }
  copy_bytes(to, from, bytes);
  _mm_sfence();  // the promise in loops.h: a later release store comes after all of these
}

#else

void copy_bytes_streaming(void* target, const void* source, std::size_t bytes) {
  copy_bytes(target, source, bytes);
}

#endif

}  // namespace ringside
