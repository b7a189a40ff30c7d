// A list; the story is in spare_memory.h.
#include "comm/device/cuda/memory_pool.h"

#include <mutex>
#include <vector>

namespace ringside {
namespace {

struct Allocation {
  void* memory;
  int ordinal;
  std::size_t bytes;
  bool spare;
};
std::mutex mutex;
std::vector<Allocation>& allocations() {
  static auto* const all = new std::vector<Allocation>;  // never destroyed: threads may go on
  return *all;
}

}  // namespace

void note_allocation(void* memory, int ordinal, std::size_t bytes) {
  const std::lock_guard lock(mutex);
  allocations().push_back({memory, ordinal, bytes, false});
}

void* take_spare(int ordinal, std::size_t bytes) {
  const std::lock_guard lock(mutex);
  for (Allocation& it : allocations()) {
    if (!it.spare || it.ordinal != ordinal || it.bytes != bytes) continue;
    it.spare = false;
    return it.memory;
  }
  return nullptr;
}

void keep_spare(void* memory) {
  const std::lock_guard lock(mutex);
  for (Allocation& it : allocations())
    if (it.memory == memory) it.spare = true;
}

}  // namespace ringside
