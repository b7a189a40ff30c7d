// The bootstrap that fits how this process was started, so that a program need not ask:
//
//     const auto bootstrap = start_bootstrap();
//     Communicator comm(*bootstrap);
//
//   started by                                     recognised by            bootstrap
//   tools/launch (ringside-launch), torchrun, …    RANK and WORLD_SIZE      tcp
//   mpirun, srun                                   OMPI_*, PMI_*, PMIX_*    mpi
//   nobody: from a shell, in a debugger            neither of them          alone: a world of one
#pragma once

#include <atomic>
#include <memory>

#include "comm/bootstrap/bootstrap.h"

namespace ringside {

enum class Launcher { none, environment, mpi };

// Who started this process, judged by the environment alone: finding out starts nothing.
// RINGSIDE_BOOTSTRAP (mpi, tcp or alone) decides where it is set. Without it, RANK and WORLD_SIZE
// go first, if mpirun's variables say the same; tools/launch hides an outer mpirun from its ranks.
// Throws Error{usage} with all that was found, and how to choose, where a launcher says too little
// or two contradict each other.
Launcher launcher();

// That this process may open as many files as a rank of so many needs at the start: rank 0 has a
// connection to each other one, and every rank a descriptor of each other process, each of which
// may ask it for its memory. All ranks look, so that all end with one sentence.
// Throws Error{usage}.
void check_open_files(int ranks);

// Collective: returns when all ranks are there; waits at most RINGSIDE_TIMEOUT seconds (tcp), and
// ends with Error{interrupted} once `interrupted`, if given, is not 0 (Options::interrupted).
// Throws what launcher(), TcpBootstrap::start, check_open_files and MpiBootstrap::start throw, and
// Error{usage} if mpirun started several ranks and MPI knows of one.
std::unique_ptr<Bootstrap> start_bootstrap(const std::atomic<int>* interrupted = nullptr);

}  // namespace ringside
