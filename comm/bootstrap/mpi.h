// Bootstrap `mpi`: ranks are processes started by mpirun. MPI is used for nothing but the exchange
// of handles at the start; this pair of files is the only one that knows it.
#pragma once

#include <memory>

#include "comm/bootstrap/bootstrap.h"

namespace ringside {

class MpiBootstrap : public Bootstrap {
 public:
  // Initialises MPI unless the program already has, and then finalises it at the end: but not after
  // abandon(), nor when an exception is on its way, as MPI_Finalize would wait for ranks that may
  // be gone. Throws Error{system}.
  static std::unique_ptr<MpiBootstrap> start();
};

}  // namespace ringside
