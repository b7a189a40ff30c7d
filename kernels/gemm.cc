// Checks a matrix product, finds it some memory, and passes it on to this machine's build.
#include "kernels/gemm.h"

#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include "kernels/layers_table.h"

namespace ringside {
namespace {

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument("gemm: " + why); }

// 0 becomes the dense pitch; less than that would let rows overlap.
std::size_t checked_pitch(std::size_t pitch, std::size_t columns, const char* matrix) {
  if (pitch == 0) return columns;
  if (pitch < columns)
    refuse("a row of " + std::string(matrix) + " has " + std::to_string(columns) +
           " elements, and its pitch of " + std::to_string(pitch) + " is less");
  return pitch;
}

}  // namespace

Gemm checked(Gemm it) {
  require_layer_type(it.in, "gemm");
  if (it.out != DType::f32 && it.out != it.in)
    refuse(std::string("C is f32 or of the type of A and B, which is ") + name_of(it.in) +
           ", and not " + name_of(it.out));
  it.pitch_a = checked_pitch(it.pitch_a, it.form == GemmForm::tn ? it.m : it.k, "A");
  it.pitch_b = checked_pitch(it.pitch_b, it.form == GemmForm::nt ? it.k : it.n, "B");
  it.pitch_c = checked_pitch(it.pitch_c, it.n, "C");
  return it;
}

void gemm(const Gemm& what, void* c, const void* a, const void* b) {
  const Gemm it = checked(what);
  if (it.m == 0 || it.n == 0) return;
  constexpr std::align_val_t kLine{64};
  struct Free {
    void operator()(void* memory) const { ::operator delete(memory, kLine); }
  };
  const LayerTable& table = layer_table();
  const std::unique_ptr<void, Free> scratch(
      ::operator new(table.gemm_scratch_floats(it) * sizeof(float), kLine));
  table.row[layer_row(it.in)].gemm(it, c, a, b, static_cast<float*>(scratch.get()));
}

}  // namespace ringside
