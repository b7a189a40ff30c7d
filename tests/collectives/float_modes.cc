// Calls compute in one floating-point mode, whatever modes their callers are in: a rank that
// flushes denormals to zero, or rounds another way, would change the bits of all.
#include <cfenv>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "comm/communicator.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

using namespace ringside;
using namespace ringside::test;

namespace {

std::uint64_t mode() {
#if defined(__x86_64__)
  return _mm_getcsr();
#else
  return static_cast<std::uint64_t>(std::fegetround());
#endif
}

// This thread flushes denormals, as a rank does that was built with -ffast-math.
void flush_denormals() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // FTZ, DAZ
#elif defined(__aarch64__)
  std::uint64_t mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  asm volatile("msr fpcr, %0" : : "r"(mode | std::uint64_t{1} << 24));
#endif
}
void round_up() { std::fesetround(FE_UPWARD); }
void trap() { ::feenableexcept(FE_OVERFLOW | FE_INVALID | FE_INEXACT | FE_UNDERFLOW); }

constexpr std::size_t kCount = 1003;  // each rank folds some of it in a ring

// Denormals, sums that are no floats, and one that is too large; of both signs.
std::vector<float> values_of(int rank) {
  std::vector<float> values(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    const float sign = i % 2 == 0 ? 1.0f : -1.0f;
    values[i] = sign * (i % 3 == 0 ? 1e-40f * static_cast<float>(rank + 1)
                                   : 1.0f + static_cast<float>(i) /
                                                (7.0f + 3.1f * static_cast<float>(rank)));
  }
  values[1] = std::numeric_limits<float>::max();
  return values;
}

// What all_reduce, blocking and not, gives on each rank, where one is in the mode that `enter` sets
// before or after its first call.
using Results = std::vector<std::vector<std::uint32_t>>;
Results results_of(Context& t, Algorithm algorithm, void (*enter)()) {
  constexpr int kRanks = 3;
  Results results(kRanks);
  Options options = test_options();
  options.algorithm = algorithm;
  on_ranks(kRanks, options, [&](Communicator& comm) {
    const std::vector<float> values = values_of(comm.rank());
    comm.barrier_async().wait();  // the engine's thread is there, in the mode of now
    std::fenv_t before;
    std::fegetenv(&before);
    const bool has_own = comm.rank() == 1 && enter != nullptr;
    if (has_own) enter();
    const std::uint64_t own = mode();
    std::vector<float> sums[4];
    for (std::vector<float>& it : sums) it.resize(kCount);
    const auto out = [&](int i) { return sums[i].data(); };
    comm.all_reduce(values.data(), out(0), kCount, DType::f32, Reduction::sum);
    comm.all_reduce(values.data(), out(1), kCount, DType::f32, Reduction::avg);
    comm.all_reduce_async(values.data(), out(2), kCount, DType::f32, Reduction::product).wait();
    std::optional<Communicator> group = comm.split(0, 0);
    group->all_reduce_async(values.data(), out(3), kCount, DType::f32, Reduction::sum).wait();
    const std::uint64_t after = mode();
    std::fesetenv(&before);
    CHECK_MSG(!has_own || after == own, "a call has changed its caller's mode");
    for (const std::vector<float>& it : sums)
      for (const float value : it) results[index(comm.rank())].push_back(bits_of(value));
  });
  return results;
}

}  // namespace

RINGSIDE_TEST(float_modes, of_one_rank_change_no_bit) {
  for (const Algorithm algorithm : {Algorithm::ring, Algorithm::one_shot, Algorithm::two_shot}) {
    const Results plain = results_of(t, algorithm, nullptr);
    for (const auto& rank : plain) CHECK(rank == plain[0]);
    for (void (*const enter)() : {flush_denormals, round_up, trap})
      CHECK_MSG(results_of(t, algorithm, enter) == plain, "%s: the bits differ",
                name_of(algorithm));
  }
}

// Control: without the calls' own mode these inputs would come out as other bits.
RINGSIDE_TEST(float_modes, would_be_seen) {
  for (void (*const enter)() : {flush_denormals, round_up}) {
    std::fenv_t before;
    std::fegetenv(&before);
    const std::vector<float> x = values_of(0), y = values_of(1);
    std::size_t differ = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
      const volatile float a = x[i], b = y[i];
      const volatile float plain = a + b;
      enter();
      const volatile float other = a + b;
      std::fesetenv(&before);
      differ += bits_of(float{plain}) != bits_of(float{other});
    }
    CHECK(differ > kCount / 10);
  }
}
