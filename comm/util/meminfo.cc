// What /proc/meminfo says, and the control groups of this process.
//
//     /proc/self/cgroup    v2  0::/a/b             /sys/fs/cgroup/a/b/memory.max
//                          v1  4:memory:/a/b       /sys/fs/cgroup/memory/a/b/memory.limit_in_bytes
//
// Inside of a container a/b may be the host's name for what lies there as the root: so a folder
// that is not there is passed over, and the way up goes on to the root.
#include "comm/util/meminfo.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "comm/error.h"
#include "comm/util/fd.h"

namespace ringside {
namespace {

struct Version {
  const char *in_line, *mount, *limit, *used, *inactive, *active;
};
constexpr Version kVersions[] = {
    {"\n0::", "/sys/fs/cgroup", "memory.max", "memory.current", "\ninactive_file ",
     "\nactive_file "},
    {":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
     "\ntotal_inactive_file ", "\ntotal_active_file "},
};

// The number that stands behind `name`; none if there is none ("max").
std::optional<std::size_t> number_in(const std::string& words, const std::string& name = "") {
  const std::size_t at = words.find(name);
  if (at == std::string::npos) return std::nullopt;
  const std::size_t begin = std::min(words.find_first_not_of(' ', at + name.size()), words.size());
  std::size_t number = 0;
  const char* end = words.data() + words.size();
  const bool found = std::from_chars(words.data() + begin, end, number).ec == std::errc();
  return found ? std::optional(number) : std::nullopt;
}

void consider(MemoryRoom& least, const Version& version, const std::string& folder) {
  const std::string file = folder + "/" + version.limit;
  const std::optional<std::size_t> limit = number_in(read_file(file));
  const std::optional<std::size_t> used = number_in(read_file(folder + "/" + version.used));
  if (!limit || !used) return;
  if (*limit - std::min(*limit, *used) >= least.bytes) return;  // and the caches need not be asked
  const std::string stat = "\n" + read_file(folder + "/memory.stat");
  const std::size_t caches =
      number_in(stat, version.inactive).value_or(0) + number_in(stat, version.active).value_or(0);
  const std::size_t held = *used - std::min(*used, caches);
  const std::size_t bytes = *limit - std::min(*limit, held);
  if (bytes >= least.bytes) return;
  struct stat status {};
  ::stat(folder.c_str(), &status);
  least = {bytes, text("that %s (%zu) leaves", file.c_str(), *limit), status.st_ino};
}

}  // namespace

MemoryRoom memory_room(const std::string& root) {
  MemoryRoom least;
  if (const auto kib = number_in(read_file(root + "/proc/meminfo"), "MemAvailable:"))
    least = {*kib << 10, "that this machine has left", 0};
  const std::string groups = "\n" + read_file(root + "/proc/self/cgroup");
  for (const Version& version : kVersions) {
    const std::size_t line = groups.find(version.in_line);
    if (line == std::string::npos) continue;
    const std::size_t begin = groups.find('/', line);
    std::string group =
        groups.substr(std::min(begin, groups.size()), groups.find('\n', begin) - begin);
    for (;;) {
      consider(least, version, root + version.mount + (group == "/" ? "" : group));
      if (group.empty() || group == "/") break;
      group.erase(group.rfind('/'));
    }
  }
  return least;
}

}  // namespace ringside
