// A terminal for rank 0 to read from, handed on through a pipe.
//
// Each rank leads a process group, and only the group in the foreground may read from its terminal:
// a rank that tried would be stopped (SIGTTIN). launch's own group is the one in the foreground, so
// launch reads and passes on, as mpirun does. Any other stdin rank 0 just inherits.
#pragma once

#include <poll.h>

#include <string>
#include <vector>

#include "comm/util/fd.h"

namespace ringside::tools {

class TerminalStdin {
 public:
  // Does nothing if stdin is no terminal.
  TerminalStdin();

  // The end that rank 0 gets as its stdin, or -1: inherit.
  int for_rank_0() const { return read_end_.get(); }
  void rank_0_has_it() { read_end_ = UniqueFd(); }

  // What to poll for, and the work to do after.
  void add_to(std::vector<pollfd>& waiting) const;
  void step();

  // While launch runs in the background it has to look now and then whether it still does.
  bool wants_to_look_again() const { return write_end_ && !in_foreground(); }

 private:
  static bool in_foreground();

  UniqueFd read_end_, write_end_;
  std::string typed_;  // and not yet passed on
};

}  // namespace ringside::tools
