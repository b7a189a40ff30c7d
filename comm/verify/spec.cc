// The claims, one after another.
#include "comm/verify/spec.h"

#include "comm/error.h"

namespace ringside {

const char* name_of(Claim claim) {
  switch (claim) {
    case Claim::all_reduce:
      return "all_reduce";
    case Claim::reduce_scatter:
      return "reduce_scatter";
    case Claim::all_gather:
      return "all_gather";
    case Claim::broadcast:
      return "broadcast";
    case Claim::reduce:
      return "reduce";
    case Claim::gather:
      return "gather";
    case Claim::scatter:
      return "scatter";
    case Claim::all_to_all:
      return "all_to_all";
  }
  return "?";
}

std::optional<Value> initial(Claim claim, int rank, int chunk, std::size_t slice, int root) {
  bool has = true;
  if (claim == Claim::broadcast) has = rank == root && chunk == 0;
  if (claim == Claim::scatter) has = rank == root;
  if (claim == Claim::all_gather || claim == Claim::gather) has = chunk == rank;
  if (!has) return std::nullopt;
  return Value{chunk, slice, {rank}, false};
}

std::optional<Value> promised(Claim claim, int rank, int chunk, std::size_t slice, int root,
                              int size) {
  Value value{belongs(claim, rank, chunk), slice, {}, false};
  bool reduces = false;
  switch (claim) {
    case Claim::all_reduce:
      reduces = true;
      break;
    case Claim::reduce_scatter:
      if (chunk != rank) return std::nullopt;
      reduces = true;
      break;
    case Claim::reduce:
      if (rank != root) return std::nullopt;
      reduces = true;
      break;
    case Claim::broadcast:
      if (chunk != 0) return std::nullopt;
      value.fold = {root};
      break;
    case Claim::scatter:
      if (chunk != rank) return std::nullopt;
      value.fold = {root};
      break;
    case Claim::gather:
      if (rank != root) return std::nullopt;
      value.fold = {chunk};
      break;
    case Claim::all_gather:
    case Claim::all_to_all:
      value.fold = {chunk};
      break;
  }
  // The rotated order of ring.h: from the rank after the chunk's owner, around, to the owner.
  for (int k = 1; reduces && k <= size; ++k) value.fold.push_back((chunk + k) % size);
  value.finished = reduces;
  return value;
}

int belongs(Claim claim, int rank, int chunk) { return claim == Claim::all_to_all ? rank : chunk; }

std::string words(const std::vector<int>& fold) {
  std::string list;
  for (const int rank : fold) list += text(list.empty() ? "%d" : " %d", rank);
  return "[" + list + "]";
}

}  // namespace ringside
