// All of libringside_mpi, and the one file of comm/ that includes <mpi.h>. It needs nothing of
// libringside.so, and so serves a program that is linked with the static library as well. Why it
// is a library of its own is in comm/bootstrap/mpi.h.

// MPI's C++ bindings, long gone from the standard, would only bring warnings.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#include <time.h>

#include <exception>

#include "comm/bootstrap/mpi.h"
#include "comm/error.h"

namespace ringside {
namespace {

class MpiBootstrapImpl : public MpiBootstrap {
 public:
  explicit MpiBootstrapImpl(double warn_s) : warn_s_(warn_s) {
    int initialised = 0;
    MPI_Initialized(&initialised);
    if (initialised == 0) {
      int provided = 0;
      // Only the thread that makes this object calls MPI; ringside's own threads never do.
      if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        throw Error(Fault::system, "MPI did not start");
      finalise_ = true;
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }

  ~MpiBootstrapImpl() override {
    if (finalise_ && maker_.is_this_process() && std::uncaught_exceptions() == exceptions_at_start_)
      MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const char* name() const override { return "mpi"; }
  void abandon() override { finalise_ = false; }

  void all_gather_bytes(const void* mine, std::size_t bytes, void* all,
                        Deadline deadline) override {
    const int count = static_cast<int>(bytes);
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Iallgather(mine, count, MPI_BYTE, all, count, MPI_BYTE, MPI_COMM_WORLD, &request);
    // Tested in a loop, not waited for: MPI_Wait knows no deadline.
    Deadline warning = Deadline::after_seconds(warn_s_);
    for (int done = 0;;) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done != 0) return;
      if (deadline.passed())
        throw_error(Fault::timeout, "rank %d: not every rank came to the start-up exchange in time",
                    rank_);
      if (warning.passed()) {
        warning = Deadline::never();
        print_warning(
            text("rank %d waited in a start-up exchange for other ranks, %g s by now, and "
                 "goes on waiting",
                 rank_, warn_s_));
      }
      const timespec nap{0, 20'000};
      ::nanosleep(&nap, nullptr);
    }
  }

 private:
  int rank_ = 0;
  int size_ = 1;
  bool finalise_ = false;
  const double warn_s_;
  const int exceptions_at_start_ = std::uncaught_exceptions();
};

}  // namespace
}  // namespace ringside

// The one name that the library exports; comm/bootstrap/mpi.cc looks it up.
extern "C" ringside::MpiBootstrap* ringside_start_mpi(double warn_s) {
  return new ringside::MpiBootstrapImpl(warn_s);
}
