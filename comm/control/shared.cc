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
#include "comm/util/process.h"

namespace ringside {
namespace {

std::size_t index(int peer) { return static_cast<std::size_t>(peer); }

int open_process(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

}  // namespace

SharedControl::SharedControl(int rank, const std::vector<PeerInfo>& everyone,
                             const Windows& windows, int alarm_cell)
    : rank_(rank),
      everyone_(everyone),
      windows_(windows),
      alarm_cell_(alarm_cell),
      processes_(everyone.size()),
      began_(everyone.size()) {
  for (std::size_t peer = 0; peer < everyone.size(); ++peer) {
    if (everyone[peer].process == everyone[index(rank)].process) continue;
    processes_[peer] = UniqueFd(open_process(everyone[peer].pid));
    began_[peer] = stat_of(everyone[peer].pid).started;
  }
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
  // Without process descriptors (before Linux 5.3, or forbidden) /proc is asked: whoever started
  // the rank may leave it a zombie for long, and its number may come to be another's.
  const pid_t pid = everyone_[index(peer)].pid;
  const ProcessStat now = stat_of(pid);
  if (now.state == '?') return ::kill(pid, 0) != 0 && errno == ESRCH;
  const unsigned long long began = began_[index(peer)];
  return now.state == 'Z' || now.state == 'X' || (began != 0 && now.started != began);
}

bool SharedControl::has_died(int peer) {
  const bool same_process = everyone_[index(peer)].process == everyone_[index(rank_)].process;
  if (same_process || !process_ended(peer)) return false;
  const StatusPage* status_page = status_page_of(peer);
  return status_page == nullptr || status_page->state() != RankState::left;
}

Presence SharedControl::presence(int peer) {
  const char state = stat_of(everyone_[index(peer)].pid).state;
  return state == 'T' || state == 't' ? Presence::stopped : Presence::runs;
}

void SharedControl::pass_on_alarm(int origin) {
  for (const std::unique_ptr<PeerWindow>& window : windows_)
    if (window) window->signal(alarm_cell_, {static_cast<std::uint32_t>(origin) + 1, 1});
  store_before_what_follows();  // the caller's next stores may be into what this rank has exposed
}

}  // namespace ringside
