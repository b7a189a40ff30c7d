// The simulator: runs an algorithm's steps for all ranks and moves time instead of data.
//
// Every rank has a clock. A step moves it on by what the step would have cost on the described
// machine (machine.h), and a step that waits moves it to when the awaited thing is there:
//
//   send       waits for credit (credit.h's rules); message_ns; on stores the copy into the slot,
//              on a wire the port's time, which is not the sender's
//   receive    waits for the message: sent, + latency (+ bytes / bandwidth); message_ns, slot_ns;
//              the copy out of the slot, or the addition; then its credit takes a latency back
//   both       in the order in which the host executor does them (comm/algorithms/step.h)
//   local      copy_input, reduce_input: the copy or the additions
//
// As on the host executor, a partial sum is computed straight into the peer's slot where stores
// reach it and there is credit, and a message that fits into a cell is not copied to a slot. Nor is
// one that is exposed: of zero_copy_from_bytes or more, by stores, where step.h's is_exposable()
// permits it. It is read in place, its credit goes back alone, and the sender's call ends when it
// knows that all that it has exposed has been read.
//
// What a byte costs: a copy has two ends, an addition three, and each is in a buffer of the call or
// in a slot. Each end pays its share (1/2, 1/3) of the machine's rate for operands as long as what
// it is in: the buffer, whose length decides in which cache or memory its bytes are; or the
// channel's slots taken together, as a message goes where the one was that came so many before.
//
// The algorithm is the very one that runs. So on a machine that has only α and β the predictions
// are the formulas of the literature (tests/cost/simulate.cc), and where slots are few, slices many
// or ports shared they are what no formula says.
//
// Is the prediction independent of the order in which this program runs its ranks? Nearly. Which
// half of a step comes first is decided by the clocks alone, but three things are not:
//
//   ports      that several ranks share (many to one, hosts) are used in the order of turns, a step
//              a turn, which is nearly the order of their clocks
//   room       for a sum in the peer's slot is seen where the peer has already been run past the
//              moment at which it reads. Where it has not, the sum goes to scratch memory and is
//              copied, although on the machine there might have been room. That is by stores with
//              few slots: of `reduce` with one slot it was seen to make up to 5 %
//   cycles     where nobody can go on, because each would have to know whether room or the message
//              comes first, all do what they can
//
// Not in it: noise, what copies take from each other beyond what the rates were measured with,
// routes inside a network, and the division of AVG. Ranks that share a core take turns on it, and
// all that is modelled of that here is that work takes as many times as long.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "comm/algorithms/chunks.h"
#include "comm/cost/breakdown.h"
#include "comm/cost/machine.h"
#include "comm/cost/program_window.h"

namespace ringside {

// One call, in terms of sizes.
struct SimulatedCall {
  int ranks = 2;
  std::size_t element_bytes = 4;
  std::size_t slice_count = 1;  // elements a message
  std::size_t slices = 1;
  Chunks chunks;
  std::size_t whole_bytes = 0;   // of all chunks: what send_input sends
  std::size_t buffer_bytes = 0;  // of a buffer: the mean of input and output
  std::size_t slot_bytes = 0;    // of the slots of a channel that messages go round
  int pair_messages = 1;         // that a rank sends to another on the mesh, a slice
  bool in_place = false;         // then there is no input to copy
  // Messages from this length on are exposed where they can be. SIZE_MAX: none.
  std::size_t zero_copy_from_bytes = SIZE_MAX;
  // The same call so many times, one right after another: as a program does that measures.
  int calls = 1;
  // How many steps of a program are stored at a time. 0: as many as 128 MiB hold for all ranks.
  std::size_t window_words = 0;
};

// How a message's bytes come to its receiver.
enum class Path : unsigned char {
  cell,     // in the flag's own line
  slot,     // copied there (or put on a wire)
  sum,      // in a slot too, but computed there: nobody copies it
  exposed,  // not at all: they are read in place
};
inline constexpr std::size_t kPaths = 4;

struct Traffic {
  std::size_t messages = 0;
  std::size_t bytes = 0;
};

struct Prediction {
  std::string why;  // a sentence if the steps do not come to an end; else empty
  // Of one call: until the last rank is done. Of several: what one more takes, mean of the ranks,
  // once the first half of them has been made.
  double time_ns = 0;
  std::size_t messages = 0;
  std::size_t words = 0;
  // Of the same time: what it is made of. Of several calls it is the difference of two breakdowns,
  // and where those are of different ranks a term may come out a little below zero.
  CostBreakdown breakdown = {};
  // Of one call: what the rank sends that sends the most bytes, by Path; and the most bytes that
  // any rank sends or receives.
  std::array<Traffic, kPaths> sent = {};
  std::size_t busiest_bytes = 0;
};

// What is stored of all programs is 128 MiB at most, whatever their length.
inline constexpr int kMostClockRanks = 4096;

Prediction predict(const Machine& machine, const SimulatedCall& call,
                   const SimulatedAlgorithm& algorithm);

}  // namespace ringside
