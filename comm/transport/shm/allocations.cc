// The table of memory that may be exposed; the story is in allocations.h and allocate.h.
#include "comm/transport/shm/allocations.h"

#include <fcntl.h>

#include <new>
#include <utility>

#include "comm/allocate.h"
#include "comm/error.h"
#include "comm/transport/signal.h"
#include "comm/util/process.h"

namespace ringside {
namespace {

// The last line of an allocation.
struct alignas(kLineBytes) End {
  std::atomic<std::uint32_t> given_back{0};
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "shared between processes");

End* end_of(const Mapping& mapping) {
  return reinterpret_cast<End*>(mapping.at() + mapping.bytes() - sizeof(End));
}

constinit TableOfProcess<Allocations> allocations;

}  // namespace

Allocations& Allocations::of_this_process() { return allocations.get(); }

void* Allocations::add(std::size_t bytes) {
  if (bytes > SIZE_MAX / 2)
    throw_error(Fault::system, "%zu bytes of shared memory cannot be had", bytes);
  const std::size_t pages = (bytes + sizeof(End) + kPageBytes - 1) / kPageBytes;
  SealedMemory memory = make_sealed_memory_on_huge_pages(
      pages * kPageBytes, "allocate() less, or use memory of another kind");
  new (end_of(*memory.mapping)) End;
  std::byte* start = memory.mapping->at();
  const std::lock_guard lock(mutex_);
  by_start_.emplace(start, Allocation{++last_, std::move(memory)});
  count_.store(by_start_.size(), std::memory_order_release);
  return start;
}

// Readers may have it mapped, and look at their mappings only when they need another. The pages are
// taken from under them (the file keeps its length, so reading is no fault), which frees them now.
void Allocations::remove(void* memory) {
  const std::lock_guard lock(mutex_);
  const auto found = by_start_.find(static_cast<std::byte*>(memory));
  if (found == by_start_.end()) {
    if (allocations.was_inherited()) return;  // the parent's, most likely, and its to give back
    throw_error(Fault::usage,
                "deallocate: %p is not what allocate returned, or was given back before", memory);
  }
  const SealedMemory& it = found->second.memory;
  const std::size_t end_page = it.mapping->bytes() - kPageBytes;
  if (!it.is_from_pool)
    ::fallocate(it.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                static_cast<off_t>(end_page));
  end_of(*it.mapping)->given_back.store(1, std::memory_order_release);
  by_start_.erase(found);
  count_.store(by_start_.size(), std::memory_order_release);
}

Exposable Allocations::find(const void* address) {
  if (count_.load(std::memory_order_acquire) == 0) return {};
  const auto* at = static_cast<const std::byte*>(address);
  const std::lock_guard lock(mutex_);
  auto after = by_start_.upper_bound(at);
  if (after == by_start_.begin()) return {};
  const Allocation& it = std::prev(after)->second;
  const auto offset = static_cast<std::size_t>(at - it.memory.mapping->at());
  const std::size_t usable = it.memory.mapping->bytes() - sizeof(End);
  if (offset >= usable) return {};
  return {{it.number, offset}, usable - offset};
}

const Allocations::Allocation* Allocations::numbered(std::uint64_t number) const {
  for (const auto& [start, it] : by_start_)
    if (it.number == number) return &it;
  return nullptr;
}

std::shared_ptr<Mapping> Allocations::mapping(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const Allocation* it = numbered(number);
  return it == nullptr ? nullptr : it->memory.mapping;
}

UniqueFd Allocations::descriptor(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const Allocation* it = numbered(number);
  return it == nullptr ? UniqueFd()
                       : UniqueFd(::fcntl(it->memory.fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

bool was_given_back(const Mapping& mapping) {
  return end_of(mapping)->given_back.load(std::memory_order_acquire) != 0;
}

void* allocate(std::size_t bytes) { return Allocations::of_this_process().add(bytes); }

void deallocate(void* memory) {
  if (memory != nullptr) Allocations::of_this_process().remove(memory);
}

}  // namespace ringside
