// Up the line of ancestors, as /proc has it; see origin.h.
#include "comm/bootstrap/origin.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "comm/error.h"

namespace ringside {
namespace {

struct ProcessStat {
  std::uint64_t parent = 0, started = 0;
};

// Zeros if there is no such process, or no /proc.
ProcessStat stat_of(std::uint64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string line(std::istreambuf_iterator<char>(file), {});
  ProcessStat stat;
  // The name in brackets may hold anything; the state follows the last one. Then come the parent,
  // and as the 22nd of all fields the time of the start.
  const std::size_t name_end = line.rfind(')');
  std::istringstream fields(name_end == std::string::npos ? "" : line.substr(name_end + 1));
  std::string skipped;
  fields >> skipped >> stat.parent;
  for (int field = 5; field < 22; ++field) fields >> skipped;
  fields >> stat.started;
  return stat;
}

// Whether it was started as a rank; of what cannot be read, not.
bool is_in_a_rank(std::uint64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/environ");
  for (std::string variable; std::getline(file, variable, '\0');)
    if (variable.starts_with("RANK=")) return true;
  return false;
}

}  // namespace

Origin my_origin() {
  Origin it{.user = ::geteuid(), .process_group = ::getpgrp()};
  it.launcher = static_cast<std::uint64_t>(::getppid());
  while (it.launcher > 1 && is_in_a_rank(it.launcher)) it.launcher = stat_of(it.launcher).parent;
  it.launcher_started = stat_of(it.launcher).started;
  return it;
}

bool same_origin(const Origin& a, const Origin& b) {
  const bool one_launcher = a.launcher == b.launcher && a.launcher_started == b.launcher_started;
  return a.user == b.user && (one_launcher || a.process_group == b.process_group);
}

std::string words_of(const Origin& it) {
  return text("started by process %llu of user %u", static_cast<unsigned long long>(it.launcher),
              it.user);
}

}  // namespace ringside
