// The arithmetic of a window's layout.
#include "comm/peers/window_layout.h"

#include <algorithm>

#include "comm/control/status.h"

namespace ringside {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kStatusPageBytes =
    (sizeof(StatusPage) + kPageBytes - 1) / kPageBytes * kPageBytes;

// All pair channels of a rank together stay within this much memory: with many ranks their slots
// shrink.
constexpr std::size_t kPairBudgetBytes = std::size_t{8} << 20;
constexpr int kPairSlots = 16;

}  // namespace

WindowLayout WindowLayout::make(int size, std::size_t slot_bytes, int slot_count) {
  const int slots = slot_count == 1 ? 1 : std::min(4 * slot_count, kPairSlots);
  const std::size_t share = kPairBudgetBytes / static_cast<std::size_t>(kUses * size * slots);
  const std::size_t fair = std::max<std::size_t>(share / kLineBytes * kLineBytes, 4 * kLineBytes);
  return {size, {slot_count, slot_bytes}, {slots, std::min(slot_bytes, fair)}};
}

ChannelPlace WindowLayout::ring_place() const { return {kRingCreditCell + 1, kStatusPageBytes}; }

int WindowLayout::pair_credit_cell(Use use, int peer) const {
  const int pair_number = static_cast<int>(use) * size + peer;
  return ring_place().first_cell + ring.slots + pair_number * (1 + pair.slots);
}

ChannelPlace WindowLayout::pair_place(Use use, int peer) const {
  const auto pair_number = static_cast<std::size_t>(static_cast<int>(use) * size + peer);
  return {pair_credit_cell(use, peer) + 1,
          kStatusPageBytes + ring.total_bytes() + pair_number * pair.total_bytes()};
}

bool WindowLayout::is_credit_cell(int cell) const {
  const int first_pair = pair_credit_cell(Use::messages, 0);
  if (cell < first_pair) return cell == kRingCreditCell;
  return (cell - first_pair) % (1 + pair.slots) == 0;
}

}  // namespace ringside
