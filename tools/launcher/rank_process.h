// One rank's process, from fork() to its last trace.
//
// Why fork() and exec() and not posix_spawn(): the child must ask the kernel to be killed when
// launch dies (PR_SET_PDEATHSIG), and only the child itself can. launch has one thread, so nothing
// is half done at the time of the fork.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "comm/error.h"
#include "comm/util/fd.h"
#include "tools/launcher/reaper.h"

extern char** environ;

namespace ringside::tools {

// What a rank is started with. Descriptors are the caller's; -1: inherit launch's.
struct RankPlan {
  char** program;                        // argv
  int ranks;                             // of the job
  std::vector<std::string> environment;  // NAME=value
  int in = -1, out = -1, err = -1;
  const Reaper& reaper;  // shall know its group
  sigset_t signal_mask;  // launch's own, as it was before launch blocked some
};

// Whether a variable marks a program as a rank of another launcher.
inline bool belongs_to_another_launcher(std::string_view entry) {
  if (entry.starts_with("OMPI_ALLOW_RUN_AS_ROOT")) return false;  // a permission, not a place
  return entry.starts_with("OMPI_") || entry.starts_with("PMI") ||
         entry.starts_with("RINGSIDE_BOOTSTRAP=") || entry.starts_with("TORCHELASTIC_") ||
         entry.starts_with("RINGSIDE_PORT=") || entry.starts_with("RINGSIDE_SECRET_FILE=");
}

// The environment of rank `rank` of `ranks`: this process's, without what another launcher has set,
// and with what this one sets.
inline std::vector<std::string> environment_of(int rank, int ranks, int port,
                                               const std::string& secret) {
  const std::vector<std::string> ours = {
      text("RANK=%d", rank),        text("LOCAL_RANK=%d", rank),
      text("WORLD_SIZE=%d", ranks), text("LOCAL_WORLD_SIZE=%d", ranks),
      "MASTER_ADDR=127.0.0.1",      text("MASTER_PORT=%d", port),
      "RINGSIDE_SECRET=" + secret};
  std::vector<std::string> all = ours;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view name(*entry, std::strcspn(*entry, "=") + 1);
    bool hidden = belongs_to_another_launcher(*entry);
    for (const std::string& set : ours) hidden |= set.starts_with(name);
    if (!hidden) all.emplace_back(*entry);
  }
  return all;
}

class RankProcess {
 public:
  // Starts it, and returns when exec() has succeeded, or has not: then `error` is its errno.
  // Throws Error{system} if there cannot be one more process.
  RankProcess(int rank, const RankPlan& plan, int& error) : rank_(rank) {
    // exec() closes the child's end; only if it fails is there something to read.
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_system("cannot make a pipe");
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    const std::vector<char*> environment = pointers_to(plan.environment);
    const pid_t launch = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0)
      throw_system(text("cannot start rank %d of a job of %d, which takes at least %d processes",
                        rank, plan.ranks, plan.ranks + 2));
    if (pid_ == 0) {
      become(plan, launch, const_cast<char**>(environment.data()));
      const int why = errno;
      [[maybe_unused]] const ssize_t written = ::write(write_end.get(), &why, sizeof why);
      ::_exit(127);
    }
    // The child does this too; whoever is first, it is done before either goes on.
    ::setpgid(pid_, pid_);
    write_end = UniqueFd();
    error = 0;
    while (::read(read_end.get(), &error, sizeof error) < 0 && errno == EINTR) continue;
  }

  // Kills what is left of it and of its process group, and reaps it.
  ~RankProcess() {
    signal_group(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  RankProcess(const RankProcess&) = delete;
  RankProcess& operator=(const RankProcess&) = delete;

  int rank() const { return rank_; }
  pid_t pid() const { return pid_; }

  // Whether it has ended; looks, and does not wait. The process stays a zombie until the destructor
  // reaps it: so its pid, which is also its group's, cannot come to mean another's meanwhile.
  bool has_ended() {
    if (ended_) return true;
    end_.si_pid = 0;
    const int found = ::waitid(P_PID, static_cast<id_t>(pid_), &end_, WEXITED | WNOHANG | WNOWAIT);
    ended_ = found == 0 && end_.si_pid == pid_;
    return ended_;
  }
  bool was_killed() const { return ended_ && end_.si_code != CLD_EXITED; }
  // 128 + the signal if one killed it.
  int status() const { return end_.si_code == CLD_EXITED ? end_.si_status : 128 + end_.si_status; }
  // "was killed by signal 9 (Killed)", "exited with status 3"
  std::string how_it_ended() const {
    if (end_.si_code == CLD_EXITED) return text("exited with status %d", end_.si_status);
    return text("was killed by signal %d (%s)", end_.si_status, ::strsignal(end_.si_status));
  }

  // To all of its process group.
  void signal_group(int signal) const { ::kill(-pid_, signal); }

 private:
  static std::vector<char*> pointers_to(const std::vector<std::string>& words) {
    std::vector<char*> pointers;
    for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    return pointers;
  }

  // In the child, from here to exec().
  static void become(const RankPlan& plan, pid_t launch, char** environment) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // If launch has died before that call nobody will send the signal any more.
    if (::getppid() != launch) ::_exit(127);
    plan.reaper.add_group(::getpid());
    if (plan.in >= 0) ::dup2(plan.in, STDIN_FILENO);
    if (plan.out >= 0) ::dup2(plan.out, STDOUT_FILENO);
    if (plan.err >= 0) ::dup2(plan.err, STDERR_FILENO);
    // launch's handlers do nothing, and would take in vain what comes before exec().
    for (int signal = 1; signal < NSIG; ++signal) {
      struct sigaction action {};
      ::sigaction(signal, nullptr, &action);
      if (action.sa_handler != SIG_IGN) ::signal(signal, SIG_DFL);
    }
    ::sigprocmask(SIG_SETMASK, &plan.signal_mask, nullptr);
    ::execvpe(plan.program[0], plan.program, environment);
  }

  int rank_;
  pid_t pid_ = -1;
  bool ended_ = false;
  siginfo_t end_{};
};

}  // namespace ringside::tools
