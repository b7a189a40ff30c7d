// The loops for x86-64 with AVX-512 (F, BW, VL, DQ: Intel servers since 2017, AMD since 2022),
// compiled with -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mf16c. Elsewhere, or without the
// flags, this file says that it has nothing to offer.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && \
    defined(__AVX512DQ__) && defined(__F16C__)

#include "kernels/loops_body.h"

namespace ringside {
const LoopTable* const kLoopsAvx512 = &kTable;
}  // namespace ringside

#else

#include "kernels/loops_table.h"

namespace ringside {
const LoopTable* const kLoopsAvx512 = nullptr;
}  // namespace ringside

#endif
