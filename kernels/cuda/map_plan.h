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

// The cut alone, for whoever has another number of inputs. `shifted`: does one of them lie
// otherwise?
struct MapCut {
  std::size_t head;     // elements
  std::size_t vectors;  // of 16 bytes
};

// How many elements lie before the first boundary of `out`.
RINGSIDE_HD constexpr std::size_t elements_to_boundary(std::uintptr_t out,
                                                       std::size_t element_bytes) {
  return (kVectorBytes - out % kVectorBytes) % kVectorBytes / element_bytes;
}

RINGSIDE_HD constexpr MapCut cut_map(std::uintptr_t out, std::size_t count,
                                     std::size_t element_bytes, bool shifted) {
  if (out % element_bytes != 0) return {count, 0};
  const std::size_t each = kVectorBytes / element_bytes;
  const std::size_t head = elements_to_boundary(out, element_bytes) + (shifted ? each : 0);
  if (head > count) return {count, 0};
  MapCut cut{head, (count - head) / each};
  const std::size_t tail_bytes = (count - head - cut.vectors * each) * element_bytes;
  if (shifted && cut.vectors > 0 && tail_bytes < kVectorBytes) --cut.vectors;
  return cut;
}

constexpr MapPlan plan_map(std::uintptr_t out, std::uintptr_t in0, std::uintptr_t in1,
                           std::size_t count, std::size_t element_bytes) {
  const std::size_t lead = elements_to_boundary(out, element_bytes) * element_bytes;
  const auto shift0 = static_cast<unsigned>((in0 + lead) % kVectorBytes);
  const auto shift1 = static_cast<unsigned>((in1 + lead) % kVectorBytes);
  const MapCut cut = cut_map(out, count, element_bytes, shift0 != 0 || shift1 != 0);
  if (cut.head == count) return {count, 0, {0, 0}};
  return {cut.head, cut.vectors, {shift0, shift1}};
}

}  // namespace ringside::cuda
