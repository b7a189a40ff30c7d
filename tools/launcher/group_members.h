// Who of a process group is ready for a signal.
//
// SIGUSR1 and SIGUSR2 are questions: a program that has an answer has a handler, and one that has
// none would be ended by them. Batch systems send them before time is up. So they go to those
// processes alone that have a handler, as /proc shows it.
#pragma once

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "comm/error.h"

namespace ringside::tools {

// Whether it has a handler for the signal. (That it has the signal blocked says little: a shell
// blocks them all for the moment in which it starts a program.)
inline bool has_handler(pid_t pid, int signal) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(text("/proc/%d/status", pid).c_str(), "re"), std::fclose);
  unsigned long long caught = 0;
  char line[256];
  while (file && std::fgets(line, sizeof line, file.get()) != nullptr)
    if (std::sscanf(line, "SigCgt:%llx", &caught) == 1) break;
  return (caught >> (signal - 1) & 1) != 0;
}

// Sends it to those of all `groups` who have a handler for it.
inline void ask_groups(const std::vector<pid_t>& groups, int signal) {
  const std::unique_ptr<DIR, int (*)(DIR*)> all(::opendir("/proc"), ::closedir);
  while (const dirent* entry = all ? ::readdir(all.get()) : nullptr) {
    const pid_t pid = std::atoi(entry->d_name);  // 0 if it is no number
    const pid_t group = pid > 0 ? ::getpgid(pid) : -1;
    if (std::find(groups.begin(), groups.end(), group) != groups.end() && has_handler(pid, signal))
      ::kill(pid, signal);
  }
}

}  // namespace ringside::tools
