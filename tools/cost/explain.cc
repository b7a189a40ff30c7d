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

Question question_of(const HostSettings& settings, const Operation& what, Sides at,
                     std::size_t size_bytes) {
  Question it;
  it.kind = what.kind;
  it.algorithm = choose_algorithm(settings, what);
  it.bytes = size_bytes;
  it.ranks = settings.self.size;
  it.group_ranks = settings.group_ranks;
  it.calls = size_bytes <= kBatchedBytes ? kLoopCalls : 1;  // as measure.h does
  it.zero_copy_from_bytes = can_be_exposed(at) ? settings.zero_copy_from_bytes : SIZE_MAX;
  it.element_bytes = bytes_of(what.dtype);
  if (is_ragged(what.kind)) it.counts = ragged_counts(what.count, settings.self.size);
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
  const HostSettings& settings = here.settings;
  const int size = settings.self.size;
  Explanation it;
  it.size_bytes = whole_count(what, size) * bytes_of(what.dtype);
  it.why = why(settings, what);
  it.least_bytes = bus_factor(what.kind, size) * static_cast<double>(it.size_bytes);
  it.least = least_words(what.kind);
  it.lower_bound = lower_bound_breakdown(
      lower_bound_of(what.kind, size, it.size_bytes, here.probe).work, here.probe);
  if (what.kind == Kind::send_recv) {
    it.algorithm = "messages";
    it.unpredicted = "the simulator runs algorithms, and messages have none";
    return it;
  }
  const Plan plan = plan_of(settings, what, at);
  const HostChoice choice = choose(settings, plan);
  const std::size_t each = plan.element_bytes;
  it.algorithm = name_of(choice.algorithm);
  it.chunks = what.kind == Kind::broadcast ? 1 : size;
  it.longest_chunk_bytes = plan.chunks.longest() * each;
  it.slices = choice.slices;
  it.slice_bytes = choice.slice_count * each;
  it.streams = choice.streams;
  add_prediction(it, here, question_of(settings, what, at, it.size_bytes));
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
  return {settings_of(comm), calibration.machine, calibration.probe};
}

}  // namespace ringside::tools
