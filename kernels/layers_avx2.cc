// The layers for x86-64 with AVX2 and FMA, compiled with -mavx2 -mfma -mf16c. Elsewhere, or without
// the flags, this file says that it has nothing to offer.
#if defined(__AVX2__) && defined(__FMA__)

#include "kernels/layers_build.h"

namespace ringside {
const LayerTable* const kLayersAvx2 = &kLayers;
}  // namespace ringside

#else

#include "kernels/layers_table.h"

namespace ringside {
const LayerTable* const kLayersAvx2 = nullptr;
}  // namespace ringside

#endif
