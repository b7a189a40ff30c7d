// What --help prints around the table of options, for each tool that measures.
#include "tools/measure/options.h"

namespace ringside::tools {
namespace {

constexpr const char* kRingAllreduce =
    R"(ring_allreduce: watch ranks run a ring all-reduce, see it proved, verified and timed.

  mpirun ./tools/ring_allreduce               one rank a core, as processes
  mpirun -n 4 --oversubscribe ./tools/...     more ranks than cores
  tools/launch -n 4 ./tools/ring_allreduce    without MPI: four processes
  ./tools/ring_allreduce --threads 4          four ranks as threads of one process

Without a launcher and without --threads the ranks are 4 threads.
)";

constexpr const char* kBench =
    R"(bench: measure every operation, against other libraries and against what the machine can do.

  mpirun -n 2 ./tools/bench --op all_reduce --baseline mpi --lower-bound    the three-way table
  tools/launch -n 4 ./tools/bench --op all --baseline gloo -f 8         without MPI: four processes
  ./tools/bench --threads 2 --op reduce_scatter                     ranks as threads of one process

Without a launcher and without --threads the ranks are 4 threads.
)";

constexpr const char* kColumns = R"(
The table has the columns of nccl-tests. time is the median of samples; a sample is a call (or, up
to 4K, the mean over a batch of calls) on the slowest rank, on inputs that change before each call.
algbw = size / time, busbw = algbw × what the busiest link must carry at least: 2(n−1)/n for
all_reduce, 1 for broadcast and reduce, (n−1)/n for the others. GB is 10⁹ bytes. #wrong counts
elements that differ, in any bit, from what each rank computes apart: folds in the ring's order.
How long a flag takes tells where the cores are, and a host may move virtual ones: a row during
which they moved is measured again, up to 4 times in all, and then marked below.
)";

constexpr const char* kBenchColumns = R"(
With --baseline or --lower-bound the table is of out-of-place calls, with these columns beside
ringside's:
  ratio   the baseline's time / ringside's, the median of pairs of samples taken in turns; above 1
          ringside is faster, below it is red on a terminal (not with NO_COLOR set)
  25-75%  where the middle half of these ratios lies
  #wrong  the baseline's, exact where its order of additions cannot matter, else within rounding
  bound   the lower bound: flags, reduced and copied bytes, each at its measured rate
  xbound  ringside's time / bound
send_recv is one step of a ring: each rank sends to its right and receives from its left. In the
operations on _v rank r has r + 1 shares of the whole.
)";

constexpr const char* kEnd = R"(
Exit status: 0 everything is right; 1 something is wrong, or a rank failed; 2 a bad option.
Environment: RINGSIDE_TIMEOUT=SECONDS (600; 0 is none), RINGSIDE_WARN=SECONDS (10),
RINGSIDE_FLIGHT=FOLDER (the ranks' last calls go there when one fails, or on SIGUSR1: tools/flight),
RINGSIDE_SLOT_BYTES (128K), RINGSIDE_SLOT_COUNT (4), RINGSIDE_ALGORITHM (auto, ring, one-shot,
two-shot), RINGSIDE_STORES (auto, cached, streaming), RINGSIDE_STREAM_FROM (16M),
RINGSIDE_ZERO_COPY_FROM (8K, never), RINGSIDE_CONTROL (auto, shared, socket), RINGSIDE_ISA
(baseline, avx2, avx512: at most this one).
)";

}  // namespace

std::string help_text(Tool tool) {
  Arguments unused;
  const bool bench = tool == Tool::bench;
  return (bench ? kBench : kRingAllreduce) + options_help(options_of(unused, tool)) + kColumns +
         (bench ? kBenchColumns : "") + kEnd;
}

}  // namespace ringside::tools
