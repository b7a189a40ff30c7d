// Runs an operation's algorithm on an executor: the one place that knows which template is whose.
// Ranks, kernels, the simulator and the prover all come here, so what is proved and priced is what
// runs.
#pragma once

#include "comm/algorithms/hierarchical.h"
#include "comm/algorithms/mesh.h"
#include "comm/algorithms/one_shot.h"
#include "comm/algorithms/operation.h"
#include "comm/algorithms/ring.h"
#include "comm/algorithms/two_shot.h"
#include "kernels/hd.h"

namespace ringside {

// An executor that has the primitives of the ring alone says so by `static constexpr bool
// kRingOnly`, and one that carries out no all_reduce in groups by `kWithoutGroups`.
template <class Executor>
concept RingOnly = requires {
  Executor::kRingOnly;
};
template <class Executor>
concept WithoutGroups = RingOnly<Executor> || requires {
  Executor::kWithoutGroups;
};

// `algorithm` is the one that was chosen, never automatic; it matters where there is a choice.
// `root` is for operations that have one; hierarchical's is the number of ranks of a group. A send
// or recv has no algorithm.
template <class Executor, class Ring>
RINGSIDE_HD void run_algorithm(Kind kind, Algorithm algorithm, Executor& executor, const Ring& ring,
                               int root) {
  if constexpr (!WithoutGroups<Executor>)
    if (algorithm == Algorithm::hierarchical)
      return all_reduce_hierarchical(executor, Groups{ring, root});
  if constexpr (!RingOnly<Executor>) {
    if (algorithm == Algorithm::one_shot) return all_reduce_one_shot(executor, ring);
    if (algorithm == Algorithm::two_shot) return all_reduce_two_shot(executor, ring);
    if (kind == Kind::reduce) return reduce(executor, ring, root);
    if (kind == Kind::gather) return gather(executor, ring, root);
    if (kind == Kind::scatter) return scatter(executor, ring, root);
    if (kind == Kind::all_to_all) return all_to_all(executor, ring);
  }
  if (kind == Kind::all_reduce) return all_reduce(executor, ring);
  if (kind == Kind::reduce_scatter || kind == Kind::reduce_scatter_v)
    return reduce_scatter(executor, ring);
  if (kind == Kind::all_gather || kind == Kind::all_gather_v) return all_gather(executor, ring);
  if (kind == Kind::broadcast) return broadcast(executor, ring, root);
  if (kind == Kind::barrier) return barrier(executor, ring);
}

}  // namespace ringside
