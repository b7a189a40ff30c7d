// Loads libringside_mpi, and with it MPI.
#include "comm/bootstrap/mpi.h"

#include <dlfcn.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

#include "comm/error.h"
#include "comm/options.h"
#include "comm/util/start_thread.h"
#include "comm/util/tcp_socket.h"
#include "comm/version.h"

namespace ringside {
namespace {

constexpr const char* kEntryPoint = "ringside_start_mpi";  // comm/bootstrap/mpi_library.cc

// By name alone: the linker has written down where it lies, relative to who loads it (configure.sh:
// beside libringside.so, and above a program of the build tree), and LD_LIBRARY_PATH goes before.
MpiBootstrap* (*load())(double) {
  const std::string version(kVersion);
  const std::string name = "libringside_mpi.so." + version.substr(0, version.find('.'));
  // RTLD_GLOBAL: MPI loads plugins of its own, which may look for its names among all.
  void* library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
  void* entry = library == nullptr ? nullptr : ::dlsym(library, kEntryPoint);
  if (entry == nullptr)
    throw_error(
        Fault::usage,
        "ringside's library for ranks that mpirun starts cannot be loaded (%s): build ringside "
        "where Open MPI is installed, name the library's folder in LD_LIBRARY_PATH, or start the "
        "ranks with ringside's own launcher (tools/launch, installed as ringside-launch)",
        ::dlerror());
  return reinterpret_cast<MpiBootstrap* (*)(double)>(entry);
}

// What MPI_Init may take for itself, on a busy machine, before it counts as a wait for others.
constexpr double kOwnTime_s = 10;

// MPI_Init knows no deadline, and nobody comes out of it who waits there for a rank that never
// comes. So the process ends at the deadline, with a sentence, and mpirun ends the others.
class Watchdog {
 public:
  Watchdog() : thread_(start_thread([this] { watch(); })) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  static std::string what() {
    const char* rank = nullptr;
    for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"})
      if (rank == nullptr) rank = std::getenv(variable);
    return text("rank %s waited in MPI_Init for the other ranks (is one of them stopped?)",
                rank == nullptr ? "?" : rank);
  }

  void watch() {
    const Options options = Options::from_environment();
    const auto later = [](double after_s) { return after_s > 0 ? after_s + kOwnTime_s : 0; };
    Warning warning(later(options.warn_s));
    const StopCondition stop{Deadline::after_seconds(later(options.timeout_s)), nullptr, &warning};
    std::unique_lock lock(mutex_);
    try {
      while (!over_) {
        mind_the_time(stop, [] { return what(); });
        changed_.wait_for(lock, std::chrono::milliseconds(100));
      }
    } catch (const Error& error) {
      print_warning(error.what());
      std::_Exit(1);
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<MpiBootstrap> MpiBootstrap::start() {
  // Never unloaded, as MPI cannot be.
  static MpiBootstrap* (*const start)(double warn_s) = load();
  const Watchdog watchdog;
  return std::unique_ptr<MpiBootstrap>(start(Options::from_environment().warn_s));
}

}  // namespace ringside
