// The memory on which calls are measured: two buffers on each rank, of one kind or the other.
//
// Where a library's data lie decides how it can travel. Ordinary memory is the caller's own, and
// what leaves it is copied on the way; memory from ringside::allocate (comm/allocate.h) can be
// mapped by all ranks of the host, and read where it lies. A peer gets the same buffers: to it,
// both are memory.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

namespace ringside::tools {

enum class Memory { any, allocate };

// "any", "allocate": as the option --memory has it.
const char* name_of(Memory memory);
std::optional<Memory> parse_memory(const char* name);
// For the option's reader. Throws Error{usage}.
Memory read_memory(const char* value);
inline constexpr Memory kAllMemory[] = {Memory::any, Memory::allocate};

// Two buffers, made and touched once for the largest size. Throws Error{system}, std::bad_alloc.
class Buffers {
 public:
  explicit Buffers(std::size_t bytes, Memory memory = Memory::any);
  std::byte* first() { return first_.get(); }
  std::byte* second() { return second_.get(); }

 private:
  using Buffer = std::unique_ptr<std::byte, void (*)(std::byte*)>;
  static Buffer make(std::size_t bytes, Memory memory);

  Buffer first_, second_;
};

}  // namespace ringside::tools
