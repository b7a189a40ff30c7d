// Blocking signals and reading them; why, see signal_reader.h.
#include "tools/launcher/signal_reader.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include "comm/error.h"

namespace ringside::tools {
namespace {

// A signal that is blocked and ignored would still be read: the kernel keeps it for the case that
// somebody stops ignoring it.
bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

SignalReader::SignalReader() {
  // Somebody who ignores SIGCHLD cannot ask how a child has ended.
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t taken;
  sigemptyset(&taken);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD})
    if (!is_ignored(signal)) sigaddset(&taken, signal);
  fd_ = UniqueFd(::signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd_) throw_system("cannot listen to signals");
  for (const int signal : {SIGPIPE, SIGTTIN, SIGTTOU}) sigaddset(&taken, signal);
  ::sigprocmask(SIG_BLOCK, &taken, &before_);
}

std::optional<SignalReader::Arrival> SignalReader::next() const {
  signalfd_siginfo info;
  if (::read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info))
    return std::nullopt;
  return Arrival{static_cast<int>(info.ssi_signo), static_cast<pid_t>(info.ssi_pid)};
}

}  // namespace ringside::tools
