// The prover: runs the recorded primitives of all ranks with symbols in place of numbers, and looks
// at everything that could go wrong.
//
// A value is not a number but its history: which chunk and slice it is, and which ranks'
// contributions were added to it, in which order. What a step does, and when, is the host
// executor's own text (comm/algorithms/step.h). Channels have the slots and credits of credit.h,
// the same functions that the executors call, or none at all (rendezvous: a send ends only when its
// message is taken). Proved is, for one number of ranks, one number of slots and one order in which
// ranks get to run:
//
//   complete     every output holds every contribution exactly once, in the stated order
//   no mix-up    only pieces of the same chunk and slice are ever added, and nothing is sent or
//                added before it exists or after it was overwritten (in place, input and output
//                are one memory)
//   no overrun   no slot is overwritten before it was read
//   no deadlock  no ranks wait for each other in a cycle; if some do, the cycle is printed
//
// A message of one_shot.h is a whole input, one of two_shot.h's first step a piece of it. It stays
// in its slot from wait_input to release_inputs, and each addition reads it there.
//
// Does one run prove something about all timings? For the deadlock and the values, yes: ranks
// decide nothing by timing, each channel has one writer and one reader, and such a network (Kahn,
// 1974) ends in the same state whatever runs when. An overrun depends on who is ahead, so the tests
// repeat the proof under orders that run each rank as far as it will go, both ways round, and
// random ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/algorithms/program.h"
#include "comm/verify/spec.h"

namespace ringside {

enum class Turns {
  round_robin,  // everybody one step at a time
  eager,        // rank 0 as far as it will go, then rank 1, …
  eager_down,   // the same from the last rank down
  random,
};

struct ProofRules {
  int slots = 1;  // 0: rendezvous
  bool in_place = false;
  Turns turns = Turns::round_robin;
  std::uint64_t seed = 1;
  int root = 0;         // where there is one
  int group_ranks = 0;  // of an all_reduce by hierarchical.h
  // Pieces of input and output are exposed (step.h: is_exposable): read in place, when they are
  // taken.
  bool exposes = false;
  // By next_half_in_order, as the device's executors do, and not by next_half.
  bool in_order = false;
  // Mutants: a sender that does not ask for room; a rank that returns from its call while
  // others still read what it has exposed; and one that in a one-shot in place exposes its input.
  bool ignore_credit = false;
  bool leave_early = false;
  bool expose_in_place = false;
};

struct Proof {
  bool holds = false;
  std::string why;           // what went wrong, in a sentence; empty when it holds
  std::size_t messages = 0;  // that travelled, over all edges
  std::size_t steps = 0;     // primitives carried out, over all ranks
  // The most messages of which each had to wait for the one before: what latency is paid for.
  std::size_t longest_chain = 0;
};

// `programs[r]` is what rank r does, each recorded with `slices` slices.
Proof prove(const std::vector<Program>& programs, Kind kind, std::size_t slices,
            const ProofRules& rules);

}  // namespace ringside
