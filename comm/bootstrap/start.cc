// Choosing among the bootstraps.
#include "comm/bootstrap/start.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <optional>
#include <string_view>

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
  const Options others = Options::from_environment();
  options.interrupted = interrupted;
  check_open_files(options.size);
  options.warn_s = others.warn_s;
  return TcpBootstrap::start(options, Deadline::after_seconds(others.timeout_s));
}

// What a launcher says of a rank, in variables of its own.
struct Claim {
  const char* rank;
  const char* size;
};
constexpr Claim kEnvironment = {"RANK", "WORLD_SIZE"};
// OpenMPI, MPICH and its kin (Hydra), Slurm with PMIx.
constexpr Claim kMpi[] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                          {"PMI_RANK", "PMI_SIZE"},
                          {"PMIX_RANK", nullptr}};
// A step of srun, and a job: neither helps its ranks to meet.
constexpr Claim kSlurmStep = {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"};
constexpr Claim kSlurmJob = {"SLURM_PROCID", "SLURM_NTASKS"};

const char* value_of(const char* variable) {
  return variable == nullptr ? nullptr : std::getenv(variable);
}

bool is_made(const Claim& it) {
  return value_of(it.rank) != nullptr || value_of(it.size) != nullptr;
}

// "RANK=0 WORLD_SIZE=2"
std::string words_of(const Claim& it) {
  std::string words;
  for (const char* variable : {it.rank, it.size})
    if (const char* value = value_of(variable))
      words += (words.empty() ? "" : " ") + text("%s=%s", variable, value);
  return words;
}

bool contradict(const Claim& a, const Claim& b) {
  const auto differ = [](const char* x, const char* y) {
    return x != nullptr && y != nullptr && std::strcmp(x, y) != 0;
  };
  return differ(value_of(a.rank), value_of(b.rank)) || differ(value_of(a.size), value_of(b.size));
}

// Whether there are more ranks than this one, as far as it says.
bool claims_others(const Claim& it) {
  const auto number = [](const char* variable) {
    const char* value = value_of(variable);
    return value == nullptr ? 0 : std::atoi(value);
  };
  return number(it.size) > 1 || number(it.rank) > 0;
}

bool launched_with_others() {
  return std::any_of(std::begin(kMpi), std::end(kMpi), claims_others) || claims_others(kSlurmStep);
}

constexpr const char* kHowToChoose =
    "RINGSIDE_BOOTSTRAP chooses: tcp for ranks that meet at MASTER_ADDR and MASTER_PORT, mpi for "
    "mpirun's, alone for a world of one";

[[noreturn]] void refuse(const std::string& what) {
  throw Error(Fault::usage, what + ". " + kHowToChoose);
}

// By RINGSIDE_BOOTSTRAP; nothing if it is not set.
std::optional<Launcher> chosen_launcher() {
  const char* choice = std::getenv("RINGSIDE_BOOTSTRAP");
  if (choice == nullptr) return std::nullopt;
  const std::string_view name = choice;
  if (name == "tcp") return Launcher::environment;
  if (name == "mpi") return Launcher::mpi;
  if (name == "alone") return Launcher::none;
  refuse(text("RINGSIDE_BOOTSTRAP=%s makes no sense", choice));
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

// A rank that is told too little, or two things at once, could only guess; and a wrong guess is a
// world of one, with wrong results and no error.
Launcher launcher() {
  if (const std::optional<Launcher> chosen = chosen_launcher()) return *chosen;
  const Claim* mpi = std::find_if(std::begin(kMpi), std::end(kMpi), is_made);
  const bool by_mpi = mpi != std::end(kMpi);
  if (is_made(kEnvironment)) {
    for (const char* variable : {kEnvironment.rank, kEnvironment.size})
      if (value_of(variable) == nullptr)
        refuse(words_of(kEnvironment) + " is set, but " + variable + " is not");
    if (by_mpi && contradict(kEnvironment, *mpi))
      refuse("two launchers contradict each other: " + words_of(kEnvironment) + ", but " +
             words_of(*mpi));
    return Launcher::environment;
  }
  if (by_mpi) return Launcher::mpi;
  for (const Claim& slurm : {kSlurmStep, kSlurmJob})
    if (claims_others(slurm))
      refuse("Slurm says " + words_of(slurm) +
             ", but nothing says how its ranks meet: use srun --mpi=pmix, mpirun, or export RANK, "
             "WORLD_SIZE, MASTER_ADDR and MASTER_PORT");
  return Launcher::none;
}

void check_open_files(int ranks) {
  constexpr rlim_t kOthers = 8;
  const rlim_t needed = 3 * static_cast<rlim_t>(ranks) + kOthers;
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
