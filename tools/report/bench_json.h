// A run of the bench, whole, and as JSON: every number of the table, and what it stands on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "tools/limits/probe.h"
#include "tools/measure/host_info.h"
#include "tools/measure/measure.h"
#include "tools/measure/options.h"
#include "tools/report/table.h"
#include "tools/support/gpu.h"

namespace ringside::tools {

struct BenchRun {
  const Arguments& arguments;
  std::string bootstrap;
  Machine machine;
  std::string baseline_version;                  // empty without a baseline
  std::optional<MachineProbe> before, after;     // with --baseline or --lower-bound
  double flag_before_ns = 0, flag_after_ns = 0;  // 0: on device memory, or one rank
  std::optional<double> status_ns;               // with --lower-bound: measure.h
  std::vector<Row> rows;
  std::optional<ringside::Machine> calibrated;  // with --explain, on rank 0
  const RankGpus* gpus = nullptr;               // with --memory device
  std::vector<Rate> gpu_copy;                   // with --lower-bound on device memory: gpu.h
};

std::string bench_json(const BenchRun& run, const Communicator& comm);

}  // namespace ringside::tools
