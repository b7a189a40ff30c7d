// The kernels of reduce, divide and copy, each compiled here and nowhere else, and the table in
// which a call finds its own.
#include "kernels/cuda/loops.h"

#include <array>

#include "kernels/cuda/map.h"

namespace ringside::cuda {
namespace {

constexpr std::size_t kFolds = 4;

struct Kernels {
  const void* fold[kFolds];  // sum, product, min, max
  const void* divide;
};

template <class T>
Kernels kernels_of() {
  const auto entry = [](auto* kernel) { return reinterpret_cast<const void*>(kernel); };
  return {{entry(map_kernel<T, 2, Sum>), entry(map_kernel<T, 2, Product>),
           entry(map_kernel<T, 2, Min>), entry(map_kernel<T, 2, Max>)},
          entry(map_kernel<T, 1, Divide>)};
}

const Kernels& kernels_for(DType dtype) {
  static const std::array<Kernels, kAllDTypes.size()> table = [] {
    std::array<Kernels, kAllDTypes.size()> all{};
    for (const DType each : kAllDTypes)
      visit(each, [&](auto tag) {
        all[static_cast<std::size_t>(each)] = kernels_of<typename decltype(tag)::type>();
      });
    return all;
  }();
  return table[static_cast<std::size_t>(dtype)];
}

const void* copy_kernel() {
  return reinterpret_cast<const void*>(map_kernel<unsigned char, 1, Copy>);
}

template <int kInputs, class Op>
void launch_map(const void* kernel, MapArguments it, Op op, const Launch& launch,
                const char* what) {
  if (it.count == 0) return;
  void* arguments[] = {&it, &op};
  launch_kernel(kernel, blocks_for(map_tiles<kInputs>(it), launch), kMapThreads, arguments, launch,
                what);
}

}  // namespace

void reduce(DType dtype, Reduction reduction, void* out, const void* a, const void* b,
            std::size_t count, const Launch& launch) {
  const Reduction fold = reduction == Reduction::avg ? Reduction::sum : reduction;
  // The functors are empty and of one size: whichever it is, Sum stands for it.
  static_assert(sizeof(Sum) == 1 && sizeof(Product) == 1 && sizeof(Min) == 1 && sizeof(Max) == 1);
  launch_map<2>(kernels_for(dtype).fold[static_cast<std::size_t>(fold)],
                map_arguments(out, a, b, count, bytes_of(dtype)), Sum{}, launch, "reduce");
}

void divide(DType dtype, void* inout, std::size_t count, int divisor, const Launch& launch) {
  launch_map<1>(kernels_for(dtype).divide,
                map_arguments(inout, inout, inout, count, bytes_of(dtype)), Divide{divisor}, launch,
                "divide");
}

void copy(void* target, const void* source, std::size_t bytes, const Launch& launch) {
  launch_map<1>(copy_kernel(), map_arguments(target, source, source, bytes, 1), Copy{}, launch,
                "copy");
}

void load_loops() {
  for (const DType dtype : kAllDTypes) {
    const Kernels& kernels = kernels_for(dtype);
    for (const void* const fold : kernels.fold) load_kernel(fold);
    load_kernel(kernels.divide);
  }
  load_kernel(copy_kernel());
}

}  // namespace ringside::cuda
