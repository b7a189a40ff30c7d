// Each rank on a core of its own while it is measured. Without that two ranks may sit on one core,
// and times are those of the scheduler.
#pragma once

#include <sched.h>

#include <optional>

#include "comm/communicator.h"

namespace ringside::tools {

// Binds the calling thread, which is a rank, for as long as this object lives; then the thread may
// run where it might before. The ranks of a host that may all use the same cores get one each, in
// their order. Ranks that a launcher has bound already (mpirun does) stay where they are, and where
// ranks outnumber cores nobody is bound.
//
// Only this thread: those that the library has started already run where they did, and those that
// are started meanwhile (for asynchronous calls) inherit this core.
class CoreBinding {
 public:
  // Collective.
  explicit CoreBinding(Communicator& comm);
  ~CoreBinding();
  CoreBinding(const CoreBinding&) = delete;
  CoreBinding& operator=(const CoreBinding&) = delete;

  // Whether every rank has one core, and no other rank of its host has that core. All ranks agree.
  bool own_cores() const { return own_cores_; }

 private:
  CoreBinding() = default;

  std::optional<cpu_set_t> before_;  // where this thread might run, if it was bound here
  bool own_cores_ = false;
};

}  // namespace ringside::tools
