// One rank's process, from fork() to its last trace.
//
// Why fork() and exec() and not posix_spawn(): the child must ask the kernel to be killed when
// launch dies (PR_SET_PDEATHSIG), and only the child itself can. launch has one thread, so nothing
// is half done at the time of the fork.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace ringside::tools {

// What a rank is started with. Descriptors are the caller's; -1: inherit launch's.
struct RankPlan {
  char** program;                        // argv
  std::vector<std::string> environment;  // NAME=value
  int in = -1, out = -1, err = -1;
  sigset_t signal_mask;  // launch's own, as it was before launch blocked some
};

// The environment of rank `rank` of `ranks`: this process's, without what another launcher has set,
// and with what this one sets.
std::vector<std::string> environment_of(int rank, int ranks, int port, const std::string& secret);

class RankProcess {
 public:
  // Starts it, and returns when exec() has succeeded, or has not: then `error` is its errno.
  // Throws Error{system} if there cannot be one more process.
  RankProcess(int rank, const RankPlan& plan, int& error);

  // Kills what is left of it and of its process group, and reaps it.
  ~RankProcess();
  RankProcess(const RankProcess&) = delete;
  RankProcess& operator=(const RankProcess&) = delete;

  int rank() const { return rank_; }
  pid_t pid() const { return pid_; }

  // Whether it has ended; looks, and does not wait. The process stays a zombie until the destructor
  // reaps it: so its pid, which is also its group's, cannot come to mean another's meanwhile.
  bool has_ended();
  bool was_killed() const { return ended_ && end_.si_code != CLD_EXITED; }
  int status() const;                // 128 + the signal if one killed it
  std::string how_it_ended() const;  // "was killed by signal 9 (Killed)", "exited with status 3"

  // To all of its process group.
  void signal_group(int signal) const;

 private:
  int rank_;
  pid_t pid_ = -1;
  bool ended_ = false;
  siginfo_t end_{};
};

}  // namespace ringside::tools
