// Asking for each kind of memory, and giving it back to where it came from.
#include "tools/common/buffers.h"

#include <cstring>

#include "comm/allocate.h"
#include "comm/error.h"

namespace ringside::tools {

const char* name_of(Memory memory) { return memory == Memory::any ? "any" : "allocate"; }

std::optional<Memory> parse_memory(const char* name) {
  for (const Memory it : kAllMemory)
    if (std::strcmp(name, name_of(it)) == 0) return it;
  return std::nullopt;
}

Memory read_memory(const char* value) {
  if (const std::optional<Memory> memory = parse_memory(value)) return *memory;
  throw Error(Fault::usage, text("--memory %s is not known; there are any and allocate", value));
}

Buffers::Buffers(std::size_t bytes, Memory memory)
    : first_(make(bytes, memory)), second_(make(bytes, memory)) {
  // Memory that is zero because nobody has written to it may not be there yet (docs/08, "first
  // touch").
  std::memset(first(), 0, bytes);
  std::memset(second(), 0, bytes);
}

Buffers::Buffer Buffers::make(std::size_t bytes, Memory memory) {
  if (memory == Memory::any) return {new std::byte[bytes], [](std::byte* it) { delete[] it; }};
  return {static_cast<std::byte*>(allocate(bytes)), [](std::byte* it) { deallocate(it); }};
}

}  // namespace ringside::tools
