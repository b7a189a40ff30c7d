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

#include <poll.h>

#include <string>
#include <vector>

#include "comm/util/fd.h"

namespace ringside::tools {

class LineRelay {
 public:
  explicit LineRelay(int target) : target_(target) {}

  // From now on `source` (a non-blocking pipe) is read.
  void add(int rank, UniqueFd source);

  // Puts a line of launch's own among the others.
  void say(const std::string& line) { queue_ += line; }

  // What to poll for, and the work to do after: all that can be done without waiting.
  void add_to(std::vector<pollfd>& waiting) const;
  void step();

  // All ranks have ended: takes what is left in the pipes, and the last lines without an end.
  void finish();
  bool is_empty() const { return queue_.empty(); }

 private:
  struct Source {
    int rank;
    UniqueFd pipe;
    std::string line;  // the beginning of one
  };

  void read(Source& source);
  void queue_line(Source& source, std::string_view line);
  void write();
  bool has_room() const;

  const int target_;
  bool target_gone_ = false;
  std::vector<Source> sources_;
  std::string queue_;
};

}  // namespace ringside::tools
