// A moment on a rank's clock, and its breakdown: what each ns on the way to it was spent on.
//
// Work is charged to the rank that does it. A rank that waits goes on when the awaited thing is
// there, and takes over the breakdown of that: the other rank's, up to the send, and the message's
// way. So a breakdown is that of the longest way through all ranks, which is the one that decided,
// and its terms add up to the time.
//
// The other thing one could do is to predict the call again with one cost of the machine at zero,
// and to call the difference that cost's share. Such shares do not add up: without copies another
// rank is the late one, and what was hidden behind them comes to light.
#pragma once

#include <array>
#include <cstddef>

namespace ringside {

enum class CostTerm : unsigned char {
  call,        // before a call's first primitive
  ends,        // of messages, at either of their ends
  lines,       // of messages that are longer than a cell, whose second line has to come
  flags,       // on their way with a message, or the head of one on a wire
  credits,     // on their way back: there is room again, or what was exposed has been read
  wires,       // bytes on a link, and ports that are busy
  into_slots,  // copies
  from_slots,  // copies, or from where a message lies that was exposed
  own_part,    // copies from the input to the output
  additions,
};
inline constexpr std::size_t kCostTerms = 10;

// Nanoseconds by term.
using CostBreakdown = std::array<double, kCostTerms>;
constexpr double& at(CostBreakdown& breakdown, CostTerm term) {
  return breakdown[static_cast<std::size_t>(term)];
}
constexpr double at(const CostBreakdown& breakdown, CostTerm term) {
  return breakdown[static_cast<std::size_t>(term)];
}

struct Moment {
  double ns = 0;
  CostBreakdown breakdown = {};

  Moment& pay(CostTerm term, double cost_ns) {
    ns += cost_ns;
    at(breakdown, term) += cost_ns;
    return *this;
  }
  Moment after(CostTerm term, double cost_ns) const { return Moment{*this}.pay(term, cost_ns); }
  // A wait for `that`, which may be over already.
  void wait_for(const Moment& that) {
    if (that.ns > ns) *this = that;
  }
};

}  // namespace ringside
