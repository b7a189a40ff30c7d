// What one host offers to ranks that watch each other: mapped memory, pidfds and /proc.
#include "comm/control/shared.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "comm/error.h"

namespace ringside {
namespace {

std::size_t index(int peer) { return static_cast<std::size_t>(peer); }

int open_process(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

// The kernel's letter for what a process does: R S D T t … '?' if it cannot be read.
char state_of(int pid) {
  char state = '?';
  if (std::FILE* file = std::fopen(text("/proc/%d/stat", pid).c_str(), "re")) {
    // The name in brackets may hold anything, brackets too; the state follows the last one.
    char line[512] = {};
    if (std::fgets(line, sizeof line, file) != nullptr) {
      const std::string words = line;
      const std::size_t end = words.rfind(") ");
      if (end != std::string::npos && end + 2 < words.size()) state = words[end + 2];
    }
    std::fclose(file);
  }
  return state;
}

}  // namespace

SharedControl::SharedControl(int rank, const std::vector<PeerInfo>& everyone,
                             const Windows& windows, int alarm_cell)
    : rank_(rank),
      everyone_(everyone),
      windows_(windows),
      alarm_cell_(alarm_cell),
      processes_(everyone.size()) {
  for (std::size_t peer = 0; peer < everyone.size(); ++peer)
    if (everyone[peer].process != everyone[index(rank)].process)
      processes_[peer] = UniqueFd(open_process(everyone[peer].pid));
}

const StatusPage* SharedControl::status_page_of(int peer) {
  const std::byte* data = windows_[index(peer)]->mapped();
  return data == nullptr ? nullptr : reinterpret_cast<const StatusPage*>(data);
}

bool SharedControl::process_ended(int peer) const {
  if (const UniqueFd& process = processes_[index(peer)]) {
    pollfd waiting{process.get(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) > 0;
  }
  // Without process descriptors (before Linux 5.3, or forbidden) a signal that is never sent tells
  // whether there is anybody to send it to.
  return ::kill(everyone_[index(peer)].pid, 0) != 0 && errno == ESRCH;
}

bool SharedControl::has_died(int peer) {
  const bool same_process = everyone_[index(peer)].process == everyone_[index(rank_)].process;
  if (same_process || !process_ended(peer)) return false;
  const StatusPage* status_page = status_page_of(peer);
  return status_page == nullptr || status_page->state() != RankState::left;
}

Presence SharedControl::presence(int peer) {
  const char state = state_of(everyone_[index(peer)].pid);
  return state == 'T' || state == 't' ? Presence::stopped : Presence::runs;
}

void SharedControl::pass_on_alarm(int origin) {
  for (const std::unique_ptr<PeerWindow>& window : windows_)
    if (window) window->signal(alarm_cell_, {static_cast<std::uint32_t>(origin) + 1, 1});
  store_before_what_follows();  // the caller's next stores may be into what this rank has exposed
}

}  // namespace ringside
