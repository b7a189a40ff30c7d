// Memory that several processes can map: an anonymous file (memfd) of fixed length.
//
// It is allocated up front, after a look at how much there is: a machine that is full says so here,
// not by SIGBUS in the middle of a collective. And it is sealed against shrinking, as a peer that
// truncated the file would kill its readers; a process that is handed a descriptor looks for the
// seal before touching the memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "comm/util/deadline.h"
#include "comm/util/fd.h"

namespace ringside {

inline constexpr std::size_t kPageBytes = 4096;

struct SealedMemory {
  UniqueFd fd;
  std::shared_ptr<Mapping> mapping;  // at least the bytes that were asked for
  // From the pool of huge pages. A hole in such a file may be SIGBUS for its reader.
  bool is_from_pool = false;
};

// Zeroed, mapped, and no page of the first `bytes` missing; `room_bytes` more behind them are there
// as addresses, and become memory where somebody writes. Throws Error{system, timeout}; `advice`
// ends the sentence when there is too little memory.
SealedMemory make_sealed_memory(std::size_t bytes, const char* advice, Deadline deadline,
                                std::size_t room_bytes = 0);

// The same on huge pages, where the system keeps some ready or makes some on demand: then the
// length is rounded up to whole ones. Else on ordinary ones. Takes as long as it takes.
SealedMemory make_sealed_memory_on_huge_pages(std::size_t bytes, const char* advice);

enum class Access { read, read_and_write };

// Maps all of what rank `owner` handed out. Page faults of what is used of it are taken here and
// not in the first collective. Throws Error{protocol} if it is not sealed, Error{system} if it
// cannot be mapped, and Error{timeout}.
std::shared_ptr<Mapping> map_sealed_memory(int fd, Access access, int owner, Deadline deadline,
                                           std::size_t used_bytes = SIZE_MAX);

}  // namespace ringside
