// Planning each operation: check, cut into chunks, choose the algorithm.
#include "comm/host/plan.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "comm/algorithms/algorithm.h"
#include "comm/error.h"

namespace ringside {
namespace {

const std::byte* bytes(const void* memory) { return static_cast<const std::byte*>(memory); }
std::byte* bytes(void* memory) { return static_cast<std::byte*>(memory); }

bool overlap(const std::byte* a, std::size_t a_bytes, const std::byte* b, std::size_t b_bytes) {
  const auto at = [](const std::byte* p) { return reinterpret_cast<std::uintptr_t>(p); };
  return at(a) < at(b) + b_bytes && at(b) < at(a) + a_bytes;
}

void check_apart(const Planner& planner, Kind kind, const void* a, std::size_t a_bytes,
                 const void* b, std::size_t b_bytes) {
  if (overlap(bytes(a), a_bytes, bytes(b), b_bytes))
    refuse(planner, kind,
           "the buffers overlap, and not in the way that \"in place\" means (communicator.h)");
}

void check_dtype(const Planner& planner, Kind kind, DType dtype) {
  if (static_cast<std::size_t>(dtype) >= kAllDTypes.size())
    refuse(planner, kind, text("there is no type number %d", static_cast<int>(dtype)));
}

void check_count(const Planner& planner, Kind kind, std::size_t count, DType dtype) {
  if (count > SIZE_MAX / 16 / bytes_of(dtype) / static_cast<std::size_t>(planner.size))
    refuse(planner, kind, text("%zu elements cannot be addressed", count));
}

// A call in which each rank has one part of a whole.
struct Parts {
  Chunks chunks;
  std::size_t own_first;  // this rank's first element in the whole
  std::size_t own_bytes;  // of this rank's part
  std::size_t whole_bytes;
  std::size_t own_offset_bytes;
};

Parts parts_of(const Planner& planner, Chunks chunks, DType dtype) {
  const Range own = chunks[planner.rank];
  const Range last = chunks[planner.size - 1];
  const std::size_t each = bytes_of(dtype);
  return {std::move(chunks), own.begin, own.count * each, (last.begin + last.count) * each,
          own.begin * each};
}

Parts equal_parts(const Planner& planner, std::size_t count, DType dtype) {
  return parts_of(planner, Chunks{static_cast<std::size_t>(planner.size) * count, planner.size},
                  dtype);
}

// Whether each rank's count, and all of them together, can be; returns their sum.
std::size_t checked_sum(const Planner& planner, Kind kind, std::span<const std::size_t> counts,
                        DType dtype) {
  if (counts.size() != static_cast<std::size_t>(planner.size))
    refuse(planner, kind,
           text("%zu counts for %d ranks; one for each is wanted", counts.size(), planner.size));
  std::size_t sum = 0;
  for (const std::size_t count : counts)
    if (__builtin_add_overflow(sum, count, &sum)) sum = SIZE_MAX;
  check_count(planner, kind, sum, dtype);
  return sum;
}

// `whole` holds all parts and `part` this rank's: either apart, or the part at its place in the
// whole.
void check_part_in_whole(const Planner& planner, Kind kind, const void* part, const void* whole,
                         const Parts& layout) {
  if (layout.own_bytes == 0 || bytes(part) == bytes(whole) + layout.own_offset_bytes) return;
  check_apart(planner, kind, part, layout.own_bytes, whole, layout.whole_bytes);
}

// Pieces on the mesh must fit the slots of pairs, which may be smaller than the ring's.
void cut_for(HostCall& call, std::size_t slot_bytes) {
  call.slice_count = slot_bytes / call.element_bytes;
  call.slices = slices_for(call.chunks.longest(), call.slice_count);
}

Plan make(const Planner& planner, const Operation& what, const void* send, void* recv,
          const Chunks& chunks, int steps) {
  Plan plan{};
  HostCall& call = plan.call;
  call.what = what;
  call.input = bytes(send);
  call.output = bytes(recv);
  call.element_bytes = bytes_of(what.dtype);
  call.chunks = chunks;
  cut_for(call, uses_mesh(what.kind) ? planner.pair_slot_bytes : planner.slot_bytes);
  call.steps_per_slice = steps;
  call.zero_copy_from_bytes = planner.zero_copy_from_bytes;
  call.streams = chunks.total() * call.element_bytes >= planner.stream_from_bytes;
  return plan;
}

void add_reduction(const Planner& planner, HostCall& call) {
  if (static_cast<std::size_t>(call.what.reduction) >= kAllReductions.size())
    refuse(planner, call.what.kind,
           text("there is no reduction number %d", static_cast<int>(call.what.reduction)));
  call.reduce = reduce_loop(call.what.dtype, call.what.reduction);
  if (call.what.reduction != Reduction::avg) return;
  call.divide = divide_loop(call.what.dtype);
  call.divisor = planner.size;
}

// An operation and its ragged twin differ in nothing but how the whole is cut.
Plan reduce_scatter_in(const Planner& planner, const Operation& what, const void* send, void* recv,
                       const Parts& parts) {
  check_part_in_whole(planner, what.kind, recv, send, parts);
  Plan plan = make(planner, what, send, recv, parts.chunks, planner.size - 1);
  plan.call.output_first = parts.own_first;
  add_reduction(planner, plan.call);
  plan.algorithm = algorithm_of<AlgorithmId::reduce_scatter>("ring");
  return plan;
}

Plan all_gather_in(const Planner& planner, const Operation& what, const void* send, void* recv,
                   const Parts& parts) {
  check_part_in_whole(planner, what.kind, send, recv, parts);
  Plan plan = make(planner, what, send, recv, parts.chunks, planner.size - 1);
  plan.call.input_first = parts.own_first;
  plan.algorithm = algorithm_of<AlgorithmId::all_gather>("ring");
  return plan;
}

// Groups are part of what the call is, so ranks that form others find out.
void take_groups(const Planner& planner, Plan& plan) {
  const int ranks = planner.group_ranks;
  if (ranks < 1 || planner.size % ranks != 0)
    refuse(planner, plan.call.what.kind,
           text("%d ranks cannot be cut into groups of %d (RINGSIDE_ALGORITHM=hierarchical:%d)",
                planner.size, ranks, ranks));
  plan.algorithm = all_reduce_by(AlgorithmId::all_reduce_hierarchical);
  plan.call.what.root = ranks;
  cut_for(plan.call, planner.pair_slot_bytes);
  plan.call.steps_per_slice = Groups{{planner.rank, planner.size}, ranks}.steps();
}

}  // namespace

std::size_t one_shot_most_bytes(const Planner& planner) {
  if (planner.size < 2) return 0;
  if (planner.algorithm == Algorithm::one_shot) return planner.pair_slot_bytes;
  if (planner.algorithm != Algorithm::automatic) return 0;
  return std::min(planner.pair_slot_bytes, one_shot_pays_up_to(planner.size));
}

std::size_t two_shot_most_bytes(const Planner& planner) {
  if (planner.size < 2) return 0;
  if (planner.algorithm == Algorithm::two_shot) return SIZE_MAX;
  if (planner.algorithm != Algorithm::automatic) return 0;
  return two_shot_pays_up_to(planner.size);
}

NamedAlgorithm all_reduce_by(AlgorithmId text) {
  if (text == AlgorithmId::all_reduce_one_shot)
    return algorithm_of<AlgorithmId::all_reduce_one_shot>("one-shot");
  if (text == AlgorithmId::all_reduce_two_shot)
    return algorithm_of<AlgorithmId::all_reduce_two_shot>("two-shot");
  if (text == AlgorithmId::all_reduce_hierarchical)
    return algorithm_of<AlgorithmId::all_reduce_hierarchical>("hierarchical");
  return algorithm_of<AlgorithmId::all_reduce>("ring");
}

void refuse(const Planner& planner, Kind kind, const std::string& why) {
  throw Error(Fault::usage, text("rank %d: %s: %s", planner.rank, name_of(kind), why.c_str()));
}

void check_buffer(const Planner& planner, Kind kind, const void* buffer, std::size_t count,
                  DType dtype) {
  check_dtype(planner, kind, dtype);
  if (buffer == nullptr && count > 0)
    refuse(planner, kind, text("no buffer (null) for %zu elements", count));
  check_count(planner, kind, count, dtype);
}

void check_peer(const Planner& planner, Kind kind, const char* role, int rank) {
  if (rank < 0 || rank >= planner.size)
    refuse(planner, kind,
           text("%s %d does not exist; there are ranks 0 to %d", role, rank, planner.size - 1));
}

Plan plan_all_reduce(const Planner& planner, const void* send, void* recv, std::size_t count,
                     DType dtype, Reduction reduction) {
  const Kind kind = Kind::all_reduce;
  check_buffer(planner, kind, send, count, dtype);
  check_buffer(planner, kind, recv, count, dtype);
  const std::size_t total_bytes = count * bytes_of(dtype);
  if (send != recv) check_apart(planner, kind, send, total_bytes, recv, total_bytes);
  Plan plan = make(planner, {kind, dtype, reduction, 0, count}, send, recv,
                   Chunks{count, planner.size}, 2 * (planner.size - 1));
  add_reduction(planner, plan.call);
  const std::size_t one_shot = one_shot_most_bytes(planner);
  const std::size_t two_shot = two_shot_most_bytes(planner);
  if (one_shot > 0 && total_bytes <= one_shot) {
    plan.algorithm = all_reduce_by(AlgorithmId::all_reduce_one_shot);
  } else if (two_shot > 0 && total_bytes <= two_shot) {
    plan.algorithm = all_reduce_by(AlgorithmId::all_reduce_two_shot);
    cut_for(plan.call, planner.pair_slot_bytes);
    plan.call.steps_per_slice *= 2;  // each message out is a step, and each message in
  } else if (planner.algorithm == Algorithm::hierarchical) {
    take_groups(planner, plan);
  } else {
    plan.algorithm = all_reduce_by(AlgorithmId::all_reduce);
  }
  return plan;
}

Plan plan_reduce_scatter(const Planner& planner, const void* send, void* recv,
                         std::size_t recv_count, DType dtype, Reduction reduction) {
  const Kind kind = Kind::reduce_scatter;
  check_buffer(planner, kind, send, recv_count, dtype);
  check_buffer(planner, kind, recv, recv_count, dtype);
  return reduce_scatter_in(planner, {kind, dtype, reduction, 0, recv_count}, send, recv,
                           equal_parts(planner, recv_count, dtype));
}

Plan plan_reduce_scatter_v(const Planner& planner, const void* send, void* recv,
                           std::span<const std::size_t> counts, DType dtype, Reduction reduction) {
  const Kind kind = Kind::reduce_scatter_v;
  check_dtype(planner, kind, dtype);
  const std::size_t sum = checked_sum(planner, kind, counts, dtype);
  check_buffer(planner, kind, send, sum, dtype);
  check_buffer(planner, kind, recv, counts[static_cast<std::size_t>(planner.rank)], dtype);
  return reduce_scatter_in(planner, {kind, dtype, reduction, 0, sum, layout_of(counts)}, send, recv,
                           parts_of(planner, Chunks{counts}, dtype));
}

Plan plan_all_gather(const Planner& planner, const void* send, void* recv, std::size_t send_count,
                     DType dtype) {
  const Kind kind = Kind::all_gather;
  check_buffer(planner, kind, send, send_count, dtype);
  check_buffer(planner, kind, recv, send_count, dtype);
  return all_gather_in(planner, {kind, dtype, Reduction::sum, 0, send_count}, send, recv,
                       equal_parts(planner, send_count, dtype));
}

Plan plan_all_gather_v(const Planner& planner, const void* send, void* recv,
                       std::span<const std::size_t> counts, DType dtype) {
  const Kind kind = Kind::all_gather_v;
  check_dtype(planner, kind, dtype);
  const std::size_t sum = checked_sum(planner, kind, counts, dtype);
  check_buffer(planner, kind, send, counts[static_cast<std::size_t>(planner.rank)], dtype);
  check_buffer(planner, kind, recv, sum, dtype);
  return all_gather_in(planner, {kind, dtype, Reduction::sum, 0, sum, layout_of(counts)}, send,
                       recv, parts_of(planner, Chunks{counts}, dtype));
}

Plan plan_broadcast(const Planner& planner, void* buffer, std::size_t count, DType dtype,
                    int root) {
  const Kind kind = Kind::broadcast;
  check_buffer(planner, kind, buffer, count, dtype);
  check_peer(planner, kind, "root", root);
  const bool passes_on = Ring{planner.rank, planner.size}.right().rank != root;
  Plan plan = make(planner, {kind, dtype, Reduction::sum, root, count}, buffer, buffer,
                   Chunks{count, 1}, planner.rank != root && passes_on ? 2 : 1);
  plan.algorithm = algorithm_of<AlgorithmId::broadcast>("chain");
  return plan;
}

Plan plan_barrier(const Planner& planner) {
  Plan plan = make(planner, {}, nullptr, nullptr, Chunks{0, planner.size}, planner.size - 1);
  plan.algorithm = algorithm_of<AlgorithmId::barrier>("ring");
  return plan;
}

Plan plan_reduce(const Planner& planner, const void* send, void* recv, std::size_t count,
                 DType dtype, Reduction reduction, int root) {
  const Kind kind = Kind::reduce;
  const bool is_root = planner.rank == root;
  check_peer(planner, kind, "root", root);
  check_buffer(planner, kind, send, count, dtype);
  if (is_root) check_buffer(planner, kind, recv, count, dtype);
  const std::size_t total_bytes = count * bytes_of(dtype);
  if (is_root && send != recv) check_apart(planner, kind, send, total_bytes, recv, total_bytes);
  const int steps = planner.size - 1;
  Plan plan = make(planner, {kind, dtype, reduction, root, count}, send, recv,
                   Chunks{count, planner.size}, steps + (is_root ? steps : 1));
  add_reduction(planner, plan.call);
  plan.algorithm = algorithm_of<AlgorithmId::reduce>("ring and mesh");
  return plan;
}

Plan plan_gather(const Planner& planner, const void* send, void* recv, std::size_t send_count,
                 DType dtype, int root) {
  const Kind kind = Kind::gather;
  const bool is_root = planner.rank == root;
  check_peer(planner, kind, "root", root);
  check_buffer(planner, kind, send, send_count, dtype);
  if (is_root) check_buffer(planner, kind, recv, send_count, dtype);
  const Parts parts = equal_parts(planner, send_count, dtype);
  if (is_root) check_part_in_whole(planner, kind, send, recv, parts);
  Plan plan = make(planner, {kind, dtype, Reduction::sum, root, send_count}, send, recv,
                   parts.chunks, is_root ? planner.size - 1 : 1);
  plan.call.input_first = parts.own_first;
  plan.algorithm = algorithm_of<AlgorithmId::gather>("mesh");
  return plan;
}

Plan plan_scatter(const Planner& planner, const void* send, void* recv, std::size_t recv_count,
                  DType dtype, int root) {
  const Kind kind = Kind::scatter;
  const bool is_root = planner.rank == root;
  check_peer(planner, kind, "root", root);
  check_buffer(planner, kind, recv, recv_count, dtype);
  if (is_root) check_buffer(planner, kind, send, recv_count, dtype);
  const Parts parts = equal_parts(planner, recv_count, dtype);
  if (is_root) check_part_in_whole(planner, kind, recv, send, parts);
  Plan plan = make(planner, {kind, dtype, Reduction::sum, root, recv_count}, send, recv,
                   parts.chunks, is_root ? planner.size - 1 : 1);
  plan.call.output_first = parts.own_first;
  plan.algorithm = algorithm_of<AlgorithmId::scatter>("mesh");
  return plan;
}

Plan plan_all_to_all(const Planner& planner, const void* send, void* recv, std::size_t count,
                     DType dtype) {
  const Kind kind = Kind::all_to_all;
  check_buffer(planner, kind, send, count, dtype);
  check_buffer(planner, kind, recv, count, dtype);
  const Parts parts = equal_parts(planner, count, dtype);
  check_apart(planner, kind, send, parts.whole_bytes, recv, parts.whole_bytes);
  Plan plan = make(planner, {kind, dtype, Reduction::sum, 0, count}, send, recv, parts.chunks,
                   planner.size - 1);
  plan.algorithm = algorithm_of<AlgorithmId::all_to_all>("mesh");
  return plan;
}

}  // namespace ringside
