// Choosing a core by counting, and asking everybody what came of it.
#include "tools/measure/pin.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace ringside::tools {
namespace {

constexpr int kNone = -1;

// The core number `index` of those in the set, counted from 0.
int core_at(const cpu_set_t& cores, int index) {
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &cores) && index-- == 0) return core;
  return kNone;
}

// The only core on which this thread may run, if there is only one.
int only_core() {
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0 || CPU_COUNT(&cores) != 1) return kNone;
  return core_at(cores, 0);
}

bool all_have_their_own(Communicator& comm) {
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

}  // namespace

// Delegates, so that the destructor runs if a rank fails meanwhile.
CoreBinding::CoreBinding(Communicator& comm) : CoreBinding() {
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

CoreBinding::~CoreBinding() {
  if (before_) ::sched_setaffinity(0, sizeof *before_, &*before_);
}

}  // namespace ringside::tools
