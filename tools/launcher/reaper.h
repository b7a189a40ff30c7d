// Who cleans up when launch itself is killed with kill -9?
//
// The kernel kills the ranks (PR_SET_PDEATHSIG), but not what they have started: a script's program
// would live on. So launch has a helper: a process that does nothing but read from a pipe whose
// other end launch alone holds. Should launch die, however, the pipe ends; then the helper kills
// the process groups that it knows of. When launch ends in good order, it ends the helper.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "comm/error.h"
#include "comm/util/fd.h"

namespace ringside::tools {

class Reaper {
 public:
  // Throws Error{system}.
  Reaper() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_system("cannot make a pipe");
    const UniqueFd read_end(ends[0]);
    write_end_ = UniqueFd(ends[1]);
    helper_ = ::fork();
    if (helper_ < 0) throw_system("cannot start a process");
    if (helper_ != 0) return;
    write_end_ = UniqueFd();  // or the pipe would never end
    watch(read_end.get());
  }
  ~Reaper() {
    ::kill(helper_, SIGKILL);
    ::waitpid(helper_, nullptr, 0);
  }
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  void add_group(pid_t group) const {
    [[maybe_unused]] const ssize_t written = ::write(write_end_.get(), &group, sizeof group);
  }

 private:
  [[noreturn]] static void watch(int read_end) {
    ::prctl(PR_SET_NAME, "launch-helper");
    // Out of launch's group and session: what is sent to these (Ctrl-C, a kill -9 of the whole
    // group) is what the helper is there to outlive.
    ::setsid();
    std::vector<pid_t> groups;
    for (pid_t group = 0;;) {
      const ssize_t got = ::read(read_end, &group, sizeof group);
      if (got == sizeof group)
        groups.push_back(group);
      else if (got >= 0 || errno != EINTR)
        break;
    }
    for (const pid_t group : groups) ::kill(-group, SIGKILL);
    ::_exit(0);
  }

  pid_t helper_ = -1;
  UniqueFd write_end_;
};

}  // namespace ringside::tools
