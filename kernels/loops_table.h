// What one build of the loops hands to the dispatcher (kernels/loops.cc): plain function pointers.
//
// This header and kernels/loops.h are all that the dispatcher sees of the builds, so no code made
// for a wider instruction set can be reached except through a pointer that was taken on purpose.
#pragma once

#include <cstddef>

#include "kernels/loops.h"

namespace ringside {

inline constexpr std::size_t kFoldCount = 4;  // sum, product, min, max; avg folds as sum

struct LoopTable {
  ReduceLoop reduce[kAllDTypes.size()][kFoldCount];
  DivideLoop divide[kAllDTypes.size()];
};

// Null where the compiler was not told to make (or cannot make) such code.
extern const LoopTable* const kLoopsBaseline;
extern const LoopTable* const kLoopsAvx2;
extern const LoopTable* const kLoopsAvx512;

}  // namespace ringside
