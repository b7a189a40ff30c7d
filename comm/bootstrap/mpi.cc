// Loads libringside_mpi, and with it MPI.
#include "comm/bootstrap/mpi.h"

#include <dlfcn.h>

#include <string>

#include "comm/error.h"
#include "comm/version.h"

namespace ringside {
namespace {

constexpr const char* kEntryPoint = "ringside_start_mpi";  // comm/bootstrap/mpi_library.cc

// By name alone: the linker has written down where it lies, relative to who loads it (configure.sh:
// beside libringside.so, and above a program of the build tree), and LD_LIBRARY_PATH goes before.
MpiBootstrap* (*load())() {
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
  return reinterpret_cast<MpiBootstrap* (*)()>(entry);
}

}  // namespace

std::unique_ptr<MpiBootstrap> MpiBootstrap::start() {
  static MpiBootstrap* (*const start)() = load();  // never unloaded, as MPI cannot be
  return std::unique_ptr<MpiBootstrap>(start());
}

}  // namespace ringside
