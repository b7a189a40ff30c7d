// The options of bench and ring_allreduce: the table, and what makes no sense together.
#include "tools/measure/options.h"

#include <array>

#include "tools/baselines/baseline.h"
#include "tools/support/call.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

constexpr std::array kMemory = {Memory::ordinary, Memory::allocate, Memory::device};
constexpr std::array kExecutors = {ExecutorChoice::automatic, ExecutorChoice::host,
                                   ExecutorChoice::stream, ExecutorChoice::device};

using Rows = std::vector<OptionRow>;

[[noreturn]] void refuse(const std::string& why) { throw Error(Fault::usage, why); }

std::span<const Kind> kinds_of(Tool tool) {
  return tool == Tool::bench ? std::span<const Kind>(kMeasuredKinds) : kPlainCollectives;
}

Rows rows_of_what_is_measured(Arguments& it, Tool tool) {
  return {
      {"What is measured (sizes in bytes, or with K M G; powers of 1024)"},
      {"-b, --minbytes", "SIZE", "first size (8)", to_bytes(it.begin_bytes)},
      {"-e, --maxbytes", "SIZE", "last size (64M)", to_bytes(it.end_bytes)},
      {"-f, --stepfactor", "FACTOR", "each size is the one before times FACTOR (2)",
       to_number(it.factor, 2, 1 << 20)},
      {"-i, --stepbytes", "SIZE", "each size is the one before plus SIZE, in place of times FACTOR",
       to_bytes(it.step_bytes)},
      {"-n, --iters", "COUNT",
       std::string("timed calls a row (what 20 ms allow") +
           (tool == Tool::bench ? ", 60 ms with --baseline)" : ")"),
       to_number(it.iterations, 1, 1'000'000)},
      {"-w, --warmup_iters", "COUNT", "calls before them that are not timed (what 5 ms allow)",
       to_number(it.warmup, 0, 1'000'000)},
      {"-d, --datatype", "TYPE[,TYPE…]", list_choices(kAllDTypes, "all") + " (f32)",
       to_several(it.dtypes, kAllDTypes)},
      {"-o, --redop", "REDOP[,REDOP…]", list_choices(kAllReductions, "all") + " (sum)",
       to_several(it.reductions, kAllReductions)},
      {"--op", "NAME[,NAME…]", list_choices(kinds_of(tool), "all", row_name) + " (all_reduce)",
       to_several(it.kinds, kinds_of(tool), row_name)},
  };
}

Rows rows_of_memory(Arguments& it, Tool tool) {
  return {
      {"On what memory, by which ranks"},
      {"--memory", "M",
       tool == Tool::bench
           ? "ordinary: from anywhere; allocate: ringside::allocate's, which the other ranks may "
             "read "
             "where it lies (comm/allocate.h); device: a GPU's, rank r takes GPU r modulo their "
             "number. The baseline gets the same (ordinary)"
           : "ordinary: from anywhere; device: a GPU's. Rank r takes GPU r modulo their number "
             "(ordinary)",
       to_one(it.memory, kMemory)},
      {"--executor", "E",
       "who carries calls on device memory out: " + list_choices(kExecutors) + " (auto)",
       to_one(it.executor, kExecutors)},
      {"--threads", "N", "ranks are N threads of this process", to_number(it.threads, 1, 64)},
      {"As nccl-tests has them"},
      {"-t, --nthreads", "N", "threads of this process", to_number(it.nccl_threads, 1, 64)},
      {"-g, --ngpus", "N", "ranks on each of these threads: -t N -g M is --threads N×M",
       to_number(it.nccl_gpus, 1, 64)},
      {"-c, --check", "N", "nothing: every element of every call is checked",
       to_number(it.nccl_check, 0, 1'000'000)},
  };
}

// What nccl-tests' letters come to here, and a sentence for each that means less than it says.
void read_nccl_letters(Arguments& it) {
  const int ranks = it.nccl_threads * it.nccl_gpus;
  if (ranks > 1 && it.threads > 0)
    refuse("--threads says how many ranks there are, and so do -t and -g; leave one of them out");
  if (ranks > 64)
    refuse(text("-t %d -g %d are %d ranks; at most 64 can be threads of one process",
                it.nccl_threads, it.nccl_gpus, ranks));
  if (ranks > 1) it.threads = ranks;
  if (it.nccl_gpus > 1 && it.memory != Memory::device)
    it.notes +=
        text("# -g %d: ranks on the host's memory; for GPUs add --memory device\n", it.nccl_gpus);
  if (it.nccl_check == 0) it.notes += "# -c 0: every element is checked all the same\n";
}

// bench alone.
Rows rows_of_comparisons(Arguments& it) {
  return {
      {"Against what"},
      {"--baseline", "NAME",
       "mpi: the MPI that mpirun has started; gloo: over TCP on this host. The same calls in the "
       "same processes on the same buffers, in turns; nccl: on device memory",
       to_one(it.baseline, kBaselines, [](const char* name) { return name; })},
      {"--lower-bound", "",
       "the least time that flags and bytes can take here, as probed just before; docs/08. On "
       "device memory: reading each input and writing each output, at a copy's speed",
       to_true(it.lower_bound)},
      {"Under which circumstances (one of the two, on the host's memory, without a lower bound)"},
      {"--skew", "US",
       "one rank, each in turn, comes US microseconds after the others. time is what its call "
       "takes it: the others are waiting, and must not slow it down",
       to_number(it.skew_us, 1, 1'000'000)},
      {"--overlap", "US",
       "each rank starts the call, computes for US microseconds of a core in its registers, and "
       "waits for the call. time is of it all; without --overlap it is the call's alone",
       to_number(it.overlap_us, 1, 1'000'000)},
  };
}

Rows rows_of_output(Arguments& it, Tool tool) {
  const bool bench = tool == Tool::bench;
  const auto set_explain = [&it, bench](const char*, const std::string&) {
    it.explain = true;
    it.lower_bound |= bench;  // the explanation begins at the lower bound
  };
  Rows rows = {{"What is shown"}};
  if (!bench)
    rows.push_back({"--no-demo", "", "only the table",
                    [&it](const char*, const std::string&) { it.demo = false; }});
  rows.push_back({"--explain", "",
                  bench ? "--lower-bound, and below each row how the call is carried out and what "
                          "its time is made of, from the lower bound to what was measured; ask "
                          "for few sizes"
                        : "below each row what its time is made of; ask for few sizes",
                  set_explain});
  rows.push_back({"--json", "", "one JSON object, for machines", to_true(it.json)});
  rows.push_back(help_row(it.request));
  rows.push_back(version_row(it.request));
  return rows;
}

Rows rows_of_trace_and_faults(Arguments& it) {
  return {
      {"A timeline of the run, to be opened in ui.perfetto.dev or chrome://tracing (docs/09)"},
      {"--trace", "FILE",
       "a track for each rank, a slice for each step, in it for whom the rank waited, an arrow for "
       "each message; also, and above all, when the run fails. Each rank keeps its last 65536 "
       "spans: ask for few sizes and a small -n",
       [&it](const char*, const std::string& value) {
         if (value.empty()) refuse("--trace wants the name of a file");
         it.trace = value;
       }},
      {"A fault on purpose: one rank misbehaves in call K, and one sees what the others report "
       "(docs/09). K counts as the sentences do: all_reduce #K, send/recv #K"},
      {"--fault", "FAULT",
       "stall:rank=R,op=K  does nothing more; with step=S from its S-th message on\n"
       "slow:rank=R,op=K  comes ms=1500 later; with RINGSIDE_WARN=1 a warning names it\n"
       "die:rank=R,op=K  is killed; not with --threads\n"
       "drop-signal:rank=R,op=K  the signal of its step=1st message is lost\n"
       "corrupt-header:rank=R,op=K  the same signal comes, and is damaged\n"
       "other-op:rank=R,op=K  calls something else\n"
       "refuse:rank=R, no-memory:rank=R  cannot start",
       [&it](const char*, const std::string& value) { it.fault = parse_injection(value); }},
  };
}

// What only makes sense together.
void check_memory_words(const Arguments& it, Tool tool) {
  if (it.executor && it.memory != Memory::device)
    refuse("--executor is about device memory; add --memory device");
  if (tool == Tool::ring_allreduce && it.memory == Memory::allocate)
    refuse("--memory allocate is bench's; here there are ordinary and device");
  if (it.baseline == "nccl" && it.memory != Memory::device)
    refuse("--baseline nccl knows device memory alone; add --memory device");
  if (!it.baseline.empty() && it.baseline != "nccl" && it.memory == Memory::device)
    refuse("--baseline " + it.baseline +
           " is compared on the host's memory; on device memory "
           "there is --baseline nccl");
}

// The lower bound is that of calls that all ranks make at once, and do nothing else meanwhile.
void check_circumstances(const Arguments& it) {
  if (it.skew_us == 0 && it.overlap_us == 0) return;
  const std::string name = it.skew_us != 0 ? "--skew" : "--overlap";
  if (it.skew_us != 0 && it.overlap_us != 0)
    refuse("--skew and --overlap are two questions; ask one at a time");
  if (it.lower_bound)
    refuse(name + " has no lower bound to be held against; leave --lower-bound and --explain out");
  if (it.memory == Memory::device) refuse(name + " is about the host's memory, not a device's");
}

}  // namespace

std::vector<OptionRow> options_of(Arguments& it, Tool tool) {
  Rows all = rows_of_what_is_measured(it, tool);
  const auto add = [&](Rows rows) { all.insert(all.end(), rows.begin(), rows.end()); };
  add(rows_of_memory(it, tool));
  if (tool == Tool::bench) add(rows_of_comparisons(it));
  add(rows_of_output(it, tool));
  add(rows_of_trace_and_faults(it));
  return all;
}

Arguments parse_arguments(int argc, char** argv, Tool tool) {
  Arguments it;
  read_options(argc, argv, options_of(it, tool));
  read_nccl_letters(it);
  check_sizes(it.begin_bytes, it.end_bytes, std::size_t{16} << 30);
  check_memory_words(it, tool);
  check_circumstances(it);
  return it;
}

}  // namespace ringside::tools
