// Bootstrap `mpi`: ranks are processes started by mpirun. MPI is used for nothing but the exchange
// of handles at the start.
//
// MPI is large, and few programs need it: what calls it is a library of its own, libringside_mpi,
// which start() loads. So only a process that mpirun has started pays for MPI (some 30 libraries),
// and libringside runs where none is installed.
#pragma once

#include <memory>

#include "comm/bootstrap/bootstrap.h"

namespace ringside {

class MpiBootstrap : public Bootstrap {
 public:
  // Initialises MPI unless the program already has, and then finalises it at the end: but not after
  // abandon(), nor when an exception is on its way, as MPI_Finalize would wait for ranks that may
  // be gone. Throws Error{usage} where libringside_mpi, or MPI, is not found, and Error{system}. A
  // rank that waits in MPI_Init past RINGSIDE_TIMEOUT (and 10 s, which it may take for itself) says
  // so and ends its process with status 1.
  static std::unique_ptr<MpiBootstrap> start();
};

}  // namespace ringside
