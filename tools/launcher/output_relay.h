// What ranks print, passed on line by line with the rank before each:
//
//     rank 0 ──pipe──▶ ┐  whole lines  ┌───────┐  as much as     stdout
//     rank 1 ──pipe──▶ ┼─────────────▶ │ queue │ ─the reader──▶  (or stderr)
//     rank 2 ──pipe──▶ ┘  "[1] ..."    └───────┘  takes
//
// Never blocks: a reader who takes nothing (a pager, say) fills the queue, then the pipes, and then
// holds up the ranks, as he would without launch; but not launch itself, which still has signals to
// pass on.
#pragma once

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "comm/error.h"
#include "comm/util/fd.h"

namespace ringside::tools {

class LineRelay {
 public:
  explicit LineRelay(int target) : target_(target) {}

  // From now on `source` (a non-blocking pipe) is read.
  void add(int rank, UniqueFd source) { sources_.push_back({rank, std::move(source), ""}); }

  // Puts a line of launch's own among the others.
  void say(const std::string& line) { queue_ += line; }

  // What to poll for, and the work to do after: all that can be done without waiting.
  void add_to(std::vector<pollfd>& waiting) const {
    for (const Source& source : sources_)
      if (has_room() && source.pipe) waiting.push_back({source.pipe.get(), POLLIN, 0});
    if (!queue_.empty()) waiting.push_back({target_, POLLOUT, 0});
  }
  void step() {
    for (Source& source : sources_)
      if (has_room() && source.pipe) read(source);
    write();
  }

  // All ranks have ended: takes what is left in the pipes, and the last lines without an end.
  void finish() {
    for (Source& source : sources_) {
      // Not until the end: a process that has left its rank's group may keep the pipe open.
      for (int i = 0; i < kPiecesInPipe && source.pipe; ++i) read(source);
      source.pipe = UniqueFd();
      if (!source.line.empty()) queue_line(source, "");
    }
  }
  bool is_empty() const { return queue_.empty(); }

 private:
  // More is not read before some of it is written.
  static constexpr std::size_t kQueueBytes = 64 << 10;
  static constexpr std::size_t kLineBytes = 64 << 10;  // a longer line is passed on in pieces
  static constexpr std::size_t kPieceBytes = 4096;
  static constexpr int kPiecesInPipe = 64;  // no more than that fits into a pipe

  struct Source {
    int rank;
    UniqueFd pipe;
    std::string line;  // the beginning of one
  };

  bool has_room() const { return queue_.size() < kQueueBytes; }

  void read(Source& source) {
    char piece[kPieceBytes];
    const ssize_t got = ::read(source.pipe.get(), piece, sizeof piece);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
      source.pipe = UniqueFd();
      if (!source.line.empty()) queue_line(source, "");
    }
    if (got <= 0) return;
    std::string_view rest(piece, static_cast<std::size_t>(got));
    for (std::size_t end; (end = rest.find('\n')) != std::string_view::npos;) {
      queue_line(source, rest.substr(0, end));
      rest.remove_prefix(end + 1);
    }
    source.line += rest;
    if (source.line.size() >= kLineBytes) queue_line(source, "");
  }

  // `line` is the rest of what source.line began.
  void queue_line(Source& source, std::string_view line) {
    if (!target_gone_) {
      queue_ += text("[%d] ", source.rank);
      queue_ += source.line;
      queue_ += line;
      queue_ += '\n';
    }
    source.line.clear();
  }

  void write() {
    while (!queue_.empty()) {
      // A pipe that is ready takes PIPE_BUF bytes without blocking. (O_NONBLOCK would do as well,
      // but it would hold for everybody who shares this stdout.) Lines are kept together where they
      // fit, since the other stream may go to the same place.
      pollfd ready{target_, POLLOUT, 0};
      if (::poll(&ready, 1, 0) <= 0) return;
      std::size_t bytes = std::min<std::size_t>(queue_.size(), PIPE_BUF);
      const std::size_t end = queue_.rfind('\n', bytes - 1);
      if (end != std::string::npos) bytes = end + 1;
      const ssize_t written = ::write(target_, queue_.data(), bytes);
      if (written < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (written < 0) {
        // Nobody reads any more (launch | head). Closing the pipes ends the ranks as they
        // would have ended without launch: by SIGPIPE.
        target_gone_ = true;
        for (Source& source : sources_) source.pipe = UniqueFd();
        queue_.clear();
        return;
      }
      queue_.erase(0, static_cast<std::size_t>(written));
    }
  }

  const int target_;
  bool target_gone_ = false;
  std::vector<Source> sources_;
  std::string queue_;
};

}  // namespace ringside::tools
