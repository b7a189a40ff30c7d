// The signal: 64 bits that say "it is there", and what "it" is.
//
//      63   62            32 31             0
//     ┌────┬────────────────┬────────────────┐
//     │zero-copy message│  fingerprint   │    sequence    │
//     └────┴────────────────┴────────────────┘
//
// The *sequence* only grows. Nothing is ever reset, so there is no moment at which a late reader
// could mistake the old world for the new one. It may wrap around after 2³² messages; what is
// compared is always a difference of two sequences that are close together, and such differences
// survive the wrap.
//
// The *fingerprint* is a hash of the call that the message belongs to (operation, count, type,
// reduction, root; see operation.h). It travels in the same 64 bits as the sequence, so the first
// flag of every path, the smallest message included, already says whether both ends are doing the
// same thing.
//
// Signals live in *cells*. A cell is one cache line: the signal and room for 56 bytes of payload. A
// message that fits travels in the line that carries its flag: one line crosses between two cores,
// not two.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kernels/hd.h"

namespace ringside {

// In a message's flag the top bit says that the message is a zero-copy message (transport.h), of
// which the cell's payload tells. It is not part of the fingerprint.
inline constexpr std::uint32_t kZeroCopyBit = std::uint32_t{1} << 31;

struct Signal {
  std::uint32_t sequence = 0;
  std::uint32_t fingerprint = 0;
};

constexpr std::uint64_t pack(Signal s) {
  return static_cast<std::uint64_t>(s.fingerprint) << 32 | s.sequence;
}

constexpr Signal unpack(std::uint64_t bits) {
  return {static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)};
}

// How far `a` is ahead of `b`; negative when behind. Right across the wrap while they are within
// 2³¹.
RINGSIDE_HD constexpr std::int32_t ahead(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b);
}
static_assert(ahead(3, 0xffff'fffeu) == 5 && ahead(0xffff'fffeu, 3) == -5);

// What was read above this line was read before anything below it is looked at. The ThreadSanitizer
// of GCC does not know fences; there, and on x86, reads come in order anyway.
inline void read_before_what_follows() {
#if !defined(__SANITIZE_THREAD__)
  std::atomic_thread_fence(std::memory_order_acquire);
#endif
}
// What was stored above this line is seen before what is stored below it.
inline void store_before_what_follows() {
#if !defined(__SANITIZE_THREAD__)
  std::atomic_thread_fence(std::memory_order_release);
#endif
}

inline constexpr std::size_t kLineBytes = 64;
inline constexpr std::size_t kInlineBytes = kLineBytes - sizeof(std::uint64_t);

// One reader, and for a channel's cells one writer. The writer fills `payload` with plain stores
// and then releases the signal; the reader acquires the signal and then reads `payload`. Release
// and acquire are the whole memory-order story.
struct alignas(kLineBytes) Cell {
  std::atomic<std::uint64_t> bits{0};
  std::byte payload[kInlineBytes];

  Signal acquire() const { return unpack(bits.load(std::memory_order_acquire)); }
  void release(Signal s) { bits.store(pack(s), std::memory_order_release); }
};
static_assert(sizeof(Cell) == kLineBytes);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free,
              "cells are shared between processes");

}  // namespace ringside
