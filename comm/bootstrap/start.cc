// Choosing among the bootstraps.
#include "comm/bootstrap/start.h"

#include <sys/resource.h>

#include <cstdlib>
#include <cstring>

#include "comm/bootstrap/mpi.h"
#include "comm/bootstrap/tcp.h"
#include "comm/error.h"
#include "comm/options.h"

namespace ringside {
namespace {

class LoneBootstrap : public Bootstrap {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  const char* name() const override { return "alone"; }
  void all_gather_bytes(const void* mine, std::size_t bytes, void* all, Deadline) override {
    if (bytes > 0) std::memcpy(all, mine, bytes);
  }
};

std::unique_ptr<Bootstrap> start_tcp(const std::atomic<int>* interrupted) {
  TcpOptions options = TcpOptions::from_environment();
  options.interrupted = interrupted;
  check_open_files(options.size);
  return TcpBootstrap::start(options,
                             Deadline::after_seconds(Options::from_environment().timeout_s));
}

// Whether the launcher has started more ranks than this one, as far as it says.
bool launched_with_others() {
  const auto number = [](const char* variable) {
    const char* value = std::getenv(variable);
    return value == nullptr ? 0 : std::atoi(value);
  };
  for (const char* size : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    if (number(size) > 1) return true;
  for (const char* rank : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"})
    if (number(rank) > 0) return true;
  return false;
}

// Each rank by itself would be a world of one, and all results would be wrong: better none.
std::unique_ptr<Bootstrap> start_mpi() {
  std::unique_ptr<Bootstrap> bootstrap = MpiBootstrap::start();
  if (bootstrap->size() == 1 && launched_with_others())
    throw Error(
        Fault::usage,
        "the launcher started several ranks, but the MPI that ringside was built with knows "
        "of one: they are of different kinds; use that MPI's own mpirun, or "
        "tools/launch (installed as ringside-launch)");
  return bootstrap;
}

}  // namespace

Launcher launcher() {
  if (started_by_environment()) return Launcher::environment;
  // OpenMPI, MPICH and its kin (Hydra), Slurm with PMIx.
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMIX_RANK"})
    if (std::getenv(variable) != nullptr) return Launcher::mpi;
  return Launcher::none;
}

void check_open_files(int ranks) {
  constexpr rlim_t kOthers = 8;
  const rlim_t needed = 2 * static_cast<rlim_t>(ranks) + kOthers;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return;
  throw_error(Fault::usage,
              "%d ranks open up to %llu files each to start, and %llu are allowed: "
              "say ulimit -n %llu or more first",
              ranks, static_cast<unsigned long long>(needed),
              static_cast<unsigned long long>(limit.rlim_cur),
              static_cast<unsigned long long>(needed));
}

std::unique_ptr<Bootstrap> start_bootstrap(const std::atomic<int>* interrupted) {
  switch (launcher()) {
    case Launcher::environment:
      return start_tcp(interrupted);
    case Launcher::mpi:
      return start_mpi();
    case Launcher::none:
      break;
  }
  return std::make_unique<LoneBootstrap>();
}

}  // namespace ringside
