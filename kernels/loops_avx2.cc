// The loops for x86-64 with AVX2 and F16C (Intel since 2013, AMD since 2015), compiled with
// -mavx2 -mf16c. Elsewhere, or without the flags, this file says that it has nothing to offer.
#if defined(__AVX2__) && defined(__F16C__)

#include "kernels/loops_body.h"

namespace ringside {
const LoopTable* const kLoopsAvx2 = &kTable;
}  // namespace ringside

#else

#include "kernels/loops_table.h"

namespace ringside {
const LoopTable* const kLoopsAvx2 = nullptr;
}  // namespace ringside

#endif
