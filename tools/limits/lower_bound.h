// The lower bound: how little time an operation can take on this machine, from first principles and
// the probe (probe.h).
//
// The scheme. All memory is mapped by everybody. A rank says by one flag that its input may be
// read; whoever has seen it reads that memory where it lies. Each rank writes its own output, and
// nothing is ever copied on the way. What is left is what cannot be left out: flags of which one
// waits for the other, bytes that a rank must reduce, and bytes that it must copy.
//
//     lower bound = flags · flag latency + reduced / reduction rate + copied / copy rate
//
// A copy may be its reader's or its writer's, past the caches or not: the fastest counts (probe.h).
//
// For n ranks and S bytes (the table's size column: of one rank's buffer where that is whole, of
// all parts together where each rank has a part), the busiest rank:
//
//     operation                        flags   reduced      copied
//     all_reduce, reduce                 1     (n-1)·S      0            all in one step, or
//                                        2     (n-1)/n·S    (n-1)/n·S    a chunk each, then copies
//     reduce_scatter                     1     (n-1)/n·S    0
//     all_gather, gather, all_to_all     1     0            (n-1)/n·S
//     scatter                            1     0            S/n
//     reduce_scatter_v                   1     (n-1)·L      0            L: the longest part
//     all_gather_v                       1     0            S - s        s: the shortest part
//     broadcast, send_recv               1     0            S
//     barrier                            1     0            0            all signal all
//
// Of two ways the faster one is the lower bound: which that is depends on the size. Reducing one
// more contribution of b bytes counts as b bytes reduced. A rank's copy of its own part is not
// counted: it crosses nothing, and in place it does not exist. With one rank nothing crosses at
// all; what is left is the copy from the input to the output, S, where there are two buffers.
//
// It is a lower bound of this scheme on this machine as it was while it was probed, and no law: a
// result below it means that the cores stood better, or the caches held more, than during the
// probe.
#pragma once

#include <cstddef>
#include <vector>

#include "comm/algorithms/operation.h"
#include "tools/limits/probe.h"

namespace ringside::tools {

// What the busiest rank must at least wait for and do.
struct LeastWork {
  int flags = 0;
  std::size_t reduced_bytes = 0;
  std::size_t copied_bytes = 0;
  std::size_t moved_bytes = 0;  // read and written by a GPU's memory (gpu_lower_bound.h); else 0
};

// The ways to do it: one, or two where more bytes can buy fewer flags.
std::vector<LeastWork> least_work(Kind kind, int size, std::size_t size_bytes);

double lower_bound_us(const LeastWork& work, const MachineProbe& probe);

// The faster way, and its time.
struct LowerBound {
  LeastWork work;
  double time_us = 0;
};
LowerBound lower_bound_of(Kind kind, int size, std::size_t size_bytes, const MachineProbe& probe);

}  // namespace ringside::tools
