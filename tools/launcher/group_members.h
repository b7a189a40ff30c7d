// Who of a process group is ready for a signal.
//
// SIGUSR1 and SIGUSR2 are questions: a program that has an answer has a handler, and one that has
// none would be ended by them. Batch systems send them before time is up. So they go to those
// processes alone that catch them, or keep them for later, as /proc shows it.
#pragma once

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "comm/error.h"

namespace ringside::tools {

namespace proc {

// The entries of a folder that are numbers; none if it is gone.
inline std::vector<pid_t> numbers_in(const std::string& folder) {
  std::vector<pid_t> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), ::closedir);
  while (const dirent* entry = open ? ::readdir(open.get()) : nullptr)
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) != 0)
      found.push_back(std::atoi(entry->d_name));
  return found;
}

// One of the sets of signals ("SigCgt", "SigBlk") of a process, or of a thread of it, in whose
// folder `status` lies. No signal if it is gone.
inline bool has_signal(const std::string& folder, const char* set, int signal) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen((folder + "/status").c_str(), "re"), std::fclose);
  const std::string format = text("%s:%%llx", set);
  unsigned long long mask = 0;
  char line[256];
  while (file && std::fgets(line, sizeof line, file.get()) != nullptr)
    if (std::sscanf(line, format.c_str(), &mask) == 1) break;
  return (mask >> (signal - 1) & 1) != 0;
}

}  // namespace proc

// Whether it has a handler for the signal; or all of its threads have it blocked.
inline bool is_ready_for(pid_t pid, int signal) {
  const std::string folder = text("/proc/%d", pid);
  if (proc::has_signal(folder, "SigCgt", signal)) return true;
  const std::vector<pid_t> threads = proc::numbers_in(folder + "/task");
  for (const pid_t thread : threads)
    if (!proc::has_signal(text("%s/task/%d", folder.c_str(), thread), "SigBlk", signal))
      return false;
  return !threads.empty();
}

// Sends it to those of all `groups` who are ready for it.
inline void ask_groups(const std::vector<pid_t>& groups, int signal) {
  for (const pid_t pid : proc::numbers_in("/proc"))
    for (const pid_t group : groups)
      if (::getpgid(pid) == group && is_ready_for(pid, signal)) ::kill(pid, signal);
}

}  // namespace ringside::tools
