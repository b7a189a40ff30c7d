// Reading /proc/meminfo, the only place where the kernel says what can still be had.
#include "comm/util/meminfo.h"

#include <cstdint>
#include <cstdio>

namespace ringside {

std::size_t available_bytes() {
  std::size_t kib = SIZE_MAX >> 10;
  if (std::FILE* file = std::fopen("/proc/meminfo", "re")) {
    char line[128];
    while (std::fgets(line, sizeof line, file) != nullptr)
      if (std::sscanf(line, "MemAvailable: %zu kB", &kib) == 1) break;
    std::fclose(file);
  }
  return kib << 10;
}

}  // namespace ringside
