// What a process holds at this moment, as the kernel counts it: to see whether a program that goes
// on for long holds more and more.
#pragma once

#include <cstddef>

namespace ringside::tools {

struct Resources {
  std::size_t memory_bytes = 0;  // private and resident (RssAnon); windows are counted as such
  std::size_t windows = 0;       // mapped memory files (memfd), the ranks' shared memory
  std::size_t descriptors = 0;
  std::size_t threads = 0;
};
// All of them, memory first, as JSON and tables call them.
struct Resource {
  const char* name;
  std::size_t Resources::*held;
};
inline constexpr Resource kResources[] = {{"memory_bytes", &Resources::memory_bytes},
                                          {"windows", &Resources::windows},
                                          {"descriptors", &Resources::descriptors},
                                          {"threads", &Resources::threads}};

// Lets what is freed go back to the kernel soon, so that what is still resident is in use: without
// it the allocator's arenas keep megabytes, more or less of them by chance. For main, at its start.
void keep_no_free_memory();

// Gives free memory back to the kernel first, so that what is left is in use. `quick` does not, and
// its memory_bytes is what has ever been touched.
Resources resources_held(bool quick = false);

// The greater of each.
Resources most_of(const Resources& a, const Resources& b);

// Whether private memory says something about this program: under a sanitizer, whose allocator
// keeps what is freed, it does not.
bool memory_can_be_judged();

// Something that is taken and never given back, on purpose, to see that it is noticed.
enum class Leak { none, memory, windows, descriptors, threads };
constexpr const char* name_of(Leak leak) {
  constexpr const char* kNames[] = {"none", "memory", "windows", "descriptors", "threads"};
  return kNames[static_cast<int>(leak)];
}
void leak(Leak what);

}  // namespace ringside::tools
