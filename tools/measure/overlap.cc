// What a rank computes during a call.
#include "tools/measure/overlap.h"

#include <time.h>

#include <algorithm>

namespace ringside::tools {
namespace {

// Each step needs the one before, so no compiler and no core can do several at once, and the time
// of one is the same wherever it runs.
std::uint64_t compute(std::int64_t steps) {
  std::uint64_t x = 0x9e3779b97f4a7c15;
  for (std::int64_t i = 0; i < steps; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
  return x;
}

void compute_and_forget(std::int64_t steps) {
  const std::uint64_t result = compute(steps);
  asm volatile("" : : "r"(result));
}

// Of this thread, so that the turns of others do not count.
double cpu_us() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

}  // namespace

Computation::Computation(double us) {
  if (us == 0) return;
  constexpr std::int64_t kTried = 200'000;
  double best_us = 0;
  for (int i = 0; i < 9; ++i) {
    const double before = cpu_us();
    compute_and_forget(kTried);
    const double took = cpu_us() - before;
    best_us = i == 0 ? took : std::min(best_us, took);
  }
  steps_ = static_cast<std::int64_t>(us / best_us * kTried);
}

void Computation::run() const { compute_and_forget(steps_); }

}  // namespace ringside::tools
