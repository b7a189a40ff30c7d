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

}  // namespace

void append(std::vector<int>& fold, const std::vector<int>& more) {
  const bool whole = !fold.empty() && more.size() > 1;
  if (whole) fold.push_back(kOpen);
  fold.insert(fold.end(), more.begin(), more.end());
  if (whole) fold.push_back(kClose);
}

std::optional<Value> initial(Kind kind, int rank, int chunk, std::size_t slice, int root) {
  bool has = true;
  if (kind == Kind::broadcast) has = rank == root && chunk == 0;
  if (kind == Kind::scatter) has = rank == root;
  if (kind == Kind::all_gather || kind == Kind::gather) has = chunk == rank;
  if (!has) return std::nullopt;
  return Value{chunk, slice, {rank}, false};
}

std::optional<Value> promised(Kind kind, int rank, int chunk, std::size_t slice, int root, int size,
                              int group_ranks) {
  Value value{belongs(kind, rank, chunk), slice, {}, false};
  bool reduces = false;
  switch (kind) {
    case Kind::all_reduce:
      reduces = true;
      break;
    case Kind::reduce_scatter:
      if (chunk != rank) return std::nullopt;
      reduces = true;
      break;
    case Kind::reduce:
      if (rank != root) return std::nullopt;
      reduces = true;
      break;
    case Kind::broadcast:
      if (chunk != 0) return std::nullopt;
      value.fold = {root};
      break;
    case Kind::scatter:
      if (chunk != rank) return std::nullopt;
      value.fold = {root};
      break;
    case Kind::gather:
      if (rank != root) return std::nullopt;
      value.fold = {chunk};
      break;
    default:  // all_gather, all_to_all
      value.fold = {chunk};
  }
  if (reduces)
    value.fold = group_ranks > 0 ? in_groups(chunk, size, group_ranks) : rotated(0, size, chunk);
  value.finished = reduces;
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
