// Timing real calls, and finding the three times that explain the short ones.
#include "tools/common/fit.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "comm/communicator.h"
#include "comm/error.h"
#include "comm/identity.h"
#include "comm/peers.h"

namespace ringside::tools {
namespace {

constexpr int kRounds = 5;
constexpr int kProbes = 3;              // rounds that begin with a probe
constexpr double kBatchTime_us = 4000;  // of one call in one round
constexpr int kMostCalls = 4000;
constexpr int kPricedCalls = 8;
constexpr std::size_t kLeastProbe = std::size_t{4} << 20, kMostProbe = std::size_t{64} << 20;

// Off the powers of two that tables have: 24 B travel in a cell, 768 B in a slot.
constexpr std::size_t kFitBytes[] = {24, 768};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Calls of both algorithms need two communicators, as the choice is a communicator's.
class Caller {
 public:
  Caller(Bootstrap& bootstrap, Options options, std::size_t most_bytes)
      : ring_(bootstrap, with(options, Algorithm::ring)),
        one_shot_(bootstrap, with(options, Algorithm::one_shot)),
        input_(most_bytes),
        output_(most_bytes) {}

  // Mean over the ranks of the mean time of a call.
  double time_us(const Question& it) {
    const double estimate_us = std::max(batch_us(it, 2), 0.05);
    std::int64_t calls = static_cast<std::int64_t>(
        std::clamp(kBatchTime_us / estimate_us, 2.0, static_cast<double>(kMostCalls)));
    ring_.broadcast(&calls, 1, DType::i64, 0);
    double time = batch_us(it, static_cast<int>(calls));
    ring_.all_reduce(&time, &time, 1, DType::f64, Reduction::avg);
    return time;
  }

  Communicator& ring() { return ring_; }

 private:
  static Options with(Options options, Algorithm algorithm) {
    options.algorithm = algorithm;
    return options;
  }

  double batch_us(const Question& it, int calls) {
    using std::chrono::steady_clock;
    ring_.barrier();
    const auto start = steady_clock::now();
    for (int i = 0; i < calls; ++i) call(it);
    const std::chrono::duration<double, std::micro> span = steady_clock::now() - start;
    return span.count() / calls;
  }

  void call(const Question& it) {
    Communicator& comm = it.algorithm == Algorithm::one_shot ? one_shot_ : ring_;
    const std::size_t whole = whole_bytes(it) / sizeof(float);
    const std::size_t part = whole / static_cast<std::size_t>(it.ranks);
    const DType type = DType::f32;
    float* const in = reinterpret_cast<float*>(input_.data());
    float* const out = reinterpret_cast<float*>(output_.data());
    switch (it.kind) {
      case Kind::all_reduce:
        return comm.all_reduce(in, out, whole, type, Reduction::sum);
      case Kind::reduce_scatter:
        return comm.reduce_scatter(in, out, part, type, Reduction::sum);
      case Kind::all_gather:
        return comm.all_gather(in, out, part, type);
      case Kind::reduce:
        return comm.reduce(in, out, whole, type, Reduction::sum, 0);
      case Kind::gather:
        return comm.gather(in, out, part, type, 0);
      case Kind::scatter:
        return comm.scatter(in, out, part, type, 0);
      case Kind::all_to_all:
        return comm.all_to_all(in, out, part, type);
      default:
        return comm.broadcast(in, whole, type, 0);
    }
  }

  Communicator ring_;
  Communicator one_shot_;
  std::vector<std::byte> input_, output_;
};

std::vector<Question> fit_questions(int ranks) {
  std::vector<Question> questions;
  for (const std::size_t bytes : kFitBytes) {
    const std::size_t all = bytes / 24 * sizeof(float) * 6;
    questions.push_back({Kind::all_reduce, Algorithm::ring, all, ranks});
    questions.push_back({Kind::all_reduce, Algorithm::one_shot, all, ranks});
    // As many a rank as the all_reduce sends a rank.
    questions.push_back({Kind::all_gather, Algorithm::ring, all, ranks});
  }
  return questions;
}

// What the probe says in several rounds: the median of each figure.
MachineProbe medians(const std::vector<MachineProbe>& probes) {
  MachineProbe it = probes[0];
  const auto over = [&](const auto& pick) {
    std::vector<double> values;
    for (const MachineProbe& probe : probes) values.push_back(pick(probe));
    return median(values);
  };
  it.flag_ns = over([](const MachineProbe& probe) { return probe.flag_ns; });
  for (std::size_t i = 0; i < it.copy.size(); ++i)
    it.copy[i].gbs = over([&](const MachineProbe& probe) { return probe.copy[i].gbs; });
  for (std::size_t i = 0; i < it.reduce.size(); ++i)
    it.reduce[i].gbs = over([&](const MachineProbe& probe) { return probe.reduce[i].gbs; });
  return it;
}

Machine from_probe(const MachineProbe& probe, const Options& options, int ranks, int cores) {
  const WindowPlan plan = WindowPlan::make(ranks, options.slot_bytes, options.slot_count);
  Machine it;
  it.name = "here";
  it.ranks_per_host = ranks;
  it.cores_per_host = cores;
  it.same_host.latency_ns = probe.flag_ns;
  it.copy = probe.copy;
  it.reduce = probe.reduce;
  it.ring = plan.ring;
  it.mesh = plan.pair;
  return it;
}

double price_us(const Machine& machine, Question question) {
  question.calls = kPricedCalls;
  return price(machine, question).time_ns / 1e3;
}

double misfit(const Machine& machine, const std::vector<Measured>& calls) {
  double sum = 0;
  for (const Measured& it : calls) {
    const double off = std::log(std::max(price_us(machine, it.question), 1e-6) / it.measured_us);
    sum += off * off;
  }
  return sum;
}

// The value in [0, most] with the least misfit: a grid, and then finer ones around the best.
void improve(Machine& machine, double Machine::*time, double most,
             const std::vector<Measured>& calls) {
  constexpr int kPoints = 16;
  double low = 0, high = most;
  for (int pass = 0; pass < 4; ++pass) {
    double best = machine.*time, least = misfit(machine, calls);
    const double step = (high - low) / kPoints;
    for (int i = 0; i <= kPoints; ++i) {
      Machine candidate = machine;
      candidate.*time = low + step * i;
      if (const double off = misfit(candidate, calls); off < least)
        least = off, best = candidate.*time;
    }
    machine.*time = best;
    low = std::max(0.0, best - step), high = best + step;
  }
}

}  // namespace

// One time after another, round and round: three of them, and a misfit that is smooth but for
// kinks, where waiting takes over from working.
Machine fitted(Machine machine, const std::vector<Measured>& calls) {
  double most_ns = 0;
  for (const Measured& it : calls) most_ns = std::max(most_ns, it.measured_us * 1e3);
  for (int round = 0; round < 8; ++round)
    for (double Machine::*time : {&Machine::message_ns, &Machine::slot_ns, &Machine::call_ns})
      improve(machine, time, most_ns, calls);
  return machine;
}

Fit fit_machine(Bootstrap& bootstrap, const Options& options, const Asked& asked) {
  const int ranks = bootstrap.size();
  const Deadline deadline = Deadline::after_seconds(60);
  const int cores =
      share_of_host(bootstrap.all_gather(identify_myself(options), deadline), bootstrap.rank())
          .cpus;
  std::vector<Question> questions = fit_questions(ranks);
  const auto own = static_cast<std::ptrdiff_t>(questions.size());
  for (const Question& it : asked(from_probe({}, options, ranks, cores))) questions.push_back(it);
  std::size_t most_bytes = 4096;
  for (const Question& it : questions) most_bytes = std::max(most_bytes, it.bytes);
  ProbeOptions probing{{Deadline::after_seconds(120), options.interrupted}};
  probing.most_bytes = std::clamp(2 * most_bytes, kLeastProbe, kMostProbe);

  std::vector<MachineProbe> probes;
  std::vector<std::vector<double>> times_us(questions.size());
  Caller caller(bootstrap, options, most_bytes);
  for (int round = 0; round < kRounds; ++round) {
    if (round < kProbes) probes.push_back(probe_machine(bootstrap, probing));
    for (std::size_t i = 0; i < questions.size(); ++i)
      times_us[i].push_back(caller.time_us(questions[i]));
  }
  caller.ring().barrier();

  Fit fit;
  if (bootstrap.rank() != 0) return fit;
  fit.probe = medians(probes);
  for (std::size_t i = 0; i < questions.size(); ++i)
    fit.calls.push_back(
        {questions[i], median(times_us[i]), 0, static_cast<std::ptrdiff_t>(i) < own});
  fit.machine = fitted(from_probe(fit.probe, options, ranks, cores),
                       {fit.calls.begin(), fit.calls.begin() + own});
  for (Measured& it : fit.calls) it.priced_us = price_us(fit.machine, it.question);
  return fit;
}

}  // namespace ringside::tools
