// The signals that a program reads from a descriptor, one after another, instead of being
// interrupted by them anywhere.
#pragma once

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <optional>

#include "comm/error.h"
#include "comm/util/fd.h"

namespace ringside::tools {

class SignalReader {
 public:
  // Takes over what ends a program, SIGUSR1 and SIGUSR2, SIGTSTP and SIGCONT (each unless it is
  // ignored: nohup means what it says) and SIGCHLD. Blocks SIGPIPE, SIGXFSZ, SIGTTIN and SIGTTOU
  // too: errno reports the same.
  SignalReader() {
    // Somebody who ignores SIGCHLD cannot ask how a child has ended.
    ::signal(SIGCHLD, SIG_DFL);
    sigset_t taken;
    sigemptyset(&taken);
    for (const int signal :
         {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT, SIGCHLD})
      if (!is_ignored(signal)) take(signal, taken);
    fd_ = UniqueFd(::signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd_) throw_system("cannot listen to signals");
    for (const int signal : {SIGPIPE, SIGXFSZ, SIGTTIN, SIGTTOU}) sigaddset(&taken, signal);
    ::sigprocmask(SIG_BLOCK, &taken, &before_);
  }

  // Readable when there is a signal.
  int fd() const { return fd_.get(); }

  struct Arrival {
    int signal;
    pid_t child;  // SIGCHLD: the first that has ended since the last one was read; maybe not alone
  };
  std::optional<Arrival> next() const {
    signalfd_siginfo info;
    if (::read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info))
      return std::nullopt;
    return Arrival{static_cast<int>(info.ssi_signo), static_cast<pid_t>(info.ssi_pid)};
  }

  // What was blocked before, which is what children should start with.
  const sigset_t& mask_before() const { return before_; }

 private:
  // It also gets a handler, which is never called as the signal is blocked: another launch, whose
  // rank this one is, looks who has one (group_members.h).
  static void take(int signal, sigset_t& taken) {
    sigaddset(&taken, signal);
    if (signal != SIGCHLD) ::signal(signal, [](int) {});
  }

  // A signal that is blocked and ignored would still be read: the kernel keeps it for the case that
  // somebody stops ignoring it.
  static bool is_ignored(int signal) {
    struct sigaction action {};
    return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
  }

  UniqueFd fd_;
  sigset_t before_{};
};

}  // namespace ringside::tools
