// The lower bound on device memory, and the explanation of a row there: which executor carries a
// call out, how, and how many bytes must move.
//
// The scheme. Whatever the algorithm, each input is read once and each output is written once, all
// of them in memory of the GPUs. Ranks that share a GPU share its memory's speed, so the lower
// bound is that of the GPU with the most ranks:
//
//     lower bound = (bytes of its ranks' inputs + bytes of their outputs) / the rate of a copy
//
// where a copy's rate counts what it reads and what it writes. For n ranks on one GPU and S bytes
// (the table's size column) that is, out of place:
//
//     all_reduce, all_to_all, send_recv    2·n·S         n inputs of S, n outputs of S
//     reduce                               (n + 1)·S     one output
//     reduce_scatter, reduce_scatter_v     (n + 1)·S     n inputs of S, n outputs of S/n together S
//     all_gather, all_gather_v             (n + 1)·S     the other way round
//     broadcast                            n·S           one buffer: read on the root, else written
//     gather, scatter                      2·S
//     barrier                              0
//
// Launches, flags, and links between GPUs take time too and are not in it: with several GPUs, and
// for small sizes, the true lower bound is higher. A copy that fits the GPU's cache is faster than
// one that does not; the rate is that of a copy that moves as many bytes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/util/json.h"
#include "tools/limits/lower_bound.h"
#include "tools/support/call.h"
#include "tools/support/gpu.h"

namespace ringside::tools {

// What the memory of the GPU that has these ranks must read and write together.
std::size_t moved_bytes(const Operation& what, const std::vector<int>& ranks, int size);

// Its only work is moved_bytes.
LowerBound gpu_lower_bound(const Operation& what, const std::vector<int>& ranks, int size,
                           const std::vector<Rate>& copy);

struct GpuExplanation {
  std::string algorithm;  // "ring", "chain", …
  std::string executor;   // "device", "stream", "host"
  std::string why;        // that one: a sentence without its full stop
  std::size_t moved_bytes = 0;
  double copy_gbs = 0;  // of a copy that moves as many
  double lower_bound_us = 0;
};

GpuExplanation explain_on_gpu(const Communicator& comm, const Operation& what,
                              const LowerBound& lower_bound, const std::vector<Rate>& copy);

// Lines below a row, and the object "explain".
std::string explain_words(const GpuExplanation& it, double measured_us);
void write_explanation(JsonWriter& json, const GpuExplanation& it, double measured_us);

// Two lines above all tables: whose memory, and which executor.
std::string gpu_words(const RankGpus& gpus, const ExecutorInUse& executor);

// Throws Error{usage} on every rank where two buffers each do not fit some GPU. Collective.
void check_gpu_memory(Communicator& comm, const RankGpus& gpus, std::size_t end_bytes,
                      std::size_t extra_bytes);

}  // namespace ringside::tools
