// Counting in /proc/self.
#include "tools/fuzz/resources.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "comm/error.h"
#include "comm/util/fd.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RINGSIDE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RINGSIDE_SANITIZED 1
#endif
#endif

namespace ringside::tools {
namespace {

template <class EachLine>
void read_lines(const char* path, const EachLine& each_line) {
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) throw_system(text("%s cannot be read", path));
  char line[512];
  while (std::fgets(line, sizeof line, file) != nullptr) each_line(line);
  std::fclose(file);
}

std::size_t entries_in(const char* folder) {
  const std::filesystem::directory_iterator begin(folder);
  return static_cast<std::size_t>(std::distance(begin, std::filesystem::directory_iterator{}));
}

}  // namespace

void keep_no_free_memory() {
  // Setting them also keeps malloc from raising them by itself.
  ::mallopt(M_MMAP_THRESHOLD, 64 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 64 << 10);
  ::mallopt(M_ARENA_MAX, 4);
}

Resources resources_held(bool quick) {
  if (!quick) ::malloc_trim(0);
  Resources held;
  read_lines("/proc/self/status", [&](const char* line) {
    std::size_t kib = 0;
    if (std::sscanf(line, "RssAnon: %zu kB", &kib) == 1) held.memory_bytes = kib << 10;
  });
  read_lines("/proc/self/maps", [&](const char* line) {
    held.windows += std::strstr(line, "/memfd:") != nullptr ? 1 : 0;
  });
  held.descriptors = entries_in("/proc/self/fd") - 1;  // that of the folder itself
  held.threads = entries_in("/proc/self/task");
  return held;
}

Resources most_of(const Resources& a, const Resources& b) {
  Resources most;
  for (const auto& [name, held] : kResources) most.*held = std::max(a.*held, b.*held);
  return most;
}

bool memory_can_be_judged() {
#ifdef RINGSIDE_SANITIZED
  return false;
#else
  return true;
#endif
}

void leak(Leak what) {
  static std::vector<std::string> memory;
  constexpr std::size_t kBytes = std::size_t{1} << 20;
  switch (what) {
    case Leak::none:
      break;
    case Leak::memory:
      memory.emplace_back(kBytes, 'x');
      break;
    case Leak::windows: {
      const UniqueFd file(::memfd_create("leak", MFD_CLOEXEC));
      if (::ftruncate(file.get(), kBytes) != 0) throw_system("cannot leak a window");
      ::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, file.get(), 0);
      break;
    }
    case Leak::descriptors:
      if (::open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) throw_system("cannot leak a descriptor");
      break;
    case Leak::threads:
      std::thread([] { std::this_thread::sleep_for(std::chrono::hours(24)); }).detach();
      break;
  }
}

}  // namespace ringside::tools
