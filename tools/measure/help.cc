// What --help prints, for each tool that measures. The options that both have are told once.
#include "tools/measure/options.h"

#include <initializer_list>
#include <string>
#include <string_view>

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
    R"(bench: measure every operation, beside other libraries and against what the machine can do.

  mpirun -n 2 ./tools/bench --op all_reduce --baseline mpi --lower-bound    the three-way table
  tools/launch -n 4 ./tools/bench --op all --baseline gloo -f 8       without MPI: four processes
  ./tools/bench --threads 2 --op reduce_scatter                   ranks as threads of one process

Without a launcher and without --threads the ranks are 4 threads.
)";

constexpr const char* kMeasured = R"(
What is measured (sizes in bytes, or with K M G; powers of 1024)
  -b SIZE     first size                                                        8
  -e SIZE     last size                                                         64M
  -f FACTOR   each size is the one before times FACTOR                          2
)";

constexpr const char* kMeasuredEnd =
    R"(  -w COUNT    calls before them that are not timed                 what 5 ms allow
  -d TYPE     f32 f64 f16 bf16 i32 i64 u8, or all                               f32
  -o REDOP    sum product min max avg, or all                                   sum
  --op NAME   all_reduce reduce_scatter all_gather broadcast                    all_reduce
)";

constexpr const char* kColumns = R"(
The table has the columns of nccl-tests. time is the median of samples; a sample is a call (or, up
to 4K, the mean over a batch of calls) on the slowest rank, on inputs that change before each call.
algbw = size / time, busbw = algbw × what the busiest link must carry at least: 2(n−1)/n for
all_reduce, 1 for broadcast and reduce, (n−1)/n for the others. GB is 10⁹ bytes. #wrong counts
elements that differ, in any bit, from what each rank computes apart: folds in the ring's order.
)";

constexpr const char* kBenchColumns = R"(
With --baseline or --lower-bound the table is of out-of-place calls, with these columns beside ringside's:
  ratio       the baseline's time / ringside's, the median of pairs of samples taken in turns; above 1
              ringside is faster, below it is red on a terminal (not with NO_COLOR set)
  25-75%      where the middle half of these ratios lies
  #wrong      the baseline's, exact where its order of additions cannot matter, else within rounding
  lower bound       the least time by flags, reduced and copied bytes, each at its measured rate
  xbound      ringside's time / lower bound
send_recv is one step of a ring: each rank sends to its right and receives from its left. In the
operations on _v rank r has r + 1 shares of the whole.
)";

constexpr const char* kTimeline = R"(
A timeline of the run, to be opened in ui.perfetto.dev or chrome://tracing (docs/09)
  --trace FILE   a track a rank, a slice a step, in it for whom the rank waited, an arrow a message;
                 also, and above all, when the run fails. Each rank keeps its last 65536 spans:
                 ask for few sizes and a small -n
)";

constexpr const char* kFaults = R"(
A fault on purpose: one rank misbehaves in call K, and one sees what the others say (docs/09).
K counts as the sentences do: all_reduce #K, send/recv #K
  --fault stall:rank=R,op=K     does nothing more; with step=S from its S-th message on
  --fault slow:rank=R,op=K      comes ms=1500 later; with RINGSIDE_WARN=1 a warning names it
  --fault die:rank=R,op=K       is killed; not with --threads
  --fault drop-signal:rank=R,op=K      the signal of its step=1st message is lost
  --fault corrupt-header:rank=R,op=K   the same signal comes, and is damaged
  --fault other-op:rank=R,op=K  calls something else
  --fault refuse:rank=R, no-memory:rank=R     cannot start
)";

constexpr const char* kEnd = R"(
Exit status: 0 everything is right; 1 something is wrong, or a rank failed; 2 a bad option.
Environment: RINGSIDE_TIMEOUT=SECONDS (600; 0 is none), RINGSIDE_WARN=SECONDS (10),
RINGSIDE_FLIGHT=FOLDER (the ranks' last calls go there when one fails, or on SIGUSR1: tools/flight),
RINGSIDE_SLOT_BYTES (128K), RINGSIDE_SLOT_COUNT (4), RINGSIDE_ALGORITHM (auto, ring, one-shot,
two-shot), RINGSIDE_STREAM_FROM (16M), RINGSIDE_ZERO_COPY_FROM (8K, never), RINGSIDE_CONTROL (auto,
shared, socket), RINGSIDE_ISA (baseline, avx2, avx512: at most this one).
)";

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const std::string_view part : parts) all += part;
  return all;
}

constexpr const char* kRingAllreduceIterations =
    "  -n COUNT    timed calls a row                                 what 20 ms allow\n";

constexpr const char* kRingAllreduceAlone =
    R"(              reduce gather scatter all_to_all, or all

On what memory
  --memory M  any: ordinary memory; device: a GPU's. Rank r takes GPU r modulo their number    any
  --executor L    who carries calls on device memory out: auto host stream device                auto

What is shown
  --no-demo   only the table
  --explain   below each row what its time is made of; ask for few sizes
  --json      one JSON object, for machines
  --help      this
)";

constexpr const char* kBenchIterations =
    "  -n COUNT    timed calls a row                  what 20 ms allow, 60 ms with --baseline\n";

constexpr const char* kBenchAlone =
    R"(              reduce gather scatter all_to_all send_recv
              reduce_scatter_v all_gather_v barrier, or all

On what memory
  --memory M  any: ordinary memory; allocate: ringside::allocate's, which the other ranks may read
              where it lies (comm/allocate.h); device: a GPU's, rank r takes GPU r modulo their
              number. The baseline gets the same                                              any
  --executor L    who carries calls on device memory out: auto host stream device             auto

Beside what
  --baseline NAME mpi: the MPI that mpirun has started; gloo: over TCP on this host. The same calls in
              the same processes on the same buffers, in turns; nccl: on device memory
  --lower-bound     the lower bound: what flags and bytes must take here, as probed just before; docs/08.
              On device memory: reading each input and writing each output, at a copy's speed
              With either, a flag is timed before and after: have the CPUs moved meanwhile?
  --explain   the same, and below each row how the call is carried out and what its time is made
              of, from the lower bound to what was measured; ask for few sizes
  --threads N ranks as threads of this process
  --json      one JSON object, for machines
  --help      this

Under which circumstances (one of the two, on the host's memory, without a lower bound)
  --skew US   one rank, each in turn, comes US microseconds after the others. time is what its call
              takes it: the others are waiting, and are to be no obstacle
  --overlap US each rank starts the call, computes for US microseconds of a core in its registers,
              and waits for the call. time is of it all; without --overlap it is the call's alone
)";

}  // namespace

std::string help_text(Tool tool) {
  if (tool == Tool::bench)
    return joined({kBench, kMeasured, kBenchIterations, kMeasuredEnd, kBenchAlone, kColumns,
                   kBenchColumns, kTimeline, kFaults, kEnd});
  return joined({kRingAllreduce, kMeasured, kRingAllreduceIterations, kMeasuredEnd,
                 kRingAllreduceAlone, kColumns, kTimeline, kFaults, kEnd});
}

}  // namespace ringside::tools
