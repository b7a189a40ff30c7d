// The loops for every machine of the target architecture. See kernels/loops_body.h.
#include "kernels/loops_body.h"

namespace ringside {

const LoopTable* const kLoopsBaseline = &kTable;

}  // namespace ringside
