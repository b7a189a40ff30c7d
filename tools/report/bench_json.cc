// A run of the bench as JSON.
#include "tools/report/bench_json.h"

#include <algorithm>

#include "comm/error.h"
#include "comm/util/json.h"
#include "tools/limits/core_distance.h"
#include "tools/report/comparison.h"
#include "tools/report/table.h"

namespace ringside::tools {
namespace {

void write_rates(JsonWriter& json, const char* key, const std::vector<Rate>& rates) {
  json.array(key);
  for (const Rate& it : rates) json.object().field("bytes", it.bytes, "gbs", it.gbs).end();
  json.end();
}

void write_probe(JsonWriter& json, const char* key, const std::optional<MachineProbe>& probe) {
  if (!probe) {
    json.field(key, nullptr);
    return;
  }
  json.object(key).field("flag_ns", probe->flag_ns, "flag_spread_ns", probe->flag_spread_ns,
                         "cores", core_distance(probe->flag_ns).name);
  write_rates(json, "copy", probe->copy);
  write_rates(json, "reduce", probe->reduce);
  write_rates(json, "pull", probe->pull);
  write_rates(json, "push", probe->push);
  write_rates(json, "stream", probe->stream);
  json.end();
}

void write_options(JsonWriter& json, const Arguments& it) {
  json.object("options")
      .field("begin_bytes", it.begin_bytes, "end_bytes", it.end_bytes, "factor", it.factor,
             "step_bytes", it.step_bytes, "iterations", it.iterations, "warmup", it.warmup,
             "threads", it.threads)
      .array("ops");
  for (const Kind kind : it.kinds) json.item(row_name(kind));
  json.end().array("types");
  for (const DType dtype : it.dtypes) json.item(name_of(dtype));
  json.end().array("redops");
  for (const Reduction reduction : it.reductions) json.item(name_of(reduction));
  json.end()
      .field("baseline", it.baseline, "lower_bound", it.lower_bound, "memory", name_of(it.memory),
             "skew_us", it.skew_us, "overlap_us", it.overlap_us)
      .end();
}

// Whose memory, and who carries calls on it out.
void write_gpus(JsonWriter& json, const BenchRun& run, const ExecutorInUse& executor) {
  if (run.gpus == nullptr) return;
  json.array("gpus");
  for (const std::string& name : run.gpus->device_names) json.item(name);
  json.end().field("ranks_on_busiest_gpu", run.gpus->busiest().size(), "executor", executor.name,
                   "executor_why", executor.why);
  write_rates(json, "gpu_copy", run.gpu_copy);
}

// `name`_geomean and `name`_worst, if any row has such a factor.
void write_summary(JsonWriter& json, const std::string& name, const std::optional<Summary>& it) {
  if (!it) return;
  const Operation& what = it->worst_row->what;
  json.field((name + "_geomean").c_str(), it->geomean)
      .object((name + "_worst").c_str())
      .field("factor", it->worst, "op", row_name(what.kind), "size_bytes",
             it->worst_row->size_bytes, "type", name_of(what.dtype), "redop", reduction_words(what))
      .end();
}

}  // namespace

std::string bench_json(const BenchRun& run, const Communicator& comm) {
  JsonWriter json(2);
  json.object().field("tool", "bench", "bootstrap", run.bootstrap, "world_size", comm.size(), "cpu",
                      run.machine.cpu, "cores", run.machine.cores, "date", run.machine.date,
                      "slot_bytes", comm.options().slot_bytes, "slot_count",
                      comm.options().slot_count, "algorithm", name_of(comm.options().algorithm),
                      "one_shot_most_bytes", comm.one_shot_most_bytes());
  write_options(json, run.arguments);
  json.field("baseline", run.arguments.baseline, "baseline_version", run.baseline_version);
  write_gpus(json, run, comm.device_executor());
  write_probe(json, "probe_before", run.before);
  write_probe(json, "probe_after", run.after);
  json.field("cores_before", core_distance(run.flag_before_ns).name, "cores_after",
             core_distance(run.flag_after_ns).name, "cores_moved",
             cores_moved(run.flag_before_ns, run.flag_after_ns) || !in_one_place(run.rows) ||
                 std::any_of(run.rows.begin(), run.rows.end(),
                             [](const Row& row) { return row.stand.moved(); }));
  if (run.status_ns) json.field("status_ns", *run.status_ns);
  if (run.calibrated)
    json.object("calibrated_ns")
        .field("call", run.calibrated->call_ns, "message", run.calibrated->message_ns, "slot",
               run.calibrated->slot_ns)
        .end();
  json.field("avg_busbw_gbs", avg_busbw_gbs(run.rows));
  write_summary(json, "baseline", baseline_summary(run.rows));
  write_summary(json, "lower_bound", lower_bound_summary(run.rows));
  json.field("wrong", wrong_in(run.rows));
  write_rows(json, run.rows);
  return json.end().text();
}

}  // namespace ringside::tools
