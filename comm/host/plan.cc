// Planning: check the arguments, find the chunks. What differs from operation to operation is in
// the table of operation.h.
#include "comm/host/plan.h"

#include <array>
#include <cstdint>
#include <utility>

#include "comm/error.h"

namespace ringside {
namespace {

void check_dtype(const Ring& self, Kind kind, DType dtype) {
  if (static_cast<std::size_t>(dtype) >= kAllDTypes.size())
    refuse(self, kind, text("there is no type number %d", static_cast<int>(dtype)));
}

void check_count(const Ring& self, Kind kind, std::size_t count, DType dtype) {
  if (count > SIZE_MAX / 16 / bytes_of(dtype) / static_cast<std::size_t>(self.size))
    refuse(self, kind, text("%zu elements cannot be addressed", count));
}

void check_not_null(const Ring& self, Kind kind, const void* buffer, std::size_t count) {
  if (buffer == nullptr && count > 0)
    refuse(self, kind, text("no buffer (null) for %zu elements", count));
}

// Of all ranks' counts; SIZE_MAX if it is more than that.
std::size_t sum_of(const Ring& self, Kind kind, const RankCounts& counts) {
  if (counts.size() != static_cast<std::size_t>(self.size))
    refuse(self, kind,
           text("%zu counts for %d ranks; one for each is wanted", counts.size(), self.size));
  std::size_t sum = 0;
  for (const std::size_t count : counts)
    if (__builtin_add_overflow(sum, count, &sum)) sum = SIZE_MAX;
  return sum;
}

// The buffers lie apart, or every element that is in both is at one address: in place. Not so
// all_to_all: a transposition cannot be done by those who see one block at a time.
void check_apart(const Ring& self, const Plan& plan) {
  const std::size_t each = plan.element_bytes;
  const auto input = reinterpret_cast<std::uintptr_t>(plan.input);
  const auto output = reinterpret_cast<std::uintptr_t>(plan.output);
  if (plan.input_count == 0 || plan.output_count == 0) return;
  if (input - plan.input_first * each == output - plan.output_first * each &&
      plan.what.kind != Kind::all_to_all)
    return;
  if (input < output + plan.output_count * each && output < input + plan.input_count * each)
    refuse(self, plan.what.kind,
           "the buffers overlap, and not in the way that \"in place\" means (communicator.h)");
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

}  // namespace

void refuse(const Ring& self, Kind kind, const std::string& why) {
  throw_error(Fault::usage, "rank %d: %s: %s", self.rank, name_of(kind), why.c_str());
}

void check_buffer(const Ring& self, Kind kind, const void* buffer, std::size_t count, DType dtype) {
  check_dtype(self, kind, dtype);
  check_not_null(self, kind, buffer, count);
  check_count(self, kind, count, dtype);
}

void check_peer(const Ring& self, Kind kind, const char* role, int rank) {
  if (rank < 0 || rank >= self.size)
    refuse(self, kind,
           text("%s %d does not exist; there are ranks 0 to %d", role, rank, self.size - 1));
}

namespace {

// What differs between operations is known when this is compiled: asking the table in every call
// takes 20 ns, a tenth of a small all_reduce.
template <Kind kind>
Plan plan_of(const Ring& self, const Operation& what, const void* send, void* recv,
             const RankCounts& counts) {
  constexpr OperationTraits it = traits(kind);
  check_dtype(self, kind, what.dtype);
  if constexpr (has_root(kind)) check_peer(self, kind, "root", what.root);
  if (kind == Kind::all_reduce && what.root > 0 && self.size % what.root != 0)
    refuse(self, kind,
           text("%d ranks cannot be cut into groups of %d (RINGSIDE_ALGORITHM=hierarchical:%d)",
                self.size, what.root, what.root));
  Plan plan;
  plan.what = what;
  if constexpr (is_ragged(kind)) {
    plan.what.count = sum_of(self, kind, counts);
    plan.what.layout = layout_of(counts);
  }
  check_count(self, kind, plan.what.count, what.dtype);
  if constexpr (is_ragged(kind))
    plan.chunks = Chunks{counts};
  else
    plan.chunks = even_chunks(kind, what.count, self.size);
  plan.element_bytes = bytes_of(what.dtype);
  plan.input = static_cast<const std::byte*>(send);
  plan.output = static_cast<std::byte*>(recv);

  // What this rank has in each buffer, and where in the whole that is.
  const Range own = plan.chunks[self.rank];
  const bool is_root = self.rank == what.root;
  plan.input_count = length_of(it.input, is_root, plan.chunks.total(), own.count);
  plan.output_count = length_of(it.output, is_root, plan.chunks.total(), own.count);
  if (it.input == Extent::part) plan.input_first = own.begin;
  if (it.output == Extent::part) plan.output_first = own.begin;
  check_not_null(self, kind, send, plan.input_count);
  check_not_null(self, kind, recv, plan.output_count);
  check_apart(self, plan);
  if constexpr (it.reduces) add_reduction(self, plan);
  return plan;
}

using Planner = Plan (*)(const Ring&, const Operation&, const void*, void*, const RankCounts&);
// By kind; no operation but has one.
constexpr auto kPlanners = []<std::size_t... i>(std::index_sequence<i...>) {
  return std::array<Planner, sizeof...(i)>{plan_of<kOperations[i].kind>...};
}(std::make_index_sequence<kOperations.size()>());

}  // namespace

Plan make_plan(const Ring& self, const Operation& what, const void* send, void* recv,
               const RankCounts& counts) {
  return kPlanners[static_cast<std::size_t>(what.kind)](self, what, send, recv, counts);
}

}  // namespace ringside
