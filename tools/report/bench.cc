// What tools/bench does, in order: the ranks meet, the machine is probed, every row is measured and
// checked, the machine is probed again.
#include "tools/report/bench.h"
#include "tools/support/command_line.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "comm/error.h"
#include "tools/baselines/baseline.h"
#include "tools/limits/core_distance.h"
#include "tools/limits/gpu_lower_bound.h"
#include "tools/measure/pin.h"
#include "tools/measure/sweep.h"
#include "tools/report/bench_json.h"
#include "tools/report/comparison.h"
#include "tools/report/explain_table.h"
#include "tools/report/table.h"

namespace ringside::tools {
namespace {

// What the probes of all ranks may take together.
constexpr std::size_t kProbeBytes = std::size_t{512} << 20;
constexpr std::size_t kLeastProbed = std::size_t{64} << 10;
constexpr std::size_t kMostProbed = std::size_t{64} << 20;
constexpr std::size_t kMostGpuProbed = std::size_t{1} << 30;  // two of its largest copies

class Bench {
 public:
  Bench(Bootstrap& bootstrap, const Arguments& arguments, const Options& options, std::FILE* out,
        const MakeGpu& make_gpu, const MakeFlag& make_flag)
      : bootstrap_(bootstrap),
        arguments_(arguments),
        out_(out),
        gpus_(gpus_for(bootstrap, arguments, options, make_gpu)),
        comm_(bootstrap, options),
        binding_(comm_),
        probe_options_{options.timeout_s, options.interrupted,
                       most_probed(bootstrap.size(), arguments)} {
    check_memory(comm_, arguments.end_bytes, compares() ? 2 * probe_options_.most_bytes : 0);
    if (gpus_)
      check_gpu_memory(comm_, *gpus_, arguments.end_bytes,
                       arguments.lower_bound ? kMostGpuProbed : 0);
    if (!arguments.baseline.empty())
      baseline_ = make_baseline(arguments.baseline, bootstrap, options.timeout_s,
                                gpus_ ? &*gpus_ : nullptr);
    if (!gpus_)
      flag_ = explained_by(comm_, make_flag(bootstrap, probe_options_, binding_.own_cores()));
    terminal_ = !arguments.json && is_terminal(bootstrap, out);
    look_ = {arguments.baseline, arguments.lower_bound,
             terminal_ && std::getenv("NO_COLOR") == nullptr};
  }

  int run() {
    BenchRun run{arguments_,
                 bootstrap_.name(),
                 this_machine(),
                 baseline_ ? baseline_->version() : "",
                 {},
                 {},
                 0,
                 0,
                 {},
                 {},
                 {},
                 gpus_ ? &*gpus_ : nullptr,
                 {}};
    if (gpus_ && arguments_.lower_bound) {
      progress("measuring how fast the GPU copies");
      run.gpu_copy =
          probe_gpu_copy(bootstrap_, *gpus_->mine, arguments_.end_bytes, probe_options_.timeout_s);
    } else if (arguments_.explain) {
      progress("probing the machine, and calibrating the model");
      surroundings_ = look_around(bootstrap_, comm_, probe_options_.most_bytes);
      run.before = surroundings_->probe;
      run.calibrated = surroundings_->machine;
    } else {
      run.before = probe("probing the machine");
    }
    if (arguments_.lower_bound && !gpus_) run.status_ns = status_cost_ns();
    run.flag_before_ns = flag_();
    show(header(run));
    measure(run);
    run.flag_after_ns = flag_();
    run.after = probe("probing the machine again");
    show(footer(run));
    if (surroundings_) show(stores_words(comm_));
    if (arguments_.json) print(bench_json(run, comm_));
    comm_.barrier();
    return wrong_in(run.rows) == 0 ? 0 : 1;
  }

 private:
  // As far as the rows' lower bounds need: a one-step all-reduce reads (n - 1) buffers, and the
  // largest reduction that is probed is half the largest copy. With a baseline alone, only flags
  // are of use.
  static std::size_t most_probed(int size, const Arguments& arguments) {
    const auto n = static_cast<std::size_t>(size);
    std::size_t bytes = kLeastProbed;
    if (!arguments.lower_bound) return bytes;
    while (bytes < kMostProbed && bytes < 2 * n * arguments.end_bytes &&
           2 * n * 4 * bytes <= kProbeBytes)
      bytes *= 4;
    return bytes;
  }

  // mpirun passes lines on, and what a rank sees is mpirun's end and not the user's.
  static bool is_terminal(const Bootstrap& bootstrap, std::FILE* out) {
    return std::strcmp(bootstrap.name(), "mpi") != 0 && ::fileno(out) >= 0 &&
           ::isatty(::fileno(out)) == 1;
  }

  static std::optional<RankGpus> gpus_for(Bootstrap& bootstrap, const Arguments& arguments,
                                          const Options& options, const MakeGpu& make) {
    if (arguments.memory != Memory::device) return std::nullopt;
    return take_gpus(bootstrap, make, options.timeout_s);
  }

  // On device memory the host's flags and copies are no measure of anything.
  std::optional<MachineProbe> probe(const char* when) {
    if (!compares() || gpus_) return std::nullopt;
    progress(when);
    return probe_machine(bootstrap_, probe_options_);
  }

  bool compares() const { return !arguments_.baseline.empty() || arguments_.lower_bound; }

  void print(const std::string& words) const {
    if (comm_.rank() != 0) return;
    std::fputs(words.c_str(), out_);
    std::fflush(out_);
  }
  void show(const std::string& words) const {
    if (!arguments_.json) print((terminal_ ? "\r\033[K" : "") + words);
  }
  // On a terminal only: what is being done, until the next line takes its place.
  void progress(const std::string& words) const {
    if (terminal_) print("\r\033[K" + words + " …");
  }

  std::string header(const BenchRun& run) const {
    std::string words = text("# bench: %s, bootstrap %s, on %s, %d cores, %s\n",
                             count_words(static_cast<std::size_t>(comm_.size()), "rank").c_str(),
                             run.bootstrap.c_str(), run.machine.cpu.c_str(), run.machine.cores,
                             run.machine.date.c_str());
    if (gpus_)
      words += gpu_words(*gpus_, comm_.device_executor());
    else
      words +=
          arguments_.memory == Memory::ordinary
              ? "# memory: ordinary\n"
              : "# memory: from ringside::allocate; the other ranks may read it where it lies\n";
    words += arguments_.notes;
    if (baseline_)
      words += text("# baseline %s: %s%s\n", baseline_->name(), run.baseline_version.c_str(),
                    baseline_->takes_part() ? "; the same processes and buffers, in turns" : "");
    words += cores_line(run.flag_before_ns);
    if (run.before) words += machine_words(*run.before);
    if (!run.gpu_copy.empty())
      words += "# of its memory, read + written:\n" + rates_words("copy", run.gpu_copy);
    if (run.status_ns)
      words += text(
          "# status page: a call's notes for the other ranks take %.1f ns of each time below\n",
          *run.status_ns);
    if (surroundings_) words += explain_head(surroundings_->machine);
    words += circumstances();
    if (binding_.own_cores()) words += "# each rank is bound to a core of its own\n";
    if (comm_.size() > run.machine.cores)
      words += "# more ranks than cores: times and rates of large sizes hold the turns of others\n";
    return words;
  }

  std::string circumstances() const {
    if (arguments_.skew_us != 0)
      return text("# one rank, each in turn, comes %d us after the others; time is its call's\n",
                  arguments_.skew_us);
    if (arguments_.overlap_us != 0)
      return text("# each rank starts a call, computes for %d us, then waits; time is of it all\n",
                  arguments_.overlap_us);
    return "";
  }

  static std::string cores_line(double flag_ns) {
    return flag_ns > 0 ? "# cores: " + cores_words(flag_ns) + "\n" : "";
  }

  std::string machine_words(const MachineProbe& probe) const {
    std::string words =
        text("# machine: flag %.0f ns (80%% within %.0f)\n", probe.flag_ns, probe.flag_spread_ns);
    if (arguments_.lower_bound)
      words += rates_words("copy", probe.copy) + rates_words("reduce", probe.reduce) +
               rates_words("pull", probe.pull) + rates_words("push", probe.push) +
               rates_words("stream", probe.stream);
    return words;
  }

  static std::string rates_words(const char* name, const std::vector<Rate>& rates) {
    std::string words = text("# %-6s (GB/s):", name);
    for (const Rate& it : rates) words += text(" %.1f@%s", it.gbs, short_bytes(it.bytes).c_str());
    return words + "\n";
  }

  void measure(BenchRun& run) {
    Buffers buffers = gpus_ ? Buffers(arguments_.end_bytes, gpus_->mine)
                            : Buffers(arguments_.end_bytes, arguments_.memory);
    machine_ = run.before;
    double flag_ns = run.flag_before_ns;
    for_each_operation(arguments_, comm_.size(), [&](const Operation& what) {
      if (run.rows.empty() || run.rows.back().what.kind != what.kind)
        show(text("# %s\n", row_name(what.kind)) +
             (compares() ? comparison_head(look_) : table_head()));
      progress(describe(what));
      Row row = row_in_one_place(flag_, [&] {
        return measure_row(comm_, baseline_.get(), buffers, what, arguments_, !compares());
      });
      if (!row.stand.moved() && cores_moved(flag_ns, row.stand.after_ns)) {
        flag_ns = row.stand.after_ns;
        show(cores_line(flag_ns));
      }
      if (gpus_)
        look_at_gpu(run, row);
      else if (arguments_.lower_bound)
        row.lower_bound = lower_bound_of(what.kind, comm_.size(), row.size_bytes,
                                         machine_as_it_stands(row.stand));
      if (surroundings_ && comm_.rank() == 0)
        row.explanation =
            explain(*surroundings_, what, sides_of(buffers, what, false, 0, comm_.size()));
      run.rows.push_back(row);
      show((compares() ? comparison_row(row, look_) : table_row(row)) +
           (row.explanation ? explain_words(*row.explanation, row.out_of_place.time_us) : "") +
           (row.on_gpu ? explain_words(*row.on_gpu, row.out_of_place.time_us) : ""));
    });
  }

  // A bound is of the situation in which the row was measured, or it is none.
  const MachineProbe& machine_as_it_stands(const Stand& stand) {
    if (!stand.moved() && stand.after_ns < kTurn_ns &&
        cores_moved(machine_->flag_ns, stand.after_ns)) {
      machine_ = probe("probing the machine, as the CPUs have moved");
      if (surroundings_) surroundings_->probe = *machine_;
    }
    return *machine_;
  }

  void look_at_gpu(const BenchRun& run, Row& row) const {
    if (!arguments_.lower_bound) return;
    row.lower_bound = gpu_lower_bound(row.what, gpus_->busiest(), comm_.size(), run.gpu_copy);
    if (arguments_.explain)
      row.on_gpu = explain_on_gpu(comm_, row.what, *row.lower_bound, run.gpu_copy);
  }

  // Why rows that were asked for are not there.
  std::string no_neighbour() const {
    const std::vector<Kind>& kinds = arguments_.kinds;
    const bool asked = std::find(kinds.begin(), kinds.end(), Kind::send_recv) != kinds.end();
    return asked && comm_.size() == 1 ? "# send_recv: one rank has no neighbour to send to\n" : "";
  }

  std::string footer(const BenchRun& run) const {
    std::string words = no_neighbour();
    words += compares() ? comparison_foot(run.rows, look_) : table_foot(run.rows);
    if (!in_one_place(run.rows))
      words += "# no means: rows are of several situations of the cores\n";
    if (run.flag_after_ns > 0)
      words += "# cores afterwards: " + cores_words(run.flag_after_ns) + "\n";
    return words;
  }

  Bootstrap& bootstrap_;
  const Arguments& arguments_;
  std::FILE* const out_;
  const std::optional<RankGpus> gpus_;  // before the communicator, which looks at what is current
  Communicator comm_;
  const CoreBinding binding_;
  const ProbeOptions probe_options_;
  Flag flag_ = [] { return 0.0; };
  std::unique_ptr<Baseline> baseline_;
  bool terminal_ = false;
  ComparisonLook look_;
  std::optional<MachineProbe> machine_;       // probed where the cores now are
  std::optional<Surroundings> surroundings_;  // with --explain
};

}  // namespace

int run_bench(Bootstrap& bootstrap, const Arguments& arguments, const Options& options,
              std::FILE* out, const MakeGpu& make_gpu, const MakeFlag& make_flag) {
  return Bench(bootstrap, arguments, options, out, make_gpu, make_flag).run();
}

}  // namespace ringside::tools
