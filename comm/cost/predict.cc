// Sizes and algorithms of each operation, for the simulator.
#include "comm/cost/predict.h"

#include <algorithm>

#include "comm/algorithms/run.h"
#include "comm/error.h"

namespace ringside {
namespace {

std::size_t ranks_of(const Question& it) { return static_cast<std::size_t>(it.ranks); }

// The mean of input and output, of the rank that has most of both.
std::size_t buffer_bytes(Kind kind, std::size_t whole, std::size_t part) {
  return (length_of(traits(kind).input, true, whole, part) +
          length_of(traits(kind).output, true, whole, part)) /
         2;
}

}  // namespace

std::string cannot_predict(const Machine& machine, const Question& it) {
  if (it.ranks < 1 || it.ranks > kMostClockRanks)
    return text("%d ranks cannot be priced; choose 1 to %d", it.ranks, kMostClockRanks);
  if (it.ranks > machine.ranks_per_host && !machine.joins_hosts)
    return text("%s has %d ranks on a host and no link between hosts, so there is no place for %d",
                machine.name.c_str(), machine.ranks_per_host, it.ranks);
  if (it.algorithm == Algorithm::hierarchical &&
      (it.group_ranks < 1 || it.ranks % it.group_ranks != 0))
    return text("%d ranks cannot be cut into groups of %d", it.ranks, it.group_ranks);
  if (it.algorithm != Algorithm::one_shot && it.algorithm != Algorithm::two_shot) return "";
  if (it.ranks > kMostShotRanks)
    return text("a %s is priced for at most %d ranks", name_of(it.algorithm), kMostShotRanks);
  if (it.algorithm == Algorithm::one_shot && whole_bytes(it) > machine.mesh.slot_bytes)
    return text("a one-shot's message is at most a slot, here %zu bytes", machine.mesh.slot_bytes);
  return "";
}

std::size_t whole_bytes(const Question& it) {
  const std::size_t unit = it.element_bytes * (in_parts(it.kind) ? ranks_of(it) : 1);
  return it.bytes / unit * unit;
}

SimulatedCall simulated_call(const Machine& machine, const Question& it) {
  SimulatedCall call;
  const bool one_shot = it.algorithm == Algorithm::one_shot;
  const std::size_t whole = whole_bytes(it), each = it.element_bytes;
  call.ranks = it.ranks;
  call.calls = it.calls;
  call.element_bytes = each;
  call.whole_bytes = whole;
  call.chunks =
      is_ragged(it.kind) ? Chunks{it.counts} : Chunks{whole / each, chunks_in(it.kind, it.ranks)};
  const Algorithm algorithm =
      it.kind == Kind::all_reduce ? it.algorithm : traits(it.kind).algorithm;
  const bool mesh = !traits(algorithm).ring_only;
  const ChannelShape& shape = mesh ? machine.mesh : machine.ring;
  call.slice_count = shape.slot_bytes / each;
  call.slices = slices_for(call.chunks.longest(), call.slice_count);
  call.buffer_bytes = buffer_bytes(it.kind, whole, call.chunks.longest() * each);
  const std::size_t message_bytes =
      one_shot ? whole : std::min(call.chunks.longest(), call.slice_count) * each;
  call.slot_bytes = static_cast<std::size_t>(shape.slots) * message_bytes;
  call.pair_messages = algorithm == Algorithm::two_shot ? 2 : 1;
  if (algorithm == Algorithm::hierarchical)
    call.pair_messages = Groups{{0, it.ranks}, it.group_ranks}.steps();
  call.in_place = it.kind == Kind::broadcast;
  call.zero_copy_from_bytes = it.zero_copy_from_bytes;
  return call;
}

SimulatedAlgorithm simulated_algorithm(const Question& it) {
  const int root = it.algorithm == Algorithm::hierarchical ? it.group_ranks : 0;
  return [kind = it.kind, algorithm = it.algorithm, root](ClockWindow& executor, const Ring& ring) {
    run_algorithm(kind, algorithm, executor, ring, root);
  };
}

double primitives_to_predict(const Machine& machine, const Question& it) {
  const SimulatedCall call = simulated_call(machine, it);
  const SimulatedAlgorithm algorithm = simulated_algorithm(it);
  const auto steps_of = [&](int rank) {
    std::vector<SimulatedStep> none;
    ClockWindow window(rank, call.chunks, 0, 0, none);
    algorithm(window, Ring{rank, it.ranks});
    return static_cast<double>(window.seen());
  };
  const double a_slice = steps_of(0) + (it.ranks > 1 ? (it.ranks - 1) * steps_of(1) : 0);
  return a_slice * static_cast<double>(call.slices) * call.calls;
}

Prediction predict(const Machine& machine, const Question& question) {
  if (const std::string why = cannot_predict(machine, question); !why.empty())
    throw Error(Fault::usage, why);
  return predict(machine, simulated_call(machine, question), simulated_algorithm(question));
}

}  // namespace ringside
