// Timing real calls, and finding the three times that explain the short ones.
#include "tools/cost/calibrate.h"

#include <algorithm>
#include <chrono>

#include "comm/bootstrap/identity.h"
#include "comm/communicator.h"
#include "comm/error.h"
#include "comm/peers/peers.h"
#include "tools/measure/measure.h"
#include "tools/support/call.h"

namespace ringside::tools {
namespace {

constexpr int kRounds = 5;
constexpr int kProbes = 3;              // rounds that begin with a probe
constexpr double kBatchTime_us = 4000;  // of one call in one round
constexpr int kMostCalls = 4000;
constexpr std::size_t kLeastProbe = std::size_t{4} << 20, kMostProbe = std::size_t{64} << 20;

// Off the powers of two that tables have: 24 B travel in a cell, 768 B in a slot.
constexpr std::size_t kFitBytes[] = {24, 768};

// Calls of each algorithm need a communicator, as the choice is a communicator's.
class Caller {
 public:
  Caller(Bootstrap& bootstrap, Options options, std::size_t most_bytes, Memory memory)
      : ring_(bootstrap, with(options, Algorithm::ring)),
        one_shot_(bootstrap, with(options, Algorithm::one_shot)),
        two_shot_(bootstrap, with(options, Algorithm::two_shot)),
        buffers_(most_bytes, memory) {}

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
    ring_.barrier();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) call(it);
    return us_since(start) / calls;
  }

  void call(const Question& it) {
    Communicator& comm = of(it.algorithm);
    const Operation what = operation_of(it.kind, DType::f32, Reduction::sum, it.bytes, it.ranks);
    Ringside(comm).call(what, sides_of(buffers_, what, false, comm.rank(), comm.size()));
  }

  Communicator& of(Algorithm algorithm) {
    if (algorithm == Algorithm::one_shot) return one_shot_;
    return algorithm == Algorithm::two_shot ? two_shot_ : ring_;
  }

  Communicator ring_;
  Communicator one_shot_;
  Communicator two_shot_;
  Buffers buffers_;
};

// Those that the slots here can hold.
std::vector<Question> fit_questions(const Machine& slots) {
  const int ranks = slots.ranks();
  std::vector<Question> questions;
  for (const std::size_t bytes : kFitBytes) {
    const std::size_t all = bytes / 24 * sizeof(float) * 6;
    questions.push_back({Kind::all_reduce, Algorithm::ring, all, ranks});
    questions.push_back({Kind::all_reduce, Algorithm::one_shot, all, ranks});
    // As many a rank as the all_reduce sends a rank.
    questions.push_back({Kind::all_gather, Algorithm::ring, all, ranks});
  }
  std::erase_if(questions, [&](const Question& it) { return !cannot_predict(slots, it).empty(); });
  return questions;
}

// What the probe finds in several rounds: the median of each figure.
MachineProbe medians(const std::vector<MachineProbe>& probes) {
  MachineProbe it = probes[0];
  const auto over = [&](const auto& pick) {
    std::vector<double> values;
    for (const MachineProbe& probe : probes) values.push_back(pick(probe));
    return quartiles_of(values).median;
  };
  it.flag_ns = over([](const MachineProbe& probe) { return probe.flag_ns; });
  for (const auto rates : {&MachineProbe::copy, &MachineProbe::reduce, &MachineProbe::pull,
                           &MachineProbe::push, &MachineProbe::stream})
    for (std::size_t i = 0; i < (it.*rates).size(); ++i)
      (it.*rates)[i].gbs = over([&](const MachineProbe& probe) { return (probe.*rates)[i].gbs; });
  return it;
}

// The simulator has one rate for copies into slots and out of them: that with which a message's two
// copies take together what they take.
std::vector<Rate> there_and_back(const MachineProbe& probe) {
  std::vector<Rate> rates = probe.pull;
  for (std::size_t i = 0; i < rates.size(); ++i)
    rates[i].gbs = 2 / (1 / rates[i].gbs + 1 / std::max(probe.push[i].gbs, probe.stream[i].gbs));
  return rates;
}

Machine from_probe(const MachineProbe& probe, const Options& options, int ranks, int cores) {
  const WindowLayout plan = WindowLayout::make(ranks, options.slot_bytes, options.slot_count);
  Machine it;
  it.name = "here";
  it.ranks_per_host = ranks;
  it.cores_per_host = cores;
  it.same_host.latency_ns = probe.flag_ns;
  it.copy = there_and_back(probe);
  it.reduce = probe.reduce;
  it.ring = plan.ring;
  it.mesh = plan.pair;
  return it;
}

double predict_us(const Machine& machine, Question question) {
  question.calls = kLoopCalls;
  return predict(machine, question).time_ns / 1e3;
}

// predicted / measured − 1 of every call.
std::vector<double> residuals(const Machine& machine, const std::vector<Measured>& calls) {
  std::vector<double> all;
  for (const Measured& it : calls)
    all.push_back(predict_us(machine, it.question) / it.measured_us - 1);
  return all;
}

double sum_of_products(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Times that are calibrated.
constexpr double Machine::*kTimes[] = {&Machine::call_ns, &Machine::message_ns, &Machine::slot_ns};

// How the residuals change with a time, a ns of it.
std::vector<double> slopes(Machine machine, double Machine::*time,
                           const std::vector<Measured>& calls) {
  std::vector<double> column = residuals(machine, calls);
  machine.*time += 1;
  const std::vector<double> there = residuals(machine, calls);
  for (std::size_t i = 0; i < column.size(); ++i) column[i] = there[i] - column[i];
  return column;
}

}  // namespace

// Least squares with no time below zero, in steps of Gauss and Newton: as if the predictions were
// linear in the times, which they nearly are. Within a step one time after the other takes the
// value that is best while the others stand still, over and over, until they all stand still.
Machine calibrated(Machine machine, const std::vector<Measured>& calls) {
  constexpr int kSteps = 8, kSweeps = 2000;
  for (double Machine::*time : kTimes) machine.*time = 0;
  for (int step = 0; step < kSteps; ++step) {
    std::vector<double> off = residuals(machine, calls);
    std::vector<std::vector<double>> columns;
    for (double Machine::*time : kTimes) columns.push_back(slopes(machine, time, calls));
    for (std::size_t i = 0; i < kSweeps * columns.size(); ++i) {
      const std::vector<double>& column = columns[i % columns.size()];
      double& time = machine.*kTimes[i % columns.size()];
      const double length = sum_of_products(column, column);
      if (length == 0) continue;  // it makes no difference, and stays as it is
      const double change = std::max(-time, -sum_of_products(column, off) / length);
      time += change;
      for (std::size_t k = 0; k < off.size(); ++k) off[k] += change * column[k];
    }
  }
  return machine;
}

Calibration calibrate(Bootstrap& bootstrap, const Options& options, const Asked& asked,
                      std::size_t probe_bytes) {
  const int ranks = bootstrap.size();
  const Deadline deadline = Deadline::after_seconds(options.timeout_s);
  const int cores =
      share_of_host(bootstrap.all_gather(my_peer_info(options), deadline), bootstrap.rank()).cpus;
  const Machine slots = from_probe({}, options, ranks, cores);
  std::vector<Question> questions = fit_questions(slots);
  const auto own = static_cast<std::ptrdiff_t>(questions.size());
  for (const Question& it : asked(slots)) questions.push_back(it);
  std::size_t most_bytes = 4096;
  for (const Question& it : questions) most_bytes = std::max(most_bytes, it.bytes);
  const ProbeOptions probing{
      options.timeout_s, options.interrupted,
      std::clamp(std::max(2 * most_bytes, probe_bytes), kLeastProbe, kMostProbe)};

  std::vector<MachineProbe> probes;
  std::vector<std::vector<double>> times_us(questions.size());
  const bool exposes = std::any_of(questions.begin(), questions.end(), [](const Question& it) {
    return it.zero_copy_from_bytes != SIZE_MAX;
  });
  Caller caller(bootstrap, options, most_bytes, exposes ? Memory::allocate : Memory::ordinary);
  for (int round = 0; round < kRounds; ++round) {
    if (round < kProbes) probes.push_back(probe_machine(bootstrap, probing));
    for (std::size_t i = 0; i < questions.size(); ++i)
      times_us[i].push_back(caller.time_us(questions[i]));
  }
  caller.ring().barrier();

  Calibration calibration;
  calibration.probe = medians(probes);
  if (bootstrap.rank() != 0) return calibration;
  for (std::size_t i = 0; i < questions.size(); ++i)
    calibration.calls.push_back(
        {questions[i], quartiles_of(times_us[i]).median, 0, static_cast<std::ptrdiff_t>(i) < own});
  calibration.machine = calibrated(from_probe(calibration.probe, options, ranks, cores),
                                   {calibration.calls.begin(), calibration.calls.begin() + own});
  for (Measured& it : calibration.calls)
    it.predicted_us = predict_us(calibration.machine, it.question);
  return calibration;
}

}  // namespace ringside::tools
