// Which baselines there are, and why one may not be there.
#include "tools/baselines/baseline.h"

#include <cstring>

#include "comm/error.h"

namespace ringside::tools {
namespace {

std::unique_ptr<Baseline> make_mpi(const Bootstrap& bootstrap) {
  if (make_mpi_baseline == nullptr)
    throw Error(Fault::usage,
                "--baseline mpi is not in this build: there was no Open MPI (make deps)");
  if (std::strcmp(bootstrap.name(), "mpi") == 0) return make_mpi_baseline();
  throw Error(
      Fault::usage,
      text("--baseline mpi needs ranks that mpirun has started, and these were started as %s",
           bootstrap.name()));
}

std::unique_ptr<Baseline> make_gloo([[maybe_unused]] Bootstrap& bootstrap,
                                    [[maybe_unused]] double timeout_s) {
#ifdef RINGSIDE_HAVE_GLOO
  return make_gloo_baseline(bootstrap, timeout_s);
#else
  throw Error(Fault::usage,
              "--baseline gloo is not in this build: there was no libgloo (make deps)");
#endif
}

std::unique_ptr<Baseline> make_nccl([[maybe_unused]] Bootstrap& bootstrap,
                                    [[maybe_unused]] double timeout_s, const RankGpus* gpus) {
  if (gpus == nullptr) throw Error(Fault::usage, "--baseline nccl knows device memory alone");
#if defined(RINGSIDE_HAVE_NCCL) && defined(RINGSIDE_HAVE_CUDA)
  return make_nccl_baseline(bootstrap, timeout_s, *gpus);
#else
  throw Error(Fault::usage, "--baseline nccl is not in this build: there was no nccl.h");
#endif
}

}  // namespace

std::unique_ptr<Baseline> make_baseline(const std::string& name, Bootstrap& bootstrap,
                                        double timeout_s, const RankGpus* gpus) {
  if (name == "nccl") return make_nccl(bootstrap, timeout_s, gpus);
  return name == "mpi" ? make_mpi(bootstrap) : make_gloo(bootstrap, timeout_s);
}

}  // namespace ringside::tools
