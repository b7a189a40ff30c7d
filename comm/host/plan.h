// From a call's arguments to what the executor needs: everything that is decided before a byte
// moves.
//
// A plan is a value: the call in terms of memory, and the algorithm that is to carry it out. It
// depends on the arguments and on what all ranks agreed on at the start, so all ranks make fitting
// plans; it can be made on one thread and carried out on another. Arguments that make no sense are
// refused here, with Error{usage}, when nothing has been sent yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "comm/algorithms/algorithm.h"
#include "comm/algorithms/operation.h"
#include "comm/algorithms/ring.h"
#include "comm/host/executor.h"
#include "comm/host/traced_executor.h"
#include "comm/options.h"

namespace ringside {

// Who plans: the same on all ranks but for `rank`.
struct Planner {
  int rank = 0;
  int size = 1;
  std::size_t slot_bytes = 0;       // of the ring
  std::size_t pair_slot_bytes = 0;  // of the mesh
  Algorithm algorithm = Algorithm::automatic;
  std::size_t stream_from_bytes = SIZE_MAX;
  std::size_t zero_copy_from_bytes = SIZE_MAX;  // where ranks may expose at all
  int group_ranks = 0;                          // of Algorithm::hierarchical
};

// An algorithm's one text, for each executor that may read it.
struct NamedAlgorithm {
  const char* name = nullptr;
  AlgorithmId text{};
  void (*on_host)(HostExecutor& executor, const Ring& ring, const Operation& what) = nullptr;
  void (*on_trace)(TracedExecutor& executor, const Ring& ring, const Operation& what) = nullptr;
};

template <AlgorithmId kId>
NamedAlgorithm algorithm_of(const char* name) {
  const auto read = [](auto& executor, const Ring& ring, const Operation& what) {
    run_algorithm<kId>(executor, ring, what.root);
  };
  return {name, kId, read, read};
}

struct Plan {
  HostCall call;
  NamedAlgorithm algorithm;
};

// Up to how many bytes an all_reduce takes one step; 0: none does. A pure function of what all
// ranks agree on, so all choose alike.
std::size_t one_shot_most_bytes(const Planner& planner);

// From there up to how many bytes it takes two; 0: none does.
std::size_t two_shot_most_bytes(const Planner& planner);

// The algorithm of an all_reduce, by its text.
NamedAlgorithm all_reduce_by(AlgorithmId text);

// Shapes, in-place rules and meaning as in communicator.h. Each throws Error{usage}.
Plan plan_all_reduce(const Planner& planner, const void* send, void* recv, std::size_t count,
                     DType dtype, Reduction reduction);
Plan plan_reduce_scatter(const Planner& planner, const void* send, void* recv,
                         std::size_t recv_count, DType dtype, Reduction reduction);
Plan plan_all_gather(const Planner& planner, const void* send, void* recv, std::size_t send_count,
                     DType dtype);
Plan plan_reduce_scatter_v(const Planner& planner, const void* send, void* recv,
                           std::span<const std::size_t> counts, DType dtype, Reduction reduction);
Plan plan_all_gather_v(const Planner& planner, const void* send, void* recv,
                       std::span<const std::size_t> counts, DType dtype);
Plan plan_broadcast(const Planner& planner, void* buffer, std::size_t count, DType dtype, int root);
Plan plan_barrier(const Planner& planner);
Plan plan_reduce(const Planner& planner, const void* send, void* recv, std::size_t count,
                 DType dtype, Reduction reduction, int root);
Plan plan_gather(const Planner& planner, const void* send, void* recv, std::size_t send_count,
                 DType dtype, int root);
Plan plan_scatter(const Planner& planner, const void* send, void* recv, std::size_t recv_count,
                  DType dtype, int root);
Plan plan_all_to_all(const Planner& planner, const void* send, void* recv, std::size_t count,
                     DType dtype);

// The checks that send and recv share with collectives.
void check_buffer(const Planner& planner, Kind kind, const void* buffer, std::size_t count,
                  DType dtype);
void check_peer(const Planner& planner, Kind kind, const char* role, int rank);
[[noreturn]] void refuse(const Planner& planner, Kind kind, const std::string& why);

}  // namespace ringside
