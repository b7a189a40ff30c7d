// Planning each operation: check the arguments, find the chunks.
#include "comm/host/plan.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "comm/error.h"

namespace ringside {
namespace {

const std::byte* bytes(const void* memory) { return static_cast<const std::byte*>(memory); }
std::byte* bytes(void* memory) { return static_cast<std::byte*>(memory); }

bool overlap(const std::byte* a, std::size_t a_bytes, const std::byte* b, std::size_t b_bytes) {
  const auto at = [](const std::byte* p) { return reinterpret_cast<std::uintptr_t>(p); };
  return at(a) < at(b) + b_bytes && at(b) < at(a) + a_bytes;
}

void check_apart(const Ring& self, Kind kind, const void* a, std::size_t a_bytes, const void* b,
                 std::size_t b_bytes) {
  if (overlap(bytes(a), a_bytes, bytes(b), b_bytes))
    refuse(self, kind,
           "the buffers overlap, and not in the way that \"in place\" means (communicator.h)");
}

void check_dtype(const Ring& self, Kind kind, DType dtype) {
  if (static_cast<std::size_t>(dtype) >= kAllDTypes.size())
    refuse(self, kind, text("there is no type number %d", static_cast<int>(dtype)));
}

void check_count(const Ring& self, Kind kind, std::size_t count, DType dtype) {
  if (count > SIZE_MAX / 16 / bytes_of(dtype) / static_cast<std::size_t>(self.size))
    refuse(self, kind, text("%zu elements cannot be addressed", count));
}

// A call in which each rank has one part of a whole.
struct Parts {
  Chunks chunks;
  std::size_t own_first;  // this rank's first element in the whole
  std::size_t own_bytes;  // of this rank's part
  std::size_t whole_bytes;
  std::size_t own_offset_bytes;
};

Parts parts_of(const Ring& self, Chunks chunks, DType dtype) {
  const Range own = chunks[self.rank];
  const Range last = chunks[self.size - 1];
  const std::size_t each = bytes_of(dtype);
  return {std::move(chunks), own.begin, own.count * each, (last.begin + last.count) * each,
          own.begin * each};
}

Parts equal_parts(const Ring& self, std::size_t count, DType dtype) {
  return parts_of(self, Chunks{static_cast<std::size_t>(self.size) * count, self.size}, dtype);
}

// Whether each rank's count, and all of them together, can be; returns their sum.
std::size_t checked_sum(const Ring& self, Kind kind, std::span<const std::size_t> counts,
                        DType dtype) {
  if (counts.size() != static_cast<std::size_t>(self.size))
    refuse(self, kind,
           text("%zu counts for %d ranks; one for each is wanted", counts.size(), self.size));
  std::size_t sum = 0;
  for (const std::size_t count : counts)
    if (__builtin_add_overflow(sum, count, &sum)) sum = SIZE_MAX;
  check_count(self, kind, sum, dtype);
  return sum;
}

// `whole` holds all parts and `part` this rank's: either apart, or the part at its place in the
// whole.
void check_part_in_whole(const Ring& self, Kind kind, const void* part, const void* whole,
                         const Parts& layout) {
  if (layout.own_bytes == 0 || bytes(part) == bytes(whole) + layout.own_offset_bytes) return;
  check_apart(self, kind, part, layout.own_bytes, whole, layout.whole_bytes);
}

void add_reduction(const Ring& self, Plan& plan) {
  if (static_cast<std::size_t>(plan.what.reduction) >= kAllReductions.size())
    refuse(self, plan.what.kind,
           text("there is no reduction number %d", static_cast<int>(plan.what.reduction)));
  plan.reduce = reduce_loop(plan.what.dtype, plan.what.reduction);
  if (plan.what.reduction != Reduction::avg) return;
  plan.divide = divide_loop(plan.what.dtype);
  plan.divisor = self.size;
}

Plan make(const Ring& self, const Operation& what, const void* send, void* recv, Chunks chunks) {
  Plan plan;
  plan.what = what;
  plan.input = bytes(send);
  plan.output = bytes(recv);
  plan.element_bytes = bytes_of(what.dtype);
  plan.chunks = std::move(chunks);
  if (has_reduction(what.kind)) add_reduction(self, plan);
  return plan;
}

// An operation and its ragged twin differ in nothing but how the whole is cut.
Plan reduce_scatter_in(const Ring& self, const Operation& what, const void* send, void* recv,
                       const Parts& parts) {
  check_part_in_whole(self, what.kind, recv, send, parts);
  Plan plan = make(self, what, send, recv, parts.chunks);
  plan.output_first = parts.own_first;
  return plan;
}

Plan all_gather_in(const Ring& self, const Operation& what, const void* send, void* recv,
                   const Parts& parts) {
  check_part_in_whole(self, what.kind, send, recv, parts);
  Plan plan = make(self, what, send, recv, parts.chunks);
  plan.input_first = parts.own_first;
  return plan;
}

}  // namespace

void refuse(const Ring& self, Kind kind, const std::string& why) {
  throw Error(Fault::usage, text("rank %d: %s: %s", self.rank, name_of(kind), why.c_str()));
}

void check_buffer(const Ring& self, Kind kind, const void* buffer, std::size_t count, DType dtype) {
  check_dtype(self, kind, dtype);
  if (buffer == nullptr && count > 0)
    refuse(self, kind, text("no buffer (null) for %zu elements", count));
  check_count(self, kind, count, dtype);
}

void check_peer(const Ring& self, Kind kind, const char* role, int rank) {
  if (rank < 0 || rank >= self.size)
    refuse(self, kind,
           text("%s %d does not exist; there are ranks 0 to %d", role, rank, self.size - 1));
}

Plan plan_all_reduce(const Ring& self, const void* send, void* recv, std::size_t count, DType dtype,
                     Reduction reduction, int group_ranks) {
  const Kind kind = Kind::all_reduce;
  check_buffer(self, kind, send, count, dtype);
  check_buffer(self, kind, recv, count, dtype);
  const std::size_t total_bytes = count * bytes_of(dtype);
  if (send != recv) check_apart(self, kind, send, total_bytes, recv, total_bytes);
  if (group_ranks > 0 && self.size % group_ranks != 0)
    refuse(self, kind,
           text("%d ranks cannot be cut into groups of %d (RINGSIDE_ALGORITHM=hierarchical:%d)",
                self.size, group_ranks, group_ranks));
  return make(self, {kind, dtype, reduction, group_ranks, count}, send, recv,
              Chunks{count, self.size});
}

Plan plan_reduce_scatter(const Ring& self, const void* send, void* recv, std::size_t recv_count,
                         DType dtype, Reduction reduction) {
  const Kind kind = Kind::reduce_scatter;
  check_buffer(self, kind, send, recv_count, dtype);
  check_buffer(self, kind, recv, recv_count, dtype);
  return reduce_scatter_in(self, {kind, dtype, reduction, 0, recv_count}, send, recv,
                           equal_parts(self, recv_count, dtype));
}

Plan plan_reduce_scatter_v(const Ring& self, const void* send, void* recv,
                           std::span<const std::size_t> counts, DType dtype, Reduction reduction) {
  const Kind kind = Kind::reduce_scatter_v;
  check_dtype(self, kind, dtype);
  const std::size_t sum = checked_sum(self, kind, counts, dtype);
  check_buffer(self, kind, send, sum, dtype);
  check_buffer(self, kind, recv, counts[static_cast<std::size_t>(self.rank)], dtype);
  return reduce_scatter_in(self, {kind, dtype, reduction, 0, sum, layout_of(counts)}, send, recv,
                           parts_of(self, Chunks{counts}, dtype));
}

Plan plan_all_gather(const Ring& self, const void* send, void* recv, std::size_t send_count,
                     DType dtype) {
  const Kind kind = Kind::all_gather;
  check_buffer(self, kind, send, send_count, dtype);
  check_buffer(self, kind, recv, send_count, dtype);
  return all_gather_in(self, {kind, dtype, Reduction::sum, 0, send_count}, send, recv,
                       equal_parts(self, send_count, dtype));
}

Plan plan_all_gather_v(const Ring& self, const void* send, void* recv,
                       std::span<const std::size_t> counts, DType dtype) {
  const Kind kind = Kind::all_gather_v;
  check_dtype(self, kind, dtype);
  const std::size_t sum = checked_sum(self, kind, counts, dtype);
  check_buffer(self, kind, send, counts[static_cast<std::size_t>(self.rank)], dtype);
  check_buffer(self, kind, recv, sum, dtype);
  return all_gather_in(self, {kind, dtype, Reduction::sum, 0, sum, layout_of(counts)}, send, recv,
                       parts_of(self, Chunks{counts}, dtype));
}

Plan plan_broadcast(const Ring& self, void* buffer, std::size_t count, DType dtype, int root) {
  const Kind kind = Kind::broadcast;
  check_buffer(self, kind, buffer, count, dtype);
  check_peer(self, kind, "root", root);
  return make(self, {kind, dtype, Reduction::sum, root, count}, buffer, buffer, Chunks{count, 1});
}

Plan plan_barrier(const Ring& self) {
  return make(self, {}, nullptr, nullptr, Chunks{0, self.size});
}

Plan plan_reduce(const Ring& self, const void* send, void* recv, std::size_t count, DType dtype,
                 Reduction reduction, int root) {
  const Kind kind = Kind::reduce;
  const bool is_root = self.rank == root;
  check_peer(self, kind, "root", root);
  check_buffer(self, kind, send, count, dtype);
  if (is_root) check_buffer(self, kind, recv, count, dtype);
  const std::size_t total_bytes = count * bytes_of(dtype);
  if (is_root && send != recv) check_apart(self, kind, send, total_bytes, recv, total_bytes);
  return make(self, {kind, dtype, reduction, root, count}, send, recv, Chunks{count, self.size});
}

Plan plan_gather(const Ring& self, const void* send, void* recv, std::size_t send_count,
                 DType dtype, int root) {
  const Kind kind = Kind::gather;
  const bool is_root = self.rank == root;
  check_peer(self, kind, "root", root);
  check_buffer(self, kind, send, send_count, dtype);
  if (is_root) check_buffer(self, kind, recv, send_count, dtype);
  const Parts parts = equal_parts(self, send_count, dtype);
  if (is_root) check_part_in_whole(self, kind, send, recv, parts);
  Plan plan = make(self, {kind, dtype, Reduction::sum, root, send_count}, send, recv, parts.chunks);
  plan.input_first = parts.own_first;
  return plan;
}

Plan plan_scatter(const Ring& self, const void* send, void* recv, std::size_t recv_count,
                  DType dtype, int root) {
  const Kind kind = Kind::scatter;
  const bool is_root = self.rank == root;
  check_peer(self, kind, "root", root);
  check_buffer(self, kind, recv, recv_count, dtype);
  if (is_root) check_buffer(self, kind, send, recv_count, dtype);
  const Parts parts = equal_parts(self, recv_count, dtype);
  if (is_root) check_part_in_whole(self, kind, recv, send, parts);
  Plan plan = make(self, {kind, dtype, Reduction::sum, root, recv_count}, send, recv, parts.chunks);
  plan.output_first = parts.own_first;
  return plan;
}

Plan plan_all_to_all(const Ring& self, const void* send, void* recv, std::size_t count,
                     DType dtype) {
  const Kind kind = Kind::all_to_all;
  check_buffer(self, kind, send, count, dtype);
  check_buffer(self, kind, recv, count, dtype);
  const Parts parts = equal_parts(self, count, dtype);
  check_apart(self, kind, send, parts.whole_bytes, recv, parts.whole_bytes);
  return make(self, {kind, dtype, Reduction::sum, 0, count}, send, recv, parts.chunks);
}

}  // namespace ringside
