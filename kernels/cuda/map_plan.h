// How an element-wise kernel cuts its arrays, for any addresses and any count.
//
//     out     |e e e|V V V V|V V V V|V V V V|e e|      e: one element, V: 16 bytes at a boundary
//             head           vectors         tail
//
// A GPU moves 16 bytes a thread best, and only at addresses that 16 divides. So the head is what
// lies before the first such address of `out`, the middle goes by vectors, and the tail is what is
// left.
//
// An input may lie otherwise, for a chunk of a user's buffer begins where it must: then its vector
// is cut out of two aligned ones, `shift` bytes from the start of the first.
//
//     input   . . . x x x x|x x x x x x x x|x x x …       shift = 12 (of 16, here drawn as 8)
//                     └── first ──┘└─ second ─┘
//
// Both must lie inside the array, whatever stands around it. Therefore a shifted input makes the
// head one vector longer, and keeps the tail at least 16 bytes long.
//
// Only where `out` does not even lie at a multiple of the element's own size is there no vector at
// all: everything is head.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/hd.h"

namespace ringside::cuda {

inline constexpr std::size_t kVectorBytes = 16;

struct MapPlan {
  std::size_t head;     // elements
  std::size_t vectors;  // of 16 bytes
  unsigned shift[2];    // bytes, of each input, where the vectors begin
};

constexpr MapPlan plan_map(std::uintptr_t out, std::uintptr_t in0, std::uintptr_t in1,
                           std::size_t count, std::size_t element_bytes) {
  MapPlan plan{count, 0, {0, 0}};
  if (out % element_bytes != 0) return plan;
  const std::size_t each = kVectorBytes / element_bytes;
  std::size_t head = (kVectorBytes - out % kVectorBytes) % kVectorBytes / element_bytes;
  plan.shift[0] = static_cast<unsigned>((in0 + head * element_bytes) % kVectorBytes);
  plan.shift[1] = static_cast<unsigned>((in1 + head * element_bytes) % kVectorBytes);
  const bool shifted = plan.shift[0] != 0 || plan.shift[1] != 0;
  if (shifted) head += each;
  if (head > count) return plan;
  plan.head = head;
  plan.vectors = (count - head) / each;
  const std::size_t tail_bytes = (count - head - plan.vectors * each) * element_bytes;
  if (shifted && plan.vectors > 0 && tail_bytes < kVectorBytes) --plan.vectors;
  return plan;
}

}  // namespace ringside::cuda
