// The memory on which calls are measured: two buffers on each rank, of one kind or another.
//
// Where a library's data lie decides how it can travel. Ordinary memory is the caller's own, and
// what leaves it is copied on the way; memory from ringside::allocate (comm/allocate.h) can be
// mapped by all ranks of the host, and read where it lies; memory of a GPU (gpu.h) is out of this
// processor's reach, and calls on it are the GPU's affair. A baseline gets the same buffers: to it,
// all are memory.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "comm/util/function_ref.h"
#include "tools/support/gpu.h"

namespace ringside::tools {

enum class Memory { ordinary, allocate, device };

// "ordinary", "allocate", "device": as the option --memory has it.
const char* name_of(Memory memory);
// The host's.
inline constexpr Memory kAllMemory[] = {Memory::ordinary, Memory::allocate};

// Two buffers, made and touched once for the largest size. Throws Error{system}, std::bad_alloc,
// and what the GPU reports.
class Buffers {
 public:
  explicit Buffers(std::size_t bytes, Memory memory = Memory::ordinary);
  // In the memory of a GPU.
  Buffers(std::size_t bytes, std::shared_ptr<Gpu> gpu);
  std::byte* first() { return first_.get(); }
  std::byte* second() { return second_.get(); }

  // What lies in them is touched through these, wherever that is.
  //
  // `compose` gets `bytes` bytes of the host's and fills them; they are then at `at`.
  void fill(std::byte* at, std::size_t bytes, FunctionRef<void(void* host)> compose);
  // The same bytes, for this processor to read; in `room` if they lie elsewhere.
  const void* look(const std::byte* at, std::size_t bytes, std::vector<std::byte>& room);
  void set(std::byte* at, unsigned char value, std::size_t bytes);
  // Changes a bit in each line. The lowest one: a number stays about what it was, and no NaN or
  // denormal number, which some processors add more slowly, comes of it.
  void rewrite(std::byte* at, std::size_t bytes);
  bool on_device() const { return gpu_ != nullptr; }

 private:
  using Buffer = std::unique_ptr<std::byte, std::function<void(std::byte*)>>;
  static Buffer make(std::size_t bytes, Memory memory);
  static Buffer make(std::size_t bytes, const std::shared_ptr<Gpu>& gpu);

  std::shared_ptr<Gpu> gpu_;  // null: the host's memory
  Buffer first_, second_;
};

}  // namespace ringside::tools
