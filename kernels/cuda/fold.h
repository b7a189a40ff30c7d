// A fold of several arrays at once: out[i] = ((in₀[i] op in₁[i]) op in₂[i]) op …, each element read
// once from each array and written once, by the threads of one block.
//
// map.h's kernels own a grid. This is for a block in the middle of something else: the device
// executor (comm/device/kernel/executor.h) folds what its peers have sent. With one input and Copy
// it copies, with one input and Divide it divides. Rounding is to the storage type after each
// addition, so the bits are those of a chain of reduce calls.
//
// `out` may be exactly one of the inputs; no other overlap. Any address, any count; how the arrays
// are cut is map_plan.h's. It runs on a CPU too, one thread after the other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/map_plan.h"
#include "kernels/cuda/vector16.h"
#include "kernels/dtype.h"
#include "kernels/hd.h"
#include "kernels/reduction.h"

namespace ringside::cuda {

inline constexpr int kMostInputs = 16;

struct Fold {
  unsigned char* out;
  const unsigned char* const* in;
  int inputs;  // 1 to kMostInputs
  std::size_t count;
};

// `kUnroll` vectors, `threads` apart, the first at byte `begin` of each array.
template <class T, int kUnroll, bool kUnary, class Op>
RINGSIDE_HD void fold_vectors(const Fold& it, const Op& op, std::size_t begin, std::size_t lead,
                              std::size_t stride) {
  const auto shift = [&](int k) {
    return static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(it.in[k] + lead) % kVectorBytes);
  };
  Vector16 sum[kUnroll];
  load_vectors(sum, it.in[0] + begin, stride, shift(0));
  if constexpr (kUnary) {
    RINGSIDE_UNROLL
    for (int i = 0; i < kUnroll; ++i) sum[i] = apply_to_vectors<1, T>(op, sum[i], sum[i]);
  } else {
    for (int k = 1; k < it.inputs; ++k) {
      Vector16 next[kUnroll];
      load_vectors(next, it.in[k] + begin, stride, shift(k));
      RINGSIDE_UNROLL
      for (int i = 0; i < kUnroll; ++i) sum[i] = apply_to_vectors<2, T>(op, sum[i], next[i]);
    }
  }
  RINGSIDE_UNROLL
  for (int i = 0; i < kUnroll; ++i) store_aligned(it.out + begin + i * stride, sum[i]);
}

template <class T, bool kUnary, class Op>
RINGSIDE_HD void fold_element(const Fold& it, const Op& op, std::size_t at) {
  T sum = load_element<T>(it.in[0] + at);
  if constexpr (kUnary) {
    sum = apply<1>(op, sum, sum);
  } else {
    for (int k = 1; k < it.inputs; ++k) sum = apply<2>(op, sum, load_element<T>(it.in[k] + at));
  }
  store_element(it.out + at, sum);
}

// What thread `thread` of `threads` does. kUnary: op takes one element, and there is one input.
template <class T, bool kUnary, class Op>
RINGSIDE_HD void fold_thread(const Fold& it, const Op& op, unsigned thread, unsigned threads) {
  // Vectors that a thread asks for at once: as in map.h, but for an unknown number of inputs.
  constexpr int kUnroll = 4;
  const auto out = reinterpret_cast<std::uintptr_t>(it.out);
  const std::size_t lead = elements_to_boundary(out, sizeof(T)) * sizeof(T);
  bool shifted = false;
  for (int k = 0; k < it.inputs; ++k)
    shifted = shifted || reinterpret_cast<std::uintptr_t>(it.in[k] + lead) % kVectorBytes != 0;
  const MapCut cut = cut_map(out, it.count, sizeof(T), shifted);

  const std::size_t first = cut.head * sizeof(T), stride = threads * kVectorBytes;
  std::size_t vector = thread;
  for (; vector + (kUnroll - 1) * threads < cut.vectors; vector += kUnroll * threads)
    fold_vectors<T, kUnroll, kUnary>(it, op, first + vector * kVectorBytes, lead, stride);
  for (; vector < cut.vectors; vector += threads)
    fold_vectors<T, 1, kUnary>(it, op, first + vector * kVectorBytes, lead, stride);

  // Head and tail as if they were one.
  const std::size_t middle = cut.vectors * (kVectorBytes / sizeof(T));
  for (std::size_t edge = thread; edge < it.count - middle; edge += threads)
    fold_element<T, kUnary>(it, op, (edge < cut.head ? edge : edge + middle) * sizeof(T));
}

// The same with type and reduction known only now. On a GPU each is a function of its own: a kernel
// that calls them in many places has one copy of them.
#if defined(__CUDACC__)
#define RINGSIDE_HD_CALL __host__ __device__ __noinline__
#else
#define RINGSIDE_HD_CALL
#endif

template <class T, bool kUnary, class Op>
RINGSIDE_HD_CALL void fold_call(const Fold& it, const Op& op, unsigned thread, unsigned threads) {
  fold_thread<T, kUnary>(it, op, thread, threads);
}

template <class T>
RINGSIDE_HD void fold_of(Reduction reduction, const Fold& it, unsigned thread, unsigned threads) {
  switch (reduction) {
    case Reduction::sum:
    case Reduction::avg:
      return fold_call<T, false>(it, Sum{}, thread, threads);
    case Reduction::product:
      return fold_call<T, false>(it, Product{}, thread, threads);
    case Reduction::min:
      return fold_call<T, false>(it, Min{}, thread, threads);
    case Reduction::max:
      return fold_call<T, false>(it, Max{}, thread, threads);
  }
}

// dtype.h's visit for both kinds of processor, without a result: f(T{}).
template <class F>
RINGSIDE_HD void with_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::f16:
      return f(f16{});
    case DType::bf16:
      return f(bf16{});
    case DType::i32:
      return f(std::int32_t{});
    case DType::i64:
      return f(std::int64_t{});
    case DType::u8:
      return f(std::uint8_t{});
  }
}

// out[i] = in₀[i] op in₁[i] op …; avg folds as sum.
RINGSIDE_HD void fold(DType dtype, Reduction reduction, const Fold& it, unsigned thread,
                      unsigned threads) {
  with_type(dtype, [&](auto zero) { fold_of<decltype(zero)>(reduction, it, thread, threads); });
}

// out[i] = in[i] / divisor.
RINGSIDE_HD void fold_divide(DType dtype, const Fold& it, int divisor, unsigned thread,
                             unsigned threads) {
  with_type(dtype, [&](auto zero) {
    fold_call<decltype(zero), true>(it, Divide{divisor}, thread, threads);
  });
}

// Bytes.
RINGSIDE_HD void fold_copy(const Fold& it, unsigned thread, unsigned threads) {
  fold_call<unsigned char, true>(it, Copy{}, thread, threads);
}

}  // namespace ringside::cuda
