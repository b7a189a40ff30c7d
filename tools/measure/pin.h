// Each rank on a core of its own while it is measured. Without that two ranks may sit on one core,
// and times are those of the scheduler.
#pragma once

#include <sched.h>

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

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
  // Collective. Delegates, so that the destructor runs if a rank fails meanwhile.
  explicit CoreBinding(Communicator& comm) : CoreBinding() {
    const std::vector<RankInfo> ranks = comm.ranks();
    const std::string& host = ranks[static_cast<std::size_t>(comm.rank())].host;
    int on_host = 0, before_me = 0;
    for (const RankInfo& it : ranks) {
      on_host += it.host == host;
      before_me += it.host == host && it.rank < comm.rank();
    }
    cpu_set_t allowed, one;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) >= on_host) {
      CPU_ZERO(&one);
      CPU_SET(core_at(allowed, before_me), &one);
      if (::sched_setaffinity(0, sizeof one, &one) == 0) before_ = allowed;
    }
    own_cores_ = all_have_their_own(comm);
  }
  ~CoreBinding() {
    if (before_) ::sched_setaffinity(0, sizeof *before_, &*before_);
  }
  CoreBinding(const CoreBinding&) = delete;
  CoreBinding& operator=(const CoreBinding&) = delete;

  // Whether every rank has one core, and no other rank of its host has that core. All ranks agree.
  bool own_cores() const { return own_cores_; }

 private:
  static constexpr int kNone = -1;

  CoreBinding() = default;

  // The core number `index` of those in the set, counted from 0.
  static int core_at(const cpu_set_t& cores, int index) {
    for (int core = 0; core < CPU_SETSIZE; ++core)
      if (CPU_ISSET(core, &cores) && index-- == 0) return core;
    return kNone;
  }

  // The only core on which this thread may run, if there is only one.
  static int only_core() {
    cpu_set_t cores;
    if (::sched_getaffinity(0, sizeof cores, &cores) != 0 || CPU_COUNT(&cores) != 1) return kNone;
    return core_at(cores, 0);
  }

  static bool all_have_their_own(Communicator& comm) {
    const int mine = only_core();
    std::vector<int> cores(static_cast<std::size_t>(comm.size()));
    comm.all_gather(&mine, cores.data(), 1, DType::i32);
    std::set<std::pair<std::string, int>> taken;
    for (const RankInfo& it : comm.ranks()) {
      const int core = cores[static_cast<std::size_t>(it.rank)];
      if (core == kNone || !taken.insert({it.host, core}).second) return false;
    }
    return true;
  }

  std::optional<cpu_set_t> before_;  // where this thread might run, if it was bound here
  bool own_cores_ = false;
};

}  // namespace ringside::tools
