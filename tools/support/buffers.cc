// Asking for each kind of memory, touching it, and giving it back to where it came from.
#include "tools/support/buffers.h"

#include <cstring>

#include "comm/allocate.h"
#include "comm/error.h"
#include "comm/transport/signal.h"

namespace ringside::tools {

const char* name_of(Memory memory) {
  return memory == Memory::ordinary   ? "ordinary"
         : memory == Memory::allocate ? "allocate"
                                      : "device";
}

Buffers::Buffers(std::size_t bytes, Memory memory)
    : first_(make(bytes, memory)), second_(make(bytes, memory)) {
  // Memory that is zero because nobody has written to it may not be there yet (docs/08, "first
  // touch").
  std::memset(first(), 0, bytes);
  std::memset(second(), 0, bytes);
}

Buffers::Buffers(std::size_t bytes, std::shared_ptr<Gpu> gpu)
    : gpu_(std::move(gpu)), first_(make(bytes, gpu_)), second_(make(bytes, gpu_)) {}

Buffers::Buffer Buffers::make(std::size_t bytes, Memory memory) {
  if (memory == Memory::ordinary) return {new std::byte[bytes], [](std::byte* it) { delete[] it; }};
  return {static_cast<std::byte*>(allocate(bytes)), [](std::byte* it) { deallocate(it); }};
}

Buffers::Buffer Buffers::make(std::size_t bytes, const std::shared_ptr<Gpu>& gpu) {
  return {gpu->allocate(bytes), [gpu](std::byte* it) { gpu->free(it); }};
}

void Buffers::fill(std::byte* at, std::size_t bytes, FunctionRef<void(void* host)> compose) {
  if (!gpu_) return compose(at);
  std::vector<std::byte> host(bytes);
  compose(host.data());
  gpu_->write(at, host.data(), bytes);
}

const void* Buffers::look(const std::byte* at, std::size_t bytes, std::vector<std::byte>& room) {
  if (!gpu_) return at;
  room.resize(bytes);
  gpu_->read(room.data(), at, bytes);
  return room.data();
}

void Buffers::set(std::byte* at, unsigned char value, std::size_t bytes) {
  if (gpu_)
    gpu_->set(at, value, bytes);
  else
    std::memset(at, value, bytes);
}

void Buffers::rewrite(std::byte* at, std::size_t bytes) {
  if (gpu_) return gpu_->rewrite(at, bytes);
  for (std::size_t i = 0; i < bytes; i += kLineBytes) at[i] ^= std::byte{1};
}

}  // namespace ringside::tools
