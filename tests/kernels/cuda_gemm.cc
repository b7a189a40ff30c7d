// The GPU's matrix product without a GPU: the phases of its threads, called one after the other
// (tests/kernels/cuda_threads.cc says more), bit for bit against the CPU's product.
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/cuda/gemm_tile.h"
#include "kernels/gemm.h"
#include "tests/kernels/gemm_oracle.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace ringside::cuda;

template <class T>
bool equal(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// The phases of a block as the kernel has them, with a loop over threads where it has a meeting.
template <class T, int kTile>
void run_gemm(const Gemm& what, void* c, const void* a, const void* b) {
  const GemmArguments it = gemm_arguments<T>(what, c, a, b, kTile);
  const auto shared = std::make_unique<GemmShared<kTile>>();
  std::vector<GemmThread<T, kTile>> threads(kGemmThreads);
  const auto all = [&](const auto& phase) {
    for (unsigned i = 0; i < kGemmThreads; ++i) phase(threads[i], i);
  };
  const std::size_t tiles = it.tiles_across * ((what.m + kTile - 1) / kTile);
  for (std::size_t tile = 0; tile < tiles; ++tile) {
    const std::size_t row = tile / it.tiles_across, column = tile % it.tiles_across;
    all([&](auto& own, unsigned i) { own.start(it, row, column, i); });
    all([&](auto& own, unsigned i) { own.fetch(it, row, column, 0, i); });
    all([&](auto& own, unsigned i) { own.stash(it, *shared, 0, i); });
    int half = 0;
    for (std::size_t k0 = 0; k0 < it.k; k0 += kGemmDepth, half ^= 1) {
      const bool more = k0 + kGemmDepth < it.k;
      if (more) all([&](auto& own, unsigned i) { own.fetch(it, row, column, k0 + kGemmDepth, i); });
      all([&](auto& own, unsigned i) { own.multiply(*shared, half, it.k - k0, i); });
      if (more) all([&](auto& own, unsigned i) { own.stash(it, *shared, half ^ 1, i); });
    }
    all([&](auto& own, unsigned i) { own.finish(it, row, column, i); });
  }
}

template <class In, class Out>
void check_gemm(test::Context& t, GemmForm form, std::size_t m, std::size_t n, std::size_t k,
                std::size_t gap, bool accumulate) {
  test::Matrices<In, Out> it(form, m, n, k, gap);
  it.what.accumulate = accumulate;
  std::vector<Out> small = it.c, large = it.c;
  gemm(it.what, it.c.data(), it.a.data(), it.b.data());
  run_gemm<In, 64>(it.what, small.data(), it.a.data(), it.b.data());
  run_gemm<In, 128>(it.what, large.data(), it.a.data(), it.b.data());
  CHECK_MSG(equal(it.c, small) && equal(it.c, large), "%s %zu x %zu x %zu, gap %zu", name_of(form),
            m, n, k, gap);
}

RINGSIDE_TEST(kernels_cuda, gemm_threads_have_the_bits_of_the_cpus_gemm) {
  for (const GemmForm form : kAllGemmForms)
    for (const std::size_t gap : {0u, 1u, 4u}) {
      check_gemm<float, float>(t, form, 130, 70, 33, gap, false);
      check_gemm<bf16, bf16>(t, form, 5, 129, 16, gap, true);
      check_gemm<f16, float>(t, form, 64, 64, 64, gap, true);
      check_gemm<float, float>(t, form, 3, 2, 1, gap, true);
      check_gemm<bf16, float>(t, form, 2, 2, 0, gap, false);
    }
}

// A step too many, of zeros, would cost a sum of −0 its sign; and the tile's depth never divides
// every k.
RINGSIDE_TEST(kernels_cuda, gemm_keeps_a_negative_zero) {
  const float a = -0x1p-126f, b = 0x1p-126f;  // their product is too small for a float: −0
  float on_cpu = -0.0f, in_tile = -0.0f;
  const Gemm what{.m = 1, .n = 1, .k = 1, .accumulate = true};
  gemm(what, &on_cpu, &a, &b);
  run_gemm<float, 64>(checked(what), &in_tile, &a, &b);
  CHECK_EQ(bits_of(on_cpu), 0x80000000u);
  CHECK_EQ(bits_of(in_tile), 0x80000000u);
}

}  // namespace
}  // namespace ringside
