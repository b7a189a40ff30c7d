// The algorithms' texts by number, for whoever has to say which one and cannot hand over a
// function: a plan (plan.h), and a kernel's argument (device_executor.h).
#pragma once

#include <cstdint>

#include "comm/algorithms/hierarchical.h"
#include "comm/algorithms/mesh.h"
#include "comm/algorithms/one_shot.h"
#include "comm/algorithms/ring.h"
#include "comm/algorithms/two_shot.h"
#include "kernels/hd.h"

namespace ringside {

enum class AlgorithmId : std::uint8_t {
  all_reduce,
  all_reduce_one_shot,
  all_reduce_two_shot,
  all_reduce_hierarchical,
  reduce_scatter,
  all_gather,
  broadcast,
  barrier,
  reduce,
  gather,
  scatter,
  all_to_all,
};

// The texts that have the ring's primitives alone.
constexpr bool on_ring_only(AlgorithmId text) {
  return text == AlgorithmId::all_reduce || text == AlgorithmId::reduce_scatter ||
         text == AlgorithmId::all_gather || text == AlgorithmId::broadcast ||
         text == AlgorithmId::barrier;
}

// Runs one algorithm on an executor. `root` is for those that have one; hierarchical's is the
// number of ranks of a group.
template <AlgorithmId kId, class Executor, class Ring>
RINGSIDE_HD void run_algorithm(Executor& executor, const Ring& ring, int root) {
  if constexpr (kId == AlgorithmId::all_reduce) all_reduce(executor, ring);
  if constexpr (kId == AlgorithmId::all_reduce_one_shot) all_reduce_one_shot(executor, ring);
  if constexpr (kId == AlgorithmId::all_reduce_two_shot) all_reduce_two_shot(executor, ring);
  if constexpr (kId == AlgorithmId::all_reduce_hierarchical)
    all_reduce_hierarchical(executor, Groups{ring, root});
  if constexpr (kId == AlgorithmId::reduce_scatter) reduce_scatter(executor, ring);
  if constexpr (kId == AlgorithmId::all_gather) all_gather(executor, ring);
  if constexpr (kId == AlgorithmId::broadcast) broadcast(executor, ring, root);
  if constexpr (kId == AlgorithmId::barrier) barrier(executor, ring);
  if constexpr (kId == AlgorithmId::reduce) reduce(executor, ring, root);
  if constexpr (kId == AlgorithmId::gather) gather(executor, ring, root);
  if constexpr (kId == AlgorithmId::scatter) scatter(executor, ring, root);
  if constexpr (kId == AlgorithmId::all_to_all) all_to_all(executor, ring);
}

// The same, where the number is known only now; for executors that have the ring's primitives
// alone.
template <class Executor, class Ring>
RINGSIDE_HD void run_ring_algorithm(AlgorithmId text, Executor& executor, const Ring& ring,
                                    int root) {
  if (text == AlgorithmId::all_reduce) run_algorithm<AlgorithmId::all_reduce>(executor, ring, root);
  if (text == AlgorithmId::reduce_scatter)
    run_algorithm<AlgorithmId::reduce_scatter>(executor, ring, root);
  if (text == AlgorithmId::all_gather) run_algorithm<AlgorithmId::all_gather>(executor, ring, root);
  if (text == AlgorithmId::broadcast) run_algorithm<AlgorithmId::broadcast>(executor, ring, root);
  if (text == AlgorithmId::barrier) run_algorithm<AlgorithmId::barrier>(executor, ring, root);
}

// And for executors that have them all.
template <class Executor, class Ring>
RINGSIDE_HD void run_any_algorithm(AlgorithmId text, Executor& executor, const Ring& ring,
                                   int root) {
  run_ring_algorithm(text, executor, ring, root);
  if (text == AlgorithmId::all_reduce_one_shot)
    run_algorithm<AlgorithmId::all_reduce_one_shot>(executor, ring, root);
  if (text == AlgorithmId::all_reduce_two_shot)
    run_algorithm<AlgorithmId::all_reduce_two_shot>(executor, ring, root);
  if (text == AlgorithmId::reduce) run_algorithm<AlgorithmId::reduce>(executor, ring, root);
  if (text == AlgorithmId::gather) run_algorithm<AlgorithmId::gather>(executor, ring, root);
  if (text == AlgorithmId::scatter) run_algorithm<AlgorithmId::scatter>(executor, ring, root);
  if (text == AlgorithmId::all_to_all) run_algorithm<AlgorithmId::all_to_all>(executor, ring, root);
}

}  // namespace ringside
