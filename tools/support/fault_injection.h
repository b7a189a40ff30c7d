// Faults on purpose: one rank misbehaves in one exact way at one exact place, so that tests, and a
// person at a terminal, can see what the others say about it.
//
//     stall:rank=2,op=5             rank 2 does nothing more from its 5th call on
//     stall:rank=2,op=5,step=3      … from its third message of that call on
//     slow:rank=2,op=5,ms=1500      it comes so much later, and goes on
//     die:rank=2,op=5               its process is killed, as by kill -9
//     drop-signal:rank=2,op=5       a message's signal is lost; the rank does not know
//     corrupt-header:rank=2,op=5    bits of a message's fingerprint are turned over
//     other-op:rank=2,op=5          it calls something else than the other ranks
//     refuse:rank=2                 at the start it may not open its peers' windows
//     no-memory:rank=2              at the start there is no memory for its window
//
// An operation is any call of the rank, counted as the sentences count it (all_reduce #5, send/recv
// #6). A step is a message that the rank sends in it, from 1, be it a collective's or a slice of
// what send sends; credit is none. The messages of an exchange have a number each, and begin
// together: each of their numbers means the exchange as a whole. A recv sends nothing, so it has no
// steps; and other-op is for collectives alone. What never comes to pass does no harm.
//
// It is done from outside, by a transport around the real one and functions that hear of each call
// (Options::decorate, on_call and on_messages). With no fault asked for, none is there.
#pragma once

#include <cstdint>
#include <string>

#include "comm/bootstrap/bootstrap.h"
#include "comm/options.h"

namespace ringside {

struct Injection {
  enum class What { stall, slow, die, drop_signal, corrupt_header, other_op, refuse, no_memory };
  What what = What::stall;
  int rank = 0;
  std::uint64_t op = 1;
  std::uint64_t step = 0;  // 0: before the call is entered
  int ms = 1500;           // slow
};

// "stall:rank=2,op=5,step=3". Throws Error{usage} with a sentence that lists what there is.
Injection parse_injection(const std::string& words);

// Prepares the options of the rank that misbehaves, and leaves those of the others alone. Only the
// first communicator that is made with them is meant; groups that are split off behave. Call it
// when all other options are set. Throws Error{usage}, on all ranks alike, where the fault cannot
// be had: a rank that there is not, or the death of a rank that is a thread.
void inject(Options& options, const Injection& injection, const Bootstrap& bootstrap);

}  // namespace ringside
