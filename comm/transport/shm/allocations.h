// The memory of this process that peers may read (allocate.h): where each piece lies, and its
// descriptor for the peers that ask.
//
// One table a process, not one a communicator: memory outlives communicators, and one piece serves
// several. A piece's number is never used again, so a reader that still has an old mapping cannot
// mistake it for a new one.
//
//     ┌──────────────────────────┬────────────┐
//     │ the caller's bytes       │ its end    │   the last line says whether it has been given back
//     └──────────────────────────┴────────────┘
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "comm/transport/shm/sealed_memory.h"
#include "comm/transport/transport.h"
#include "comm/util/fd.h"

namespace ringside {

class Allocations {
 public:
  static Allocations& of_this_process();

  void* add(std::size_t bytes);
  void remove(void* memory);

  // How far from `address` the memory can be exposed; nothing if it is not from here.
  Exposable find(const void* address);

  // For readers that are threads of this process. Null when it has been given back.
  std::shared_ptr<Mapping> mapping(std::uint64_t number);
  // For others: a descriptor of its own. Empty when it has been given back.
  UniqueFd descriptor(std::uint64_t number);

 private:
  struct Allocation {
    std::uint64_t number;
    SealedMemory memory;
  };
  const Allocation* numbered(std::uint64_t number) const;

  // Most processes have none, and need not take the lock to find that out.
  std::atomic<std::size_t> count_{0};
  std::mutex mutex_;
  std::map<const std::byte*, Allocation> by_start_;
  std::uint64_t last_ = 0;
};

// Looks up how much of a call's buffers (HostCall) can be exposed.
template <class Call>
void find_exposable(Call& call) {
  call.input_exposable = Allocations::of_this_process().find(call.plan.input);
  call.output_exposable = Allocations::of_this_process().find(call.plan.output);
}

// Whether the memory behind a reader's mapping has been given back by its owner: then the mapping
// is of no more use.
bool was_given_back(const Mapping& mapping);

}  // namespace ringside
