// A terminal for rank 0 to read from, handed on through a pipe.
//
// Each rank leads a process group, and only the group in the foreground may read from its terminal:
// a rank that tried would be stopped (SIGTTIN). launch's own group is the one in the foreground, so
// launch reads and passes on, as mpirun does. Any other stdin rank 0 just inherits.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "comm/error.h"
#include "comm/util/fd.h"

namespace ringside::tools {

class TerminalStdin {
 public:
  // Does nothing if stdin is no terminal.
  TerminalStdin() {
    if (::isatty(STDIN_FILENO) == 0) return;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_system("cannot make a pipe");
    read_end_ = UniqueFd(ends[0]);
    write_end_ = UniqueFd(ends[1]);
    ::fcntl(write_end_.get(), F_SETFL, O_NONBLOCK);
  }

  // The end that rank 0 gets as its stdin, or -1: inherit.
  int for_rank_0() const { return read_end_.get(); }
  void rank_0_has_it() { read_end_ = UniqueFd(); }

  // What to poll for, and the work to do after.
  void add_to(std::vector<pollfd>& waiting) const {
    if (!write_end_) return;
    // Without POLLOUT this only reports that nobody reads any more.
    waiting.push_back({write_end_.get(), static_cast<short>(typed_.empty() ? 0 : POLLOUT), 0});
    if (typed_.empty() && in_foreground()) waiting.push_back({STDIN_FILENO, POLLIN, 0});
  }

  void step() {
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

  // While launch runs in the background it has to look now and then whether it still does.
  bool wants_to_look_again() const { return write_end_ && !in_foreground(); }

 private:
  static bool in_foreground() { return ::tcgetpgrp(STDIN_FILENO) == ::getpgrp(); }

  UniqueFd read_end_, write_end_;
  std::string typed_;  // and not yet passed on
};

}  // namespace ringside::tools
