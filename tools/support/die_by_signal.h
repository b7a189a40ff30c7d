// Ending as a signal ends a program that has not heard of it.
//
// Who was told to stop by Ctrl-C, cleans up and then returns a status of his own is taken by a
// shell for somebody who has dealt with it: the loop around him goes on.
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

namespace ringside::tools {

[[noreturn]] inline void die_by_signal(int signal) {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::signal(signal, SIG_DFL);
  sigset_t it;
  sigemptyset(&it);
  sigaddset(&it, signal);
  ::sigprocmask(SIG_UNBLOCK, &it, nullptr);
  ::raise(signal);
  ::_exit(128 + signal);  // the first process of a container is not ended by signals
}

}  // namespace ringside::tools
