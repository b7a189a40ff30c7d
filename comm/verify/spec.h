// What a collective must achieve, in symbols: which pieces each rank begins with, and what must
// stand in its output at the end. The prover (prove.h) checks algorithms against it. Each of the
// eight operations that move data in one shape is specified: those with a count for each rank (_v)
// are their twins, a barrier is an all_gather of nothing, and send/recv have no algorithm.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "comm/algorithms/operation.h"

namespace ringside {

// A piece of data as its history: which chunk and slice it is, and which ranks' contributions were
// folded into it, in which order: a left fold, of ranks and of sums in brackets.
struct Value {
  int chunk = 0;
  std::size_t slice = 0;
  std::vector<int> fold;
  bool finished = false;  // the reduction is complete: AVG has divided
  bool operator==(const Value&) const = default;
};

// The chunk that `rank` has at place `chunk` of its input before the call; none if it has nothing
// there.
std::optional<Value> initial(Kind kind, int rank, int chunk, std::size_t slice, int root, int size);

// What `rank` must have at place `chunk` of its output after the call; none if nothing is promised.
// `group_ranks`: of an all_reduce by hierarchical.h, whose fold is another; 0: it is the ring's.
std::optional<Value> promised(Kind kind, int rank, int chunk, std::size_t slice, int root, int size,
                              int group_ranks = 0);

// Adds to a history another one, of which all is added at once: ((a + b) + (c + d)) is [a b (c d)].
void append(std::vector<int>& fold, const std::vector<int>& more);

// The name of the piece that belongs at place `chunk` of this rank's output. Everywhere the same as
// the place, but for all_to_all: there place c of rank r holds rank c's chunk r.
int belongs(Kind kind, int rank, int chunk);

// "[1 2 0]", "[2 3 (0 1)]"
std::string words(const std::vector<int>& fold);

}  // namespace ringside
