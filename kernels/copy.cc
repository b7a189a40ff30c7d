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

namespace {

// Stores past the caches. There is no other way to them in this library, so that none forgets the
// fence: it stands where the object ends. It makes the promise of loops.h: a later release store
// comes after all that was streamed.
class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();
  void copy(void* target, const void* source, std::size_t bytes);
};

#if defined(__x86_64__)

Stream::~Stream() { _mm_sfence(); }

void Stream::copy(void* target, const void* source, std::size_t bytes) {
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
}

#else

Stream::~Stream() = default;
void Stream::copy(void* target, const void* source, std::size_t bytes) {
  copy_bytes(target, source, bytes);
}

#endif

}  // namespace

void copy_bytes_streaming(void* target, const void* source, std::size_t bytes) {
  Stream().copy(target, source, bytes);
}

// The blocks begin at lines of the target, wherever its first element is.
void reduce_streaming(ReduceLoop loop, std::size_t element_bytes, void* out, const void* a,
                      const void* b, std::size_t count) {
  Stream stream;
  constexpr std::size_t kBlock = 4096;
  alignas(64) std::byte block[kBlock];
  std::byte* to = static_cast<std::byte*>(out);
  const std::byte* left = static_cast<const std::byte*>(a);
  const std::byte* right = static_cast<const std::byte*>(b);
  const std::size_t off_line = reinterpret_cast<std::uintptr_t>(to) % 64;
  std::size_t bytes = count * element_bytes;
  std::size_t next = (kBlock - off_line) / element_bytes * element_bytes;
  while (bytes > 0) {
    const std::size_t now = next < bytes ? next : bytes;
    loop(block, left, right, now / element_bytes);
    stream.copy(to, block, now);
    to += now, left += now, right += now, bytes -= now;
    next = kBlock / element_bytes * element_bytes;
  }
}

}  // namespace ringside
