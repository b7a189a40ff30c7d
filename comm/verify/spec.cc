// The claims, one after another.
#include "comm/verify/spec.h"

#include "comm/error.h"

namespace ringside {

const char* name_of(Specification specification) {
  switch (specification) {
    case Specification::all_reduce:
      return "all_reduce";
    case Specification::reduce_scatter:
      return "reduce_scatter";
    case Specification::all_gather:
      return "all_gather";
    case Specification::broadcast:
      return "broadcast";
    case Specification::reduce:
      return "reduce";
    case Specification::gather:
      return "gather";
    case Specification::scatter:
      return "scatter";
    case Specification::all_to_all:
      return "all_to_all";
  }
  return "?";
}

std::optional<Value> initial(Specification specification, int rank, int chunk, std::size_t slice,
                             int root) {
  bool has = true;
  if (specification == Specification::broadcast) has = rank == root && chunk == 0;
  if (specification == Specification::scatter) has = rank == root;
  if (specification == Specification::all_gather || specification == Specification::gather)
    has = chunk == rank;
  if (!has) return std::nullopt;
  return Value{chunk, slice, {rank}, false};
}

std::optional<Value> promised(Specification specification, int rank, int chunk, std::size_t slice,
                              int root, int size) {
  Value value{belongs(specification, rank, chunk), slice, {}, false};
  bool reduces = false;
  switch (specification) {
    case Specification::all_reduce:
      reduces = true;
      break;
    case Specification::reduce_scatter:
      if (chunk != rank) return std::nullopt;
      reduces = true;
      break;
    case Specification::reduce:
      if (rank != root) return std::nullopt;
      reduces = true;
      break;
    case Specification::broadcast:
      if (chunk != 0) return std::nullopt;
      value.fold = {root};
      break;
    case Specification::scatter:
      if (chunk != rank) return std::nullopt;
      value.fold = {root};
      break;
    case Specification::gather:
      if (rank != root) return std::nullopt;
      value.fold = {chunk};
      break;
    case Specification::all_gather:
    case Specification::all_to_all:
      value.fold = {chunk};
      break;
  }
  // The rotated order of ring.h: from the rank after the chunk's owner, around, to the owner.
  for (int k = 1; reduces && k <= size; ++k) value.fold.push_back((chunk + k) % size);
  value.finished = reduces;
  return value;
}

int belongs(Specification specification, int rank, int chunk) {
  return specification == Specification::all_to_all ? rank : chunk;
}

std::string words(const std::vector<int>& fold) {
  std::string list;
  for (const int rank : fold) list += text(list.empty() ? "%d" : " %d", rank);
  return "[" + list + "]";
}

}  // namespace ringside
