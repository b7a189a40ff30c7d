// ring_allreduce: the main program. Ranks meet, say who they are, show what an all-reduce does and
// how the ring does it, prove that it is reduce-scatter + all-gather, and measure it, every element
// checked.
//
// Only rank 0 prints results; the library itself gathers what the others have to report.
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/error.h"
#include "comm/util/json.h"
#include "tools/demo/demo.h"
#include "tools/limits/gpu_lower_bound.h"
#include "tools/measure/measure.h"
#include "tools/measure/options.h"
#include "tools/measure/pin.h"
#include "tools/measure/sweep.h"
#include "tools/report/explain_table.h"
#include "tools/report/table.h"
#include "tools/report/trace_file.h"
#include "tools/support/command_line.h"

namespace {

using namespace ringside;
using namespace ringside::tools;

constexpr const char* kTool = "ring_allreduce";
constexpr int kMostRanksDrawn = 4;  // a ring of four fills 100 columns

void print(const Communicator& comm, const std::string& words) {
  if (comm.rank() != 0) return;
  std::fputs(words.c_str(), stdout);
  std::fflush(stdout);
}

// "all_reduce: auto, which is one-shot up to 16K bytes, two-shot up to 64K and the ring above"
std::string algorithm(const Communicator& comm) {
  const Algorithm chosen = comm.options().algorithm;
  const std::size_t most_bytes = comm.one_shot_most_bytes();
  const std::string words = text("all_reduce: %s", name_of(chosen));
  if (chosen == Algorithm::ring || (chosen == Algorithm::two_shot && comm.size() > 1)) return words;
  if (most_bytes == 0) return words + ", which is the ring";
  const std::size_t two_shot = two_shot_most_bytes(settings_of(comm));
  return words + text(", which is one-shot up to %s bytes%s and the ring above",
                      short_bytes(most_bytes).c_str(),
                      two_shot > most_bytes
                          ? text(", two-shot up to %s", short_bytes(two_shot).c_str()).c_str()
                          : "");
}

std::string who_is_there(const Communicator& comm, const char* bootstrap, bool own_cores) {
  std::string words =
      text("ringside: %s, bootstrap %s, %d slots of %s on each edge\n\n",
           count_words(static_cast<std::size_t>(comm.size()), "rank").c_str(), bootstrap,
           comm.options().slot_count, short_bytes(comm.options().slot_bytes).c_str());
  words += "  rank  host                  pid  device\n";
  for (const RankInfo& it : comm.ranks())
    words += text("  %4d  %-16s %8d  %s\n", it.rank, it.host.c_str(), it.pid, it.device.c_str());
  words += "\n  edge of the ring  transport  why\n";
  for (const Edge& edge : comm.ring_edges())
    words += text("  %6d -> %-6d  %-9s  %s\n", edge.from, edge.to, edge.transport.c_str(),
                  edge.why.c_str());
  if (comm.size() == 1)
    words += "  none: a ring of one rank sends nothing (try mpirun -n 2, or --threads 4)\n";
  words += "\n  " + algorithm(comm) + "\n";
  if (own_cores) words += "  each rank is bound to a core of its own\n";
  return words + "\n";
}

std::string picture(int size) {
  const int drawn = size < 2 || size > kMostRanksDrawn ? kMostRanksDrawn : size;
  std::string words =
      "How the ring does it: in each step every rank sends one chunk to its right.\n";
  if (drawn != size) words += text("(Drawn for %d ranks; %d follow the same text.)\n", drawn, size);
  return words +
         "A cell counts the contributions in a rank's value of a chunk; [ ] has just been "
         "received.\n\n" +
         draw_all_reduce(drawn) + "\n";
}

const std::string kInGroups =
    "An all-reduce in groups adds in an order of its own (comm/algorithms/hierarchical.h), so it\n"
    "has not the bits of reduce-scatter + all-gather. The table compares it with that order.\n\n";

std::string proof(const Halves& halves) {
  const bool equal = halves.different == 0;
  return text(
      "all-reduce = reduce-scatter + all-gather: %zu elements, bit for bit, %d types: %s\n\n",
      halves.elements, halves.types,
      equal ? "equal" : text("%zu DIFFER", halves.different).c_str());
}

// With --memory device.
struct OnGpu {
  RankGpus gpus;
  std::vector<Rate> copy;  // with --explain
};

// With --explain below each row what it is made of, out of place.
std::vector<Row> run_table(Communicator& comm, const Arguments& arguments,
                           const std::optional<Surroundings>& here, const OnGpu* gpu,
                           const Flag& flag) {
  std::vector<Row> rows;
  Buffers buffers =
      gpu != nullptr ? Buffers(arguments.end_bytes, gpu->gpus.mine) : Buffers(arguments.end_bytes);
  const auto show = [&](const std::string& words) {
    if (!arguments.json) print(comm, words);
  };
  show(arguments.notes);
  if (here) show(explain_head(here->machine));
  for_each_operation(arguments, comm.size(), [&](const Operation& what) {
    if (rows.empty() || rows.back().what.kind != what.kind)
      show(text("# %s\n", name_of(what.kind)) + table_head());
    Row row = row_in_one_place(
        flag, [&] { return measure_row(comm, nullptr, buffers, what, arguments, true); });
    if (here && comm.rank() == 0)
      row.explanation = explain(*here, what, sides_of(buffers, what, false, 0, comm.size()));
    if (gpu != nullptr && arguments.explain)
      row.on_gpu = explain_on_gpu(
          comm, what, gpu_lower_bound(what, gpu->gpus.busiest(), comm.size(), gpu->copy),
          gpu->copy);
    show(table_row(row));
    if (row.on_gpu) show(explain_words(*row.on_gpu, row.out_of_place.time_us));
    if (row.explanation) show(explain_words(*row.explanation, row.out_of_place.time_us));
    rows.push_back(std::move(row));
  });
  show(table_foot(rows));
  if (here) show(stores_words(comm));
  return rows;
}

std::string json_of(const Communicator& comm, const char* bootstrap, const Demo& demo,
                    const Halves& halves, const std::vector<Row>& rows) {
  JsonWriter json(2);
  json.object()
      .field("tool", kTool, "bootstrap", bootstrap, "world_size", comm.size(), "slot_bytes",
             comm.options().slot_bytes, "slot_count", comm.options().slot_count, "algorithm",
             name_of(comm.options().algorithm), "one_shot_most_bytes", comm.one_shot_most_bytes(),
             "executor", comm.device_executor().name, "executor_why", comm.device_executor().why)
      .array("ranks");
  for (const RankInfo& it : comm.ranks())
    json.object().field("rank", it.rank, "host", it.host, "pid", it.pid, "device", it.device).end();
  json.end().array("edges");
  for (const Edge& edge : comm.ring_edges())
    json.object()
        .field("from", edge.from, "to", edge.to, "transport", edge.transport, "why", edge.why)
        .end();
  json.end()
      .field("demo_right", demo.right)
      .object("identity")
      .field("elements", halves.elements, "types", halves.types, "reductions", halves.reductions,
             "different", halves.different)
      .end()
      .field("avg_busbw_gbs", avg_busbw_gbs(rows), "wrong", wrong_in(rows));
  write_rows(json, rows);
  return json.end().text();
}

int run(Bootstrap& bootstrap, const Arguments& arguments, const Options& options) {
  // First of all: a communicator looks at what is current when it is made.
  std::optional<OnGpu> gpu;
  if (arguments.memory == Memory::device)
    gpu = {take_gpus(bootstrap, cuda_gpu, options.timeout_s), {}};
  Communicator comm(bootstrap, options);
  const CoreBinding binding(comm);
  // On device memory the host's flags are no measure of anything.
  const Flag flag =
      gpu ? [] { return 0.0; }
          : explained_by(comm, flag_between(bootstrap, {options.timeout_s, options.interrupted},
                                            binding.own_cores()));
  const bool talk = arguments.demo && !arguments.json;
  if (talk) print(comm, who_is_there(comm, bootstrap.name(), binding.own_cores()));
  Demo demo;
  Halves halves;
  if (arguments.demo) {
    demo = run_demo(comm);
    if (talk) print(comm, "What collectives do\n" + demo.words + "\n" + picture(comm.size()));
    const bool in_groups = comm.options().algorithm == Algorithm::hierarchical;
    if (!in_groups) halves = compare_all_reduce(comm);
    if (talk) print(comm, in_groups ? kInGroups : proof(halves));
  }
  check_memory(comm, arguments.end_bytes, arguments.explain ? 4 * arguments.end_bytes : 0);
  if (gpu) {
    check_gpu_memory(comm, gpu->gpus, arguments.end_bytes, 0);
    if (arguments.explain)
      gpu->copy =
          probe_gpu_copy(bootstrap, *gpu->gpus.mine, arguments.end_bytes, options.timeout_s);
    if (!arguments.json) print(comm, gpu_words(gpu->gpus, comm.device_executor()));
  }
  std::optional<Surroundings> here;
  if (arguments.explain && !gpu) here = look_around(bootstrap, comm, 2 * arguments.end_bytes);
  const std::vector<Row> rows = run_table(comm, arguments, here, gpu ? &*gpu : nullptr, flag);
  if (arguments.json) print(comm, json_of(comm, bootstrap.name(), demo, halves, rows));
  comm.barrier();
  return demo.right && halves.different == 0 && wrong_in(rows) == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return run_measuring_tool(kTool, Tool::ring_allreduce, argc, argv, run);
}
