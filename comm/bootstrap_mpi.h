// Bootstrap `mpi`: ranks are processes started by mpirun. MPI is used for nothing but the exchange
// of handles at the start; this pair of files is the only one that knows it.
#pragma once

#include <memory>

#include "comm/bootstrap.h"

namespace ringside {

class MpiBootstrap : public Bootstrap {
 public:
  // Initialises MPI unless the program already has. Throws Error{system}.
  static std::unique_ptr<MpiBootstrap> start();

  // After an error there is nobody to finalise with: MPI_Finalize would wait for ranks that are
  // gone. Call this and leave the process by its exit code instead.
  virtual void abandon() = 0;
};

// Whether mpirun (or srun, mpiexec) started this process, judged by the environment and without
// starting MPI.
bool started_by_mpi();

}  // namespace ringside
