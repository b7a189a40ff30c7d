// The model checker: every interleaving of a small world, one after another, with nothing left to
// luck.
//
// The prover runs one order of turns and argues for the others (prove.h). Its argument begins where
// messages are whole: a channel carries them, in order. This is about what lies below, where a
// message is bytes that lie in a slot half written, a flag, a slot's next message and a credit that
// comes late. A world is 2 to 4 ranks on a ring, 1 to 3 slots, and the recorded steps of a few
// operations. Its state is all that is in memory or on its way there; and from each state every
// step is tried that any rank, or the transport, could take next:
//
//     a rank         sends (credit permitting)    sees a flag and begins to read    has read, and
//                                                                                   releases
//     the transport  begins to write a message    has written it    shows a flag    shows a credit
//
// None of it is written again here. A rank's steps are calls of the very SendEnd and ReceiveEnd of
// channel.h, and what it does next is said by next_half() of step.h, as for the host executor. Only
// the windows are the model's own: puts and signals do not take effect but wait, and the
// transport's steps let them take effect in any order that the contract of transport.h permits, and
// as late as they like. So a transport that keeps the contract does nothing that was not tried.
//
// In each state this must hold:
//
//   no overrun        nothing is written into a slot that was not read to its end
//   no wrong message  what a rank takes is the next message, whole, and of the call it is in
//   no false credit   no sender gets credit for a message that it has not sent
//   no deadlock       some step is possible, or all ranks have ended; then all channels are empty
//
// States are visited breadth first, so a counterexample is a shortest one. It is printed step by
// step: a lesson. Each step counts something up, so there is no way back to an earlier state, and
// every path ends.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "comm/algorithms/program.h"

namespace ringside {

inline constexpr int kModelRanks = 4;
inline constexpr int kModelSlots = 3;

// Mistakes, made on purpose. A check that finds nothing must be seen to find these.
enum class Bug {
  none,
  ignore_credit,
  one_slot_too_many,
  credit_too_high,
  late_batch,
  no_credit,
  early_release,
  missing_release,
  signal_before_put,
  no_sequence,
};
struct NamedBug {
  Bug bug;
  const char* name;
  const char* mistake;
};
inline constexpr NamedBug kBugs[] = {
    {Bug::ignore_credit, "ignore-credit", "a sender that does not ask for room"},
    {Bug::one_slot_too_many, "one-slot-too-many",
     "a sender that counts one slot more than there are"},
    {Bug::credit_too_high, "credit-too-high",
     "a receiver that returns credit for one message more than it has read"},
    {Bug::late_batch, "late-batch", "credit only every slots + 1 messages"},
    {Bug::no_credit, "no-credit", "credit that is never returned"},
    {Bug::early_release, "early-release",
     "a receiver that releases a slot when it begins to read it"},
    {Bug::missing_release, "missing-release",
     "a receiver that forgets to release its first message"},
    {Bug::signal_before_put, "signal-before-put",
     "a transport that shows the flag before the message"},
    {Bug::no_sequence, "no-sequence", "a receiver that looks at the flag's fingerprint only"},
};

struct ModelRules {
  int slots = 1;
  // Do messages travel in their cells (at most kInlineBytes), or in slots?
  bool in_cells = false;
  Bug bug = Bug::none;
};

struct Exploration {
  bool holds = false;
  std::string why;                  // what is wrong, in a sentence; empty when it holds
  std::vector<std::string> lesson;  // the steps that lead there; the last one is `why`
  std::size_t states = 0;
  std::size_t steps = 0;  // tried, over all states
};

// `operations[k][r]` is what rank r does in the k-th operation, in words of the ring (ring.h).
// Throws Error{usage} for other words, and where a bound is passed.
Exploration explore(const std::vector<std::vector<Program>>& operations, const ModelRules& rules);

}  // namespace ringside
