// From an operation and a size to what the simulator is given: the same algorithms, chunks and
// slices that plan.h chooses for memory, here for a machine that need not exist.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "comm/algorithms/operation.h"
#include "comm/cost/machine.h"
#include "comm/cost/simulate.h"
#include "comm/options.h"

namespace ringside {

// What is to be predicted: out of place, from root 0 where there is one.
struct Question {
  Kind kind = Kind::all_reduce;
  Algorithm algorithm = Algorithm::ring;  // or another, for an all_reduce
  std::size_t bytes = 0;  // of the whole buffer; of all parts where ranks have parts
  int ranks = 2;
  int calls = 1;
  std::size_t zero_copy_from_bytes = SIZE_MAX;  // as in SimulatedCall: where buffers can be exposed
  std::size_t element_bytes = 4;
  std::vector<std::size_t> counts = {};  // elements of each rank, for the operations on _v
  int group_ranks = 0;                   // of hierarchical
};

// One-shots and two-shots of more ranks are not predicted: n² additions on each of n ranks take
// their time, and n² messages that are all on their way at once take memory.
inline constexpr int kMostShotRanks = 512;

// A sentence if the machine has no such ranks, or the algorithm does not go there; else empty.
std::string cannot_predict(const Machine& machine, const Question& question);

// Bytes that the call really has: whole elements, the same number on each rank where ranks have
// parts.
std::size_t whole_bytes(const Question& question);

// About how many steps predict() will run: rank 1's for all ranks but rank 0, which may be a root.
// A million of them take some 40 to 250 ms.
double primitives_to_predict(const Machine& machine, const Question& question);

SimulatedCall simulated_call(const Machine& machine, const Question& question);
SimulatedAlgorithm simulated_algorithm(const Question& question);

// Throws Error{usage} with cannot_predict()'s sentence.
Prediction predict(const Machine& machine, const Question& question);

}  // namespace ringside
