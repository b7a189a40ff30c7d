// Two words for loops over other people's memory: an element that may lie anywhere, and the promise
// that iterations are independent.
#pragma once

// Says that an iteration never depends on an earlier one. That holds, since `out` is exactly `a`,
// exactly `b`, or apart from both. Without the promise, compilers test at run time whether the
// arrays overlap, and send the in-place case, which is our common one, to a scalar loop.
#if defined(__clang__)
// A build without optimisation, or with sanitizers, cannot keep the wish to vectorise, and need
// not.
#pragma clang diagnostic ignored "-Wpass-failed"
#define RINGSIDE_INDEPENDENT _Pragma("clang loop vectorize(assume_safety) interleave(enable)")
#elif defined(__GNUC__)
#define RINGSIDE_INDEPENDENT _Pragma("GCC ivdep")
#else
#define RINGSIDE_INDEPENDENT
#endif

namespace ringside {

// An element wherever it may lie: `packed` takes away the alignment that T would promise, and
// `may_alias` lets us look at memory that the user wrote as another type.
template <class T>
struct __attribute__((packed, may_alias)) Unaligned {
  T value;
};

}  // namespace ringside
