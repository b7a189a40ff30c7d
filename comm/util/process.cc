// A pid that is remembered where a child cannot find it.
#include "comm/util/process.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

#include "comm/util/fd.h"

namespace ringside {
namespace {

// In a page that the kernel clears for a child, however it was made. Null before Linux 4.14.
std::atomic<pid_t>* make_page() {
  constexpr std::size_t kBytes = 4096;
  void* page = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || ::madvise(page, kBytes, MADV_WIPEONFORK) != 0) return nullptr;
  return new (page) std::atomic<pid_t>(0);
}

}  // namespace

pid_t this_pid() {
  static std::atomic<pid_t>* const known = make_page();
  if (known == nullptr) return ::getpid();
  if (const pid_t pid = known->load(std::memory_order_relaxed); pid != 0) [[likely]]
    return pid;
  known->store(::getpid(), std::memory_order_relaxed);
  return ::getpid();
}

// The name in brackets may hold anything, brackets too; the state follows the last one.
ProcessStat stat_of(pid_t pid) {
  ProcessStat it;
  const std::string words = read_file(text("/proc/%d/stat", pid));
  const std::size_t end = words.rfind(')');
  if (end == std::string::npos) return it;
  const char* const format =  // the 3rd field, the 4th, and the 22nd
      ") %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu";
  std::sscanf(words.c_str() + end, format, &it.state, &it.parent, &it.started);
  return it;
}

std::string Maker::refusal(const char* what) const {
  return text(
      "this process (pid %d) was forked from the one that made %s (pid %d) and cannot use "
      "it; it may make its own",
      this_pid(), what, pid_);
}

}  // namespace ringside
