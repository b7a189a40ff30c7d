// The specifications, one after another.
#include "comm/verify/spec.h"

#include "comm/error.h"

namespace ringside {
namespace {

constexpr int kOpen = -1;
constexpr int kClose = -2;

// The contributions of ranks first, first + 1, …, first + count - 1, from the one after `last` on,
// around, to `last`: the rotated order of ring.h.
std::vector<int> rotated(int first, int count, int last) {
  std::vector<int> fold;
  for (int k = 1; k <= count; ++k) fold.push_back(first + (last + k) % count);
  return fold;
}

// The fold of hierarchical.h.
std::vector<int> in_groups(int chunk, int size, int ranks) {
  const int groups = size / ranks;
  std::vector<int> fold;
  for (const int group : rotated(0, groups, chunk % groups))
    append(fold, rotated(group * ranks, ranks, chunk / groups));
  return fold;
}

// Whether a rank has a chunk in a buffer of this extent.
bool has(Extent extent, int rank, int chunk, int root) {
  return extent == Extent::part ? chunk == rank : extent == Extent::whole || rank == root;
}

}  // namespace

void append(std::vector<int>& fold, const std::vector<int>& more) {
  const bool whole = !fold.empty() && more.size() > 1;
  if (whole) fold.push_back(kOpen);
  fold.insert(fold.end(), more.begin(), more.end());
  if (whole) fold.push_back(kClose);
}

std::optional<Value> initial(Kind kind, int rank, int chunk, std::size_t slice, int root,
                             int size) {
  if (chunk >= chunks_in(kind, size) || !has(traits(kind).input, rank, chunk, root))
    return std::nullopt;
  return Value{chunk, slice, {rank}, false};
}

std::optional<Value> promised(Kind kind, int rank, int chunk, std::size_t slice, int root, int size,
                              int group_ranks) {
  const OperationTraits& it = traits(kind);
  if (chunk >= chunks_in(kind, size) || !has(it.output, rank, chunk, root)) return std::nullopt;
  Value value{belongs(kind, rank, chunk), slice, {}, it.reduces};
  if (it.reduces)
    value.fold = group_ranks > 0 ? in_groups(chunk, size, group_ranks) : rotated(0, size, chunk);
  else
    value.fold = {it.input == Extent::whole_on_root ? root : chunk};
  return value;
}

int belongs(Kind kind, int rank, int chunk) { return kind == Kind::all_to_all ? rank : chunk; }

std::string words(const std::vector<int>& fold) {
  std::string list = "[";
  for (const int rank : fold) {
    if (rank != kClose && list.back() != '[' && list.back() != '(') list += ' ';
    list += rank == kOpen ? "(" : rank == kClose ? ")" : std::to_string(rank);
  }
  return list + "]";
}

}  // namespace ringside
