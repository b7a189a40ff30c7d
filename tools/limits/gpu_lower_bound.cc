// The bytes of gpu_lower_bound.h, counted from the operations' own shapes, and its sentences.
#include "tools/limits/gpu_lower_bound.h"

#include <algorithm>

#include "comm/error.h"
#include "comm/host/plan.h"
#include "tools/support/command_line.h"

namespace ringside::tools {

std::size_t moved_bytes(const Operation& what, const std::vector<int>& ranks, int size) {
  std::size_t elements = 0;
  for (const int rank : ranks) {
    elements += input_count(what, rank, size);
    const bool only_read = what.kind == Kind::broadcast && rank == what.root;
    elements += only_read ? 0 : output_count(what, rank, size);
  }
  // A broadcast to oneself has nothing to do.
  if (what.kind == Kind::barrier || (what.kind == Kind::broadcast && size == 1)) return 0;
  return elements * bytes_of(what.dtype);
}

LowerBound gpu_lower_bound(const Operation& what, const std::vector<int>& ranks, int size,
                           const std::vector<Rate>& copy) {
  LowerBound lower_bound;
  lower_bound.work.moved_bytes = moved_bytes(what, ranks, size);
  if (lower_bound.work.moved_bytes > 0)
    lower_bound.time_us = static_cast<double>(lower_bound.work.moved_bytes) /
                          rate_at(copy, lower_bound.work.moved_bytes) / 1e3;
  return lower_bound;
}

GpuExplanation explain_on_gpu(const Communicator& comm, const Operation& what,
                              const LowerBound& lower_bound, const std::vector<Rate>& copy) {
  GpuExplanation it;
  it.moved_bytes = lower_bound.work.moved_bytes;
  it.copy_gbs = rate_at(copy, it.moved_bytes);
  it.lower_bound_us = lower_bound.time_us;
  if (what.kind == Kind::send_recv) {
    it.algorithm = "messages";
    it.executor = "host";
    it.why = "messages go through the host's memory";
    return it;
  }
  const ExecutorInUse way = comm.device_executor_for(what);
  it.algorithm = name_of(way.algorithm);
  it.executor = way.name;
  it.why = way.why;
  return it;
}

std::string explain_words(const GpuExplanation& it, double measured_us) {
  std::string words =
      "#   " + it.algorithm + ", by the " + it.executor + " executor: " + it.why + "\n";
  if (it.moved_bytes == 0) return words;
  return words + text("#   moves %s bytes at least, %.2f us at %.0f GB/s; measured %s us\n",
                      short_bytes(it.moved_bytes).c_str(), it.lower_bound_us, it.copy_gbs,
                      time_words(measured_us).c_str());
}

void write_explanation(JsonWriter& json, const GpuExplanation& it, double measured_us) {
  json.object("explain")
      .field("algorithm", it.algorithm, "executor", it.executor, "why", it.why, "moved_bytes",
             it.moved_bytes, "copy_gbs", it.copy_gbs, "lower_bound_us", it.lower_bound_us,
             "measured_us", measured_us)
      .end();
}

std::string gpu_words(const RankGpus& gpus, const ExecutorInUse& executor) {
  return "# memory: of " + gpus.words() + "\n" + text("# executor: %s; ", executor.name) +
         executor.why + "\n";
}

void check_gpu_memory(Communicator& comm, const RankGpus& gpus, std::size_t end_bytes,
                      std::size_t extra_bytes) {
  const auto mine = gpus.device_of[static_cast<std::size_t>(comm.rank())];
  const auto sharing =
      static_cast<std::size_t>(std::count(gpus.device_of.begin(), gpus.device_of.end(), mine));
  const std::size_t wanted = 2 * end_bytes * sharing + extra_bytes;
  const std::size_t free = gpus.mine->free_bytes();
  std::int64_t fits = wanted <= free ? 1 : 0;
  comm.all_reduce(&fits, &fits, 1, DType::i64, Reduction::min);
  if (fits == 0)
    throw Error(Fault::usage,
                text("-e %s needs two buffers for each rank, and some GPU has not that much free",
                     short_bytes(end_bytes).c_str()));
}

}  // namespace ringside::tools
