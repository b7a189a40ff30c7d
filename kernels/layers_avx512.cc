// The layers for x86-64 with AVX-512, compiled with the flags of loops_avx512.cc and -mfma.
// Elsewhere, or without the flags, this file says that it has nothing to offer.
#if defined(__AVX512F__) && defined(__FMA__)

#include "kernels/layers_build.h"

namespace ringside {
const LayerTable* const kLayersAvx512 = &kLayers;
}  // namespace ringside

#else

#include "kernels/layers_table.h"

namespace ringside {
const LayerTable* const kLayersAvx512 = nullptr;
}  // namespace ringside

#endif
