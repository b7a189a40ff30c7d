// From an operation to its explanation: the communicator's own plan, the simulator's cost
// breakdown, and the reasons in words.
#include "tools/cost/explain.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "comm/cost/predict.h"
#include "comm/error.h"
#include "comm/peers/peers.h"
#include "comm/transport/shm/allocations.h"
#include "tools/measure/measure.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

constexpr double kMostPrimitives = 2e7;  // of a prediction: some seconds

bool is_one_shot(const Plan& plan) {
  return plan.algorithm.text == AlgorithmId::all_reduce_one_shot;
}

Algorithm algorithm_of(const Plan& plan) {
  if (is_one_shot(plan)) return Algorithm::one_shot;
  if (plan.algorithm.text == AlgorithmId::all_reduce_hierarchical) return Algorithm::hierarchical;
  return plan.algorithm.text == AlgorithmId::all_reduce_two_shot ? Algorithm::two_shot
                                                                 : Algorithm::ring;
}

std::string bytes_words(std::size_t bytes) {
  return short_bytes(bytes) + (bytes % 1024 == 0 && bytes > 0 ? "" : " B");
}

// Of an all_reduce, the only operation with a choice.
std::string why_all_reduce(const Planner& planner, std::size_t bytes) {
  const std::size_t one_shot = one_shot_most_bytes(planner),
                    two_shot = two_shot_most_bytes(planner);
  const std::string size = bytes_words(bytes), most = bytes_words(std::max(one_shot, two_shot));
  const bool fits = bytes <= one_shot;
  switch (planner.algorithm) {
    case Algorithm::ring:
      return "RINGSIDE_ALGORITHM=ring says so (comm/algorithms/ring.h)";
    case Algorithm::one_shot:
      if (fits)
        return "RINGSIDE_ALGORITHM=one-shot says so, and it fits a slot "
               "(comm/algorithms/one_shot.h)";
      return size + " do not fit a slot, though one-shot was asked for (comm/algorithms/ring.h)";
    case Algorithm::two_shot:
      if (planner.size > 1)
        return "RINGSIDE_ALGORITHM=two-shot says so (comm/algorithms/two_shot.h)";
      return "one rank has nobody to take two steps with (comm/algorithms/ring.h)";
    case Algorithm::hierarchical:
      return text("RINGSIDE_ALGORITHM=hierarchical:%d says so (comm/algorithms/hierarchical.h)",
                  planner.group_ranks);
    case Algorithm::automatic:
      break;
  }
  if (fits)
    return size + " ≤ " + bytes_words(one_shot) +
           ": all to all in one step (comm/algorithms/one_shot.h)";
  if (bytes <= two_shot)
    return size + " ≤ " + most + ": two steps, and the fewest bytes (comm/algorithms/two_shot.h)";
  return size + " > " + most + ": more steps, but the fewest bytes (comm/algorithms/ring.h)";
}

std::string why(const Planner& planner, const Operation& what, std::size_t bytes) {
  switch (what.kind) {
    case Kind::all_reduce:
      return why_all_reduce(planner, bytes);
    case Kind::reduce_scatter:
    case Kind::reduce_scatter_v:
      return "the first half of an all_reduce; there is no other (comm/algorithms/ring.h)";
    case Kind::all_gather:
    case Kind::all_gather_v:
      return "the second half of an all_reduce; there is no other (comm/algorithms/ring.h)";
    case Kind::broadcast:
      return "from rank to rank, slices follow each other; there is no other "
             "(comm/algorithms/ring.h)";
    case Kind::reduce:
      return "reduce_scatter, then all parts to the root; the only one "
             "(comm/algorithms/mesh.h)";
    case Kind::gather:
      return "all parts straight to the root; there is no other (comm/algorithms/mesh.h)";
    case Kind::scatter:
      return "all parts straight from the root; there is no other (comm/algorithms/mesh.h)";
    case Kind::all_to_all:
      return "in step k to the rank k to the right; there is no other (comm/algorithms/mesh.h)";
    case Kind::send_recv:
      return "one to the right and one from the left, at once (comm/host/send_recv.h)";
    case Kind::barrier:
      break;
  }
  return "an all_gather of nothing (comm/algorithms/ring.h)";
}

// bus_factor as a formula.
const char* least_words(Kind kind) {
  if (kind == Kind::all_reduce) return "2(n-1)/n·S";
  return bus_factor(kind, 2) == 1 ? "S" : "(n-1)/n·S";
}

// A rank that has nothing to do with a buffer may have it anywhere; here all ranks have both.
bool can_be_exposed(Sides at) {
  const auto from_allocate = [](const std::byte* memory) {
    return Allocations::of_this_process().find(memory).from.allocation != 0;
  };
  return from_allocate(at.send) && from_allocate(at.recv);
}

Question question_of(const Planner& planner, const Operation& what, const Plan& plan, Sides at,
                     std::size_t size_bytes) {
  Question it;
  it.kind = what.kind;
  it.algorithm = algorithm_of(plan);
  it.bytes = size_bytes;
  it.ranks = planner.size;
  it.group_ranks = planner.group_ranks;
  it.calls = size_bytes <= kBatchedBytes ? kLoopCalls : 1;  // as measure.h does
  it.zero_copy_from_bytes = can_be_exposed(at) ? plan.call.zero_copy_from_bytes : SIZE_MAX;
  it.element_bytes = bytes_of(what.dtype);
  if (is_ragged(what.kind)) it.counts = ragged_counts(what.count, planner.size);
  return it;
}

// The lower bound's three terms, each where the prediction has its like.
CostBreakdown lower_bound_breakdown(const LeastWork& work, const MachineProbe& probe) {
  CostBreakdown breakdown = {};
  at(breakdown, CostTerm::flags) = 1e3 * lower_bound_us({work.flags, 0, 0}, probe);
  at(breakdown, CostTerm::from_slots) = 1e3 * lower_bound_us({0, 0, work.copied_bytes}, probe);
  at(breakdown, CostTerm::additions) = 1e3 * lower_bound_us({0, work.reduced_bytes, 0}, probe);
  return breakdown;
}

void add_prediction(Explanation& it, const Surroundings& here, const Question& question) {
  it.unpredicted = cannot_predict(here.machine, question);
  if (it.unpredicted.empty() && primitives_to_predict(here.machine, question) > kMostPrimitives)
    it.unpredicted = "it has more steps than can be predicted in some seconds";
  if (!it.unpredicted.empty()) return;
  const Prediction prediction = predict(here.machine, question);
  it.sent = prediction.sent;
  it.busiest_bytes = prediction.busiest_bytes;
  it.predicted = prediction.breakdown;
}

}  // namespace

double total_us(const CostBreakdown& breakdown) {
  return std::accumulate(breakdown.begin(), breakdown.end(), 0.0) / 1e3;
}

Explanation explain(const Surroundings& here, const Operation& what, Sides at) {
  const Planner& planner = here.planner;
  Explanation it;
  it.size_bytes = whole_count(what, planner.size) * bytes_of(what.dtype);
  it.why = why(planner, what, it.size_bytes);
  it.least_bytes = bus_factor(what.kind, planner.size) * static_cast<double>(it.size_bytes);
  it.least = least_words(what.kind);
  it.lower_bound = lower_bound_breakdown(
      lower_bound_of(what.kind, planner.size, it.size_bytes, here.probe).work, here.probe);
  if (what.kind == Kind::send_recv) {
    it.algorithm = "messages";
    it.unpredicted = "the simulator runs algorithms, and messages have none";
    return it;
  }
  const Plan plan = plan_of(planner, what, at);
  const std::size_t each = plan.call.element_bytes;
  it.algorithm = plan.algorithm.name;
  it.chunks = what.kind == Kind::broadcast ? 1 : planner.size;
  it.longest_chunk_bytes = plan.call.chunks.longest() * each;
  it.slices = is_one_shot(plan) ? 1 : plan.call.slices;
  it.slice_bytes = plan.call.slice_count * each;
  it.streams = plan.call.streams;
  add_prediction(it, here, question_of(planner, what, plan, at, it.size_bytes));
  return it;
}

Surroundings look_around(Bootstrap& bootstrap, const Communicator& comm, std::size_t probe_bytes) {
  if (comm.size() < 2)
    throw Error(Fault::usage,
                "--explain wants at least two ranks: one sends nothing, and there is nothing to "
                "explain");
  Options plain = comm.options();
  plain.decorate = nullptr;
  plain.on_call = nullptr;
  plain.on_messages = nullptr;
  plain.trace = nullptr;
  const auto nothing = [](const ringside::Machine&) { return std::vector<Question>(); };
  const Calibration calibration = calibrate(bootstrap, plain, nothing, probe_bytes);
  return {planner_of(comm), calibration.machine, calibration.probe};
}

}  // namespace ringside::tools
