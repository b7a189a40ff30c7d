// Other libraries to compare ringside with: the same calls, in the same processes, on the same
// buffers.
//
// A baseline is a Library (call.h). To add one: a file baseline_NAME.cc with its class, a line in
// baseline.cc, and, where its package may be missing, a part of tools/dev/configure.sh. Baselines
// are measured here and used nowhere else.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "comm/bootstrap/bootstrap.h"
#include "tools/support/call.h"
#include "tools/support/gpu.h"

namespace ringside::tools {

class Baseline : public Library {
 public:
  // One line: what is installed here; or why it takes no part in this run.
  virtual std::string version() const = 0;
  // False: all of its columns stay empty.
  virtual bool takes_part() const { return true; }
};

// `what` for a library that has no avg of ours: where a row asks for one, a sum, and the note.
inline Library::Part sum_for_avg(const Operation& what, const char* note) {
  if (!has_reduction(what.kind) || what.reduction != Reduction::avg) return {what, ""};
  Operation sum = what;
  sum.reduction = Reduction::sum;
  return {sum, note};
}

// What --baseline knows, whether it is installed or not.
inline constexpr std::array kBaselines = {"mpi", "gloo", "nccl"};

// Collective. Throws Error{usage} where the baseline is not in this build, or cannot join ranks
// that were started in this way. `timeout_s` is that of a wait, in the baseline too if it lets its
// callers say so; 0: none. `gpus`: whose memory the buffers are; null: they are the host's.
std::unique_ptr<Baseline> make_baseline(const std::string& name, Bootstrap& bootstrap,
                                        double timeout_s, const RankGpus* gpus = nullptr);

// Null but in a program that is linked with MPI: bench, where there is one (configure.sh).
[[gnu::weak]] std::unique_ptr<Baseline> make_mpi_baseline();
#ifdef RINGSIDE_HAVE_GLOO
std::unique_ptr<Baseline> make_gloo_baseline(Bootstrap& bootstrap, double timeout_s);
#endif
#if defined(RINGSIDE_HAVE_NCCL) && defined(RINGSIDE_HAVE_CUDA)
std::unique_ptr<Baseline> make_nccl_baseline(Bootstrap& bootstrap, double timeout_s,
                                             const RankGpus& gpus);
#endif

}  // namespace ringside::tools
