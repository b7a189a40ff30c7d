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
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/error.h"
#include "comm/util/fd.h"

namespace ringside::tools {

// Whether two descriptors lead to one place (2>&1).
inline bool same_place(int a, int b) {
  struct stat one {
  }, other{};
  return ::fstat(a, &one) == 0 && ::fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

class LineRelay {
 public:
  // `in_line`: which relay has begun a line at the target, and has not ended it. Relays to one
  // place share it, so that a line stays whole that takes more than one write.
  LineRelay(int target, const LineRelay*& in_line) : target_(target), in_line_(in_line) {}

  // From now on `source` (a non-blocking pipe) is read.
  void add(int rank, UniqueFd source) { sources_.push_back({rank, std::move(source), ""}); }

  // Puts a line of launch's own among the others.
  void say(const std::string& line) { queue_ += line; }

  // What to poll for, and the work to do after: all that can be done without waiting.
  void add_to(std::vector<pollfd>& waiting) const {
    for (const Source& source : sources_)
      if (has_room() && source.pipe) waiting.push_back({source.pipe.get(), POLLIN, 0});
    if (may_write()) waiting.push_back({target_, POLLOUT, 0});
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

  // Why the target took no more, as an errno; 0 while it does. EPIPE: nobody reads any more.
  int failure() const { return failure_; }

 private:
  // More is not read before some of it is written.
  static constexpr std::size_t kQueueBytes = 64 << 10;
  static constexpr std::size_t kLineBytes = 16 << 20;  // a longer line is passed on in pieces
  static constexpr std::size_t kPieceBytes = 4096;
  static constexpr int kPiecesInPipe = 64;  // no more than that fits into a pipe

  struct Source {
    int rank;
    UniqueFd pipe;
    std::string line;  // the beginning of one
  };

  bool has_room() const { return queue_.size() - written_ < kQueueBytes; }
  bool may_write() const { return !queue_.empty() && (in_line_ == nullptr || in_line_ == this); }

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
    if (failure_ == 0) {
      queue_ += text("[%d] ", source.rank);
      queue_ += source.line;
      queue_ += line;
      queue_ += '\n';
    }
    source.line.clear();
  }

  void write() {
    while (may_write()) {
      // A pipe that is ready takes PIPE_BUF bytes without blocking. (O_NONBLOCK would do as well,
      // but it would hold for everybody who shares this stdout.)
      pollfd ready{target_, POLLOUT, 0};
      if (::poll(&ready, 1, 0) <= 0) return;
      // Whole lines where they fit: others may write to the same place.
      const std::string_view rest = std::string_view(queue_).substr(written_, PIPE_BUF);
      const std::size_t end = rest.rfind('\n');
      const std::size_t bytes = end == std::string_view::npos ? rest.size() : end + 1;
      const ssize_t now = ::write(target_, rest.data(), bytes);
      if (now < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (now < 0) return give_up(errno);
      written_ += static_cast<std::size_t>(now);
      in_line_ = queue_[written_ - 1] == '\n' ? nullptr : this;
      if (written_ < queue_.size() / 2) continue;  // what is written goes in large pieces
      queue_.erase(0, std::exchange(written_, 0));
    }
  }

  // Nobody reads any more (launch | head), or a disk is full. Closing the pipes ends the ranks as
  // they would have ended without launch: by SIGPIPE.
  void give_up(int error) {
    failure_ = error;
    if (in_line_ == this) in_line_ = nullptr;
    for (Source& source : sources_) source.pipe = UniqueFd();
    queue_.clear();
    written_ = 0;
  }

  const int target_;
  const LineRelay*& in_line_;
  int failure_ = 0;
  std::vector<Source> sources_;
  std::string queue_;
  std::size_t written_ = 0;  // of it
};

}  // namespace ringside::tools
