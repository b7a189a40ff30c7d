// Memory that communicators have given back, for the next one that asks for as much.
//
// It is never freed: cudaFree waits for every kernel of the process, and one of those may be
// another rank's that waits for this one.
#pragma once

#include <cstddef>

namespace ringside {

inline constexpr int kInHost = -1;  // in a device's place: pinned memory of the host

// What was allocated, and where; so that it can be kept later.
void note_allocation(void* memory, int ordinal, std::size_t bytes);
// Of exactly this size, or null.
void* take_spare(int ordinal, std::size_t bytes);
void keep_spare(void* memory);

}  // namespace ringside
