// Up the line of ancestors, as /proc has it; see origin.h.
#include "comm/bootstrap/origin.h"

#include <unistd.h>

#include <fstream>
#include <string>

#include "comm/error.h"
#include "comm/util/process.h"

namespace ringside {
namespace {

// Whether it was started as a rank; of what cannot be read, not.
bool is_in_a_rank(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/environ");
  for (std::string variable; std::getline(file, variable, '\0');)
    if (variable.starts_with("RANK=")) return true;
  return false;
}

}  // namespace

Origin my_origin() {
  pid_t launcher = ::getppid();
  while (launcher > 1 && is_in_a_rank(launcher)) launcher = stat_of(launcher).parent;
  return {::geteuid(), ::getpgrp(), static_cast<std::uint64_t>(launcher),
          stat_of(launcher).started};
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
