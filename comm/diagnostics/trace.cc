// Keeping the latest spans, and giving them back in order.
#include "comm/diagnostics/trace.h"

#include <time.h>

#include <algorithm>

namespace ringside {

// All that a trace will hold is reserved now: noting a span never allocates, so it cannot fail
// while an exception is on its way. The system gives the memory page by page, as it is written.
Trace::Trace(std::size_t most_spans) : most_(std::max<std::size_t>(most_spans, 1)) {
  kept_.reserve(most_);
}

std::int64_t Trace::now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void Trace::note(const TracedSpan& span) {
  if (kept_.size() < most_)
    kept_.push_back(span);
  else
    kept_[noted_ % most_] = span;
  ++noted_;
}

// Spans are noted when they end, so a call comes after its steps.
std::vector<TracedSpan> Trace::spans() const {
  std::vector<TracedSpan> ordered = kept_;
  std::stable_sort(ordered.begin(), ordered.end(), [](const TracedSpan& a, const TracedSpan& b) {
    return a.begin_ns != b.begin_ns ? a.begin_ns < b.begin_ns : a.end_ns > b.end_ns;
  });
  return ordered;
}

std::uint32_t& Trace::counter(Counters& of, Connection connection, int peer) {
  constexpr std::size_t kRoads = 3;
  const std::size_t index =
      static_cast<std::size_t>(peer) * kRoads + static_cast<std::size_t>(connection);
  if (index >= of.size()) of.resize(index + 1);
  return of[index];
}

}  // namespace ringside
