// Calls that overlap with computing, as training makes them: a rank starts the call, computes
// something else, and only then waits for the result.
//
// What is computed needs registers alone, so it and the call do not share the memory's bandwidth;
// they do share the cores. It is an amount of work and not a stretch of time: where a library's
// thread takes the core away, the rank still has all of it to do, and the whole takes longer.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>

#include "tools/support/call.h"

namespace ringside::tools {

class Computation {
 public:
  // As much as this thread does here in `us` microseconds of a core. Measures that.
  explicit Computation(double us) {
    if (us == 0) return;
    constexpr std::int64_t kTried = 200'000;
    double best_us = 0;
    for (int i = 0; i < 9; ++i) {
      const double before = cpu_us();
      compute(kTried);
      const double took = cpu_us() - before;
      best_us = i == 0 ? took : std::min(best_us, took);
    }
    steps_ = static_cast<std::int64_t>(us / best_us * kTried);
  }
  void run() const { compute(steps_); }

 private:
  // Each step needs the one before, so no compiler and no core can do several at once, and the time
  // of one is the same wherever it runs. Nobody wants the result, and yet it must be worked out.
  static void compute(std::int64_t steps) {
    std::uint64_t x = 0x9e3779b97f4a7c15;
    for (std::int64_t i = 0; i < steps; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
    asm volatile("" : : "r"(x));
  }

  // Of this thread, so that the turns of others do not count.
  static double cpu_us() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
  }

  std::int64_t steps_ = 0;
};

// A library whose every call is started, overlapped with computing, and finished.
class Overlap : public Library {
 public:
  Overlap(Library& library, const Computation& computation)
      : library_(library), computation_(computation) {}
  const char* name() const override { return library_.name(); }
  void call(const Operation& what, Sides at) override {
    library_.start(what, at);
    computation_.run();
    library_.finish();
  }
  Part part_of(const Operation& what) const override { return library_.part_of(what); }
  void prepare() override { library_.prepare(); }
  void recover() override { library_.recover(); }
  bool has_our_bits() const override { return library_.has_our_bits(); }

 private:
  Library& library_;
  const Computation& computation_;
};

}  // namespace ringside::tools
