// The signals that a program reads from a descriptor, one after another, instead of being
// interrupted by them anywhere.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <optional>

#include "comm/util/fd.h"

namespace ringside::tools {

class SignalReader {
 public:
  // Takes over SIGINT, SIGTERM, SIGHUP, SIGUSR1 (each unless it is ignored: nohup means what it
  // says) and SIGCHLD. Blocks SIGPIPE, SIGTTIN and SIGTTOU too: errno reports the same.
  SignalReader();

  // Readable when there is a signal.
  int fd() const { return fd_.get(); }

  struct Arrival {
    int signal;
    pid_t child;  // SIGCHLD: the first that has ended since the last one was read; maybe not alone
  };
  std::optional<Arrival> next() const;

  // What was blocked before, which is what children should start with.
  const sigset_t& mask_before() const { return before_; }

 private:
  UniqueFd fd_;
  sigset_t before_{};
};

}  // namespace ringside::tools
