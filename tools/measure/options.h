// The options of tools that measure collectives, in the letters that users of nccl-tests know.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "comm/algorithms/operation.h"
#include "comm/options.h"
#include "kernels/dtype.h"
#include "kernels/reduction.h"
#include "tools/support/buffers.h"
#include "tools/support/command_line.h"
#include "tools/support/fault_injection.h"

namespace ringside::tools {

// The programs that read them. Most options are common to all.
enum class Tool { ring_allreduce, bench };

struct Arguments {
  std::size_t begin_bytes = 8;
  std::size_t end_bytes = std::size_t{64} << 20;
  std::size_t factor = 2, step_bytes = 0;  // the next size; step_bytes 0: by the factor
  int iterations = 0;                      // 0: as many as fit into a short, fixed time a row
  int warmup = -1;                         // -1: as many as it takes to estimate that
  std::vector<DType> dtypes = {DType::f32};
  std::vector<Reduction> reductions = {Reduction::sum};
  std::vector<Kind> kinds = {Kind::all_reduce};
  int threads = 0;  // ranks as threads of this process; 0: processes, as mpirun started them
  bool json = false;
  bool demo = true;          // ring_allreduce
  std::string baseline;      // bench: the library to compare with; empty: none
  bool lower_bound = false;  // bench
  Memory memory =
      Memory::ordinary;  // where the buffers come from; ring_allreduce: ordinary or device
  std::optional<ExecutorChoice> executor;  // with device memory; none: as in the environment
  int skew_us = 0;                 // bench: by how much one rank comes later than the others
  int overlap_us = 0;              // bench: how much is computed during each call
  bool explain = false;            // what each row is made of; in bench with the lower bound
  std::optional<Injection> fault;  // what one rank does wrong, on purpose
  std::string trace;               // the file for the timeline; empty: none
  int nccl_threads = 1, nccl_gpus = 1, nccl_check = 1;  // nccl-tests' -t, -g, -c
  std::string notes;                                    // lines about these, for the table's head
  Request request = Request::none;
};

// The table of `tool`, which reads into `it`.
std::vector<OptionRow> options_of(Arguments& it, Tool tool);

// Reads argv. Throws Error{usage} with one sentence.
Arguments parse_arguments(int argc, char** argv, Tool tool);

// What --help prints.
std::string help_text(Tool tool);

}  // namespace ringside::tools
