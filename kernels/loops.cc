// Chooses among the builds of the loops, once.
//
// The choice is a table lookup and not `target_clones` (the compiler's own way), which goes wrong
// under the thread sanitizer; and here a reader can see it.
#include "kernels/loops.h"

#include <cstdlib>
#include <string_view>

#include "kernels/loops_table.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ringside {
namespace {

#if defined(__x86_64__)
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

bool machine_has(Isa isa) {
  if (isa == Isa::baseline) return true;
#if defined(__x86_64__)
  // The builtin also asks whether the operating system saves these registers. It has no name for
  // F16C in every compiler, hence the bit by hand; F16C uses the registers that AVX2 has asked
  // about.
  const bool avx2 = __builtin_cpu_supports("avx2") && has_f16c();
  if (isa == Isa::avx2) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#else
  return false;
#endif
}

const LoopTable* built_table(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return kLoopsBaseline;
    case Isa::avx2:
      return kLoopsAvx2;
    case Isa::avx512:
      return kLoopsAvx512;
  }
  return nullptr;
}

const LoopTable* usable_table(Isa isa) { return machine_has(isa) ? built_table(isa) : nullptr; }

Isa probe_best_isa() {
  Isa best = Isa::baseline;
  const char* const wish = std::getenv("RINGSIDE_ISA");
  for (const Isa isa : kAllIsas) {
    if (usable_table(isa) != nullptr) best = isa;
    if (wish != nullptr && std::string_view(wish) == name_of(isa)) break;
  }
  return best;
}

const LoopTable& best_table() {
  static const LoopTable& table = *usable_table(best_isa());
  return table;
}

std::size_t row_of(DType dtype) { return static_cast<std::size_t>(dtype); }

std::size_t fold_of(Reduction reduction) {
  return static_cast<std::size_t>(reduction == Reduction::avg ? Reduction::sum : reduction);
}

static_assert(static_cast<std::size_t>(Reduction::avg) == kFoldCount,
              "avg is the one without a loop");

}  // namespace

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return "baseline";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "?";
}

Isa best_isa() {
  static const Isa best = probe_best_isa();
  return best;
}

ReduceLoop reduce_loop(DType dtype, Reduction reduction) {
  return best_table().reduce[row_of(dtype)][fold_of(reduction)];
}

DivideLoop divide_loop(DType dtype) { return best_table().divide[row_of(dtype)]; }

ReduceLoop reduce_loop(Isa isa, DType dtype, Reduction reduction) {
  const LoopTable* const table = usable_table(isa);
  return table == nullptr ? nullptr : table->reduce[row_of(dtype)][fold_of(reduction)];
}

DivideLoop divide_loop(Isa isa, DType dtype) {
  const LoopTable* const table = usable_table(isa);
  return table == nullptr ? nullptr : table->divide[row_of(dtype)];
}

}  // namespace ringside
