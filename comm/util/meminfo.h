// How much memory there is to be had, asked before it is taken.
#pragma once

#include <cstddef>

namespace ringside {

// What the kernel thinks can be had without swapping (MemAvailable). SIZE_MAX where it does not
// say.
std::size_t available_bytes();

}  // namespace ringside
