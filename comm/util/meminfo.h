// How much memory there is to be had, asked before it is taken: a machine, or a container, that has
// none left kills a process, and without a sentence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ringside {

struct MemoryRoom {
  std::size_t bytes = SIZE_MAX;  // SIZE_MAX where nothing says
  std::string words;             // "that /sys/fs/cgroup/memory.max (314572800) leaves"
  std::uint64_t of = 0;          // processes with the same number share it
};

// The least of what the kernel thinks can be had without swapping (MemAvailable), and of what the
// memory limits of this process's control group and of those above it leave (cgroup v1 and v2; file
// caches count as room, as the kernel drops them first). Tests have a `root` of their own.
MemoryRoom memory_room(const std::string& root = "");

inline std::size_t available_bytes() { return memory_room().bytes; }

}  // namespace ringside
