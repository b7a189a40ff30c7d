// Reading from the terminal only while launch may, and writing only what rank 0 takes; the reason
// is in terminal_stdin.h.
#include "tools/launcher/terminal_stdin.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "comm/error.h"

namespace ringside::tools {

TerminalStdin::TerminalStdin() {
  if (::isatty(STDIN_FILENO) == 0) return;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_system("cannot make a pipe");
  read_end_ = UniqueFd(ends[0]);
  write_end_ = UniqueFd(ends[1]);
  ::fcntl(write_end_.get(), F_SETFL, O_NONBLOCK);
}

bool TerminalStdin::in_foreground() { return ::tcgetpgrp(STDIN_FILENO) == ::getpgrp(); }

void TerminalStdin::add_to(std::vector<pollfd>& waiting) const {
  if (!write_end_) return;
  // Without POLLOUT this only reports that nobody reads any more.
  waiting.push_back({write_end_.get(), static_cast<short>(typed_.empty() ? 0 : POLLOUT), 0});
  if (typed_.empty() && in_foreground()) waiting.push_back({STDIN_FILENO, POLLIN, 0});
}

void TerminalStdin::step() {
  if (!write_end_) return;
  pollfd ready[2] = {{write_end_.get(), POLLOUT, 0}, {STDIN_FILENO, POLLIN, 0}};
  ::poll(ready, 2, 0);
  bool ended = (ready[0].revents & POLLERR) != 0;
  if (typed_.empty() && ready[1].revents != 0 && in_foreground()) {
    char line[1024];
    const ssize_t got = ::read(STDIN_FILENO, line, sizeof line);
    if (got > 0) typed_.assign(line, static_cast<std::size_t>(got));
    ended |= got == 0;  // Ctrl-D
    // EIO: the terminal is gone, or launch is in the background since a moment ago.
    ended |= got < 0 && errno != EINTR && errno != EAGAIN && in_foreground();
  }
  if (!typed_.empty()) {
    const ssize_t taken = ::write(write_end_.get(), typed_.data(), typed_.size());
    if (taken > 0) typed_.erase(0, static_cast<std::size_t>(taken));
    ended |= taken < 0 && errno == EPIPE;
  }
  if (ended) write_end_ = UniqueFd();
}

}  // namespace ringside::tools
