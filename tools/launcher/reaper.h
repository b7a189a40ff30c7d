// Who cleans up when launch itself is killed with kill -9?
//
// The kernel kills the ranks (PR_SET_PDEATHSIG), but not what they have started: a script's program
// would live on. So launch has a helper: a process that does nothing but read from a pipe whose
// other end launch alone holds. Should launch die, however, the pipe ends; then the helper kills
// the process groups that it knows of. When launch ends in good order, it ends the helper.
#pragma once

#include <sys/types.h>

#include "comm/util/fd.h"

namespace ringside::tools {

class Reaper {
 public:
  Reaper();  // Throws Error{system}.
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  void add_group(pid_t group) const;

 private:
  pid_t helper_ = -1;
  UniqueFd write_end_;
};

}  // namespace ringside::tools
