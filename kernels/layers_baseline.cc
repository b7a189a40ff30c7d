// The layers for every machine of the target architecture. Where that has no fused multiply-add
// (x86-64 before 2013), each is a call of the C library: right, and tens of times slower.
#include "kernels/layers_build.h"

namespace ringside {

const LayerTable* const kLayersBaseline = &kLayers;

}  // namespace ringside
