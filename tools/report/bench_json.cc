// Writing a run of the bench down for machines.
#include "tools/report/bench_json.h"

#include "comm/error.h"
#include "comm/util/json.h"
#include "tools/limits/core_distance.h"
#include "tools/report/comparison.h"
#include "tools/report/table.h"

namespace ringside::tools {
namespace {

std::string json_rates(const std::vector<Rate>& rates) {
  std::string list;
  for (const Rate& it : rates)
    list += text("%s{\"bytes\": %zu, \"gbs\": %.4f}", list.empty() ? "" : ", ", it.bytes, it.gbs);
  return "[" + list + "]";
}

std::string json_probe(const char* name, const std::optional<MachineProbe>& probe) {
  if (!probe) return text("  \"%s\": null,\n", name);
  return text("  \"%s\": {\"flag_ns\": %.2f, \"flag_spread_ns\": %.2f, \"cores\": \"%s\",\n", name,
              probe->flag_ns, probe->flag_spread_ns, name_of(core_distance(probe->flag_ns))) +
         "    \"copy\": " + json_rates(probe->copy) +
         ",\n    \"reduce\": " + json_rates(probe->reduce) + "},\n";
}

template <class List, class Name>
std::string json_names(const List& values, const Name& name_of_one) {
  std::string list;
  for (const auto& value : values)
    list += text("%s\"%s\"", list.empty() ? "" : ", ", name_of_one(value));
  return "[" + list + "]";
}

std::string json_options(const Arguments& it) {
  return text("  \"options\": {\"begin_bytes\": %zu, \"end_bytes\": %zu, \"factor\": %zu, ",
              it.begin_bytes, it.end_bytes, it.factor) +
         text("\"iterations\": %d, \"warmup\": %d, \"threads\": %d,\n", it.iterations, it.warmup,
              it.threads) +
         "    \"ops\": " + json_names(it.kinds, row_name) +
         ", \"types\": " + json_names(it.dtypes, [](DType d) { return name_of(d); }) +
         ", \"redops\": " + json_names(it.reductions, [](Reduction r) { return name_of(r); }) +
         text(",\n    \"baseline\": %s, \"lower_bound\": %s, \"memory\": \"%s\", ",
              json_string(it.baseline).c_str(), it.lower_bound ? "true" : "false",
              name_of(it.memory)) +
         text("\"skew_us\": %d, \"overlap_us\": %d},\n", it.skew_us, it.overlap_us);
}

// Whose memory, and who carries calls on it out.
std::string json_gpus(const BenchRun& run, const Communicator& comm) {
  if (run.gpus == nullptr) return "";
  const ExecutorInUse executor = comm.device_executor();
  return text("  \"gpus\": %s, \"ranks_on_busiest_gpu\": %zu,\n",
              json_names(run.gpus->device_names, [](const std::string& it) { return it.c_str(); })
                  .c_str(),
              run.gpus->busiest().size()) +
         text("  \"executor\": \"%s\", \"executor_why\": %s,\n", executor.name,
              json_string(executor.why).c_str()) +
         "  \"gpu_copy\": " + json_rates(run.gpu_copy) + ",\n";
}

// `name`_geomean and `name`_worst, if any row has such a factor.
std::string json_summary(const char* name, const std::optional<Summary>& it) {
  if (!it) return "";
  const Operation& what = it->worst_row->what;
  return text("  \"%s_geomean\": %.4f, \"%s_worst\": {\"factor\": %.4f, \"op\": \"%s\", ", name,
              it->geomean, name, it->worst, row_name(what.kind)) +
         text("\"size_bytes\": %zu, \"type\": \"%s\", \"redop\": \"%s\"},\n",
              it->worst_row->size_bytes, name_of(what.dtype), reduction_words(what));
}

}  // namespace

std::string bench_json(const BenchRun& run, const Communicator& comm) {
  return text("{\n  \"tool\": \"bench\", \"bootstrap\": \"%s\", \"world_size\": %d,\n",
              run.bootstrap.c_str(), comm.size()) +
         text("  \"cpu\": %s, \"cores\": %d, \"date\": \"%s\",\n",
              json_string(run.machine.cpu).c_str(), run.machine.cores, run.machine.date.c_str()) +
         text("  \"slot_bytes\": %zu, \"slot_count\": %d, ", comm.options().slot_bytes,
              comm.options().slot_count) +
         text("\"algorithm\": \"%s\", \"one_shot_most_bytes\": %zu,\n",
              name_of(comm.options().algorithm), comm.one_shot_most_bytes()) +
         json_options(run.arguments) +
         text("  \"baseline\": %s, \"baseline_version\": %s,\n",
              json_string(run.arguments.baseline).c_str(),
              json_string(run.baseline_version).c_str()) +
         json_gpus(run, comm) + json_probe("probe_before", run.before) +
         json_probe("probe_after", run.after) +
         (run.before && run.after
              ? text("  \"cores_moved\": %s,\n",
                     cores_moved(run.before->flag_ns, run.after->flag_ns) ? "true" : "false")
              : "") +
         (run.status_ns ? text("  \"status_ns\": %.2f,\n", *run.status_ns) : "") +
         (run.calibrated
              ? text("  \"calibrated_ns\": {\"call\": %.2f, \"message\": %.2f, \"slot\": %.2f},\n",
                     run.calibrated->call_ns, run.calibrated->message_ns, run.calibrated->slot_ns)
              : "") +
         text("  \"avg_busbw_gbs\": %.4f,\n", avg_busbw_gbs(run.rows)) +
         json_summary("baseline", baseline_summary(run.rows)) +
         json_summary("lower_bound", lower_bound_summary(run.rows)) +
         text("  \"wrong\": %zu,\n  \"rows\": ", wrong_in(run.rows)) + json_rows(run.rows) +
         "\n}\n";
}

}  // namespace ringside::tools
