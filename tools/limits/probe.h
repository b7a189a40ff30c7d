// What this machine can do, measured by the ranks themselves: how long a flag takes from one rank
// to the next, and how fast bytes are copied and reduced between them.
//
// This is the machine under the collectives: the raw transport (comm/transport/transport.h), with
// no channel, no algorithm and no check. What a collective takes beyond these figures is the
// collective's own.
//
// Two things keep the figures honest. A copy is timed once and not again and again: the memory that
// is read or written over was last touched by the rank that would have touched it in a collective,
// so a line that has to come from another core's cache does come from there. And a copy is over
// when its stores have left the core, not when they have been issued.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "comm/bootstrap/bootstrap.h"
#include "comm/cost/machine.h"
#include "comm/options.h"
#include "tools/limits/core_distance.h"

namespace ringside {
class Communicator;
}

namespace ringside::tools {

// A buffer of so many bytes on every rank, all ranks at once; GB is 10⁹ bytes of that buffer, per
// second and rank. With more ranks than cores "all at once" means in turns. The rates of large
// sizes then hold the turns of the others too; a small copy is over within one turn, and its rate
// is that of a rank that has a core.
using ringside::Rate;
using ringside::rate_at;

struct MachineProbe {
  // One way: a cell (comm/transport/signal.h) of the right neighbour, written until seen. Median of
  // many, and from the 10th to the 90th percentile. 0 with one rank, which has nobody to signal.
  double flag_ns = 0;
  double flag_spread_ns = 0;
  // The best of three ways at each size: pull, push, stream.
  std::vector<Rate> copy;
  // target = a + b over f32: a is the right neighbour's window, b and target are own memory.
  std::vector<Rate> reduce;
  // The right neighbour's window, which it has just written, into own memory.
  std::vector<Rate> pull = {};
  // Own memory into the right neighbour's window, each line of which the neighbour has just read,
  // as that of a slot. With ordinary stores, which between cores without a common cache must first
  // take the line away from its reader; and with non-temporal ones (kernels/loops.h), which need
  // not.
  std::vector<Rate> push = {}, stream = {};
};

struct ProbeOptions {
  // Of one wait, as in comm/options.h: all of a probe's together may take longer. 0: for ever.
  double timeout_s = Options{}.timeout_s;
  const std::atomic<int>* interrupted = nullptr;
  // The largest copy; the largest reduction is half of it. A rank needs twice as much memory.
  std::size_t most_bytes = std::size_t{64} << 20;
};

// Collective: every rank gets the same figures. Takes about half a second, or as long as the ranks
// need in turns. All ranks give the same most_bytes. Throws Error{usage, system, timeout, died,
// left, interrupted}.
MachineProbe probe_machine(Bootstrap& bootstrap, const ProbeOptions& options = {});

// The flag alone, to be asked again and again: the same measurement for some 10 µs. Collective, as
// each of its calls is, which throw as the probe does. Ranks without `own_cores` take turns, and
// are not timed. `bootstrap` must outlive it.
Flag flag_between(Bootstrap& bootstrap, const ProbeOptions& options, bool own_cores);
using MakeFlag = std::function<decltype(flag_between)>;

// Who has left the flag has failed in the communicator, which knows the cause.
Flag explained_by(Communicator& comm, const Flag& flag);

}  // namespace ringside::tools
