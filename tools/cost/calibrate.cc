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
  for (std::size_t i = 0; i < it.copy.size(); ++i)
    it.copy[i].gbs = over([&](const MachineProbe& probe) { return probe.copy[i].gbs; });
  for (std::size_t i = 0; i < it.reduce.size(); ++i)
    it.reduce[i].gbs = over([&](const MachineProbe& probe) { return probe.reduce[i].gbs; });
  return it;
}

Machine from_probe(const MachineProbe& probe, const Options& options, int ranks, int cores) {
  const WindowLayout plan = WindowLayout::make(ranks, options.slot_bytes, options.slot_count);
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

using Times = std::vector<double Machine::*>;

// How the residuals change with each time, a ns of it.
std::vector<std::vector<double>> slopes(const Machine& machine, const Times& free,
                                        const std::vector<Measured>& calls) {
  constexpr double kStep_ns = 1;
  const std::vector<double> here = residuals(machine, calls);
  std::vector<std::vector<double>> columns;
  for (double Machine::*time : free) {
    Machine there = machine;
    there.*time += kStep_ns;
    columns.push_back(residuals(there, calls));
    for (std::size_t i = 0; i < here.size(); ++i)
      columns.back()[i] = (columns.back()[i] - here[i]) / kStep_ns;
  }
  return columns;
}

// Solves matrix · x = right for a few unknowns, by elimination. A column that adds nothing new
// leaves its unknown as it is.
std::vector<double> solve(std::vector<std::vector<double>> matrix, std::vector<double> right) {
  const std::size_t n = right.size();
  for (std::size_t k = 0; k < n; ++k) matrix[k][k] *= 1 + 1e-9;
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t row = k + 1; row < n; ++row) {
      if (matrix[k][k] == 0) continue;
      const double factor = matrix[row][k] / matrix[k][k];
      for (std::size_t column = k; column < n; ++column)
        matrix[row][column] -= factor * matrix[k][column];
      right[row] -= factor * right[k];
    }
  for (std::size_t k = n; k-- > 0;) {
    for (std::size_t column = k + 1; column < n; ++column)
      right[k] -= matrix[k][column] * right[column];
    right[k] = matrix[k][k] == 0 ? 0 : right[k] / matrix[k][k];
  }
  return right;
}

// One step of Gauss and Newton: as if the predictions were linear in the times, which they nearly
// are.
void step(Machine& machine, const Times& free, const std::vector<Measured>& calls) {
  const std::vector<double> off = residuals(machine, calls);
  const std::vector<std::vector<double>> columns = slopes(machine, free, calls);
  std::vector<std::vector<double>> matrix;
  std::vector<double> right;
  for (const std::vector<double>& row : columns) {
    matrix.emplace_back();
    for (const std::vector<double>& column : columns)
      matrix.back().push_back(sum_of_products(row, column));
    right.push_back(-sum_of_products(row, off));
  }
  const std::vector<double> change = solve(matrix, right);
  for (std::size_t i = 0; i < free.size(); ++i)
    machine.*free[i] = std::max(0.0, machine.*free[i] + change[i]);
}

}  // namespace

// Least squares with no time below zero: of three times some are zero and the others free. All
// eight ways are tried, and the one with the smallest residuals is the answer.
Machine calibrated(Machine machine, const std::vector<Measured>& calls) {
  constexpr int kSteps = 8;
  const Times all = {&Machine::call_ns, &Machine::message_ns, &Machine::slot_ns};
  for (double Machine::*time : all) machine.*time = 0;
  Machine best = machine;
  double least = -1;
  for (unsigned choice = 0; choice < 8; ++choice) {
    Times free;
    for (unsigned i = 0; i < 3; ++i)
      if ((choice >> i & 1) != 0) free.push_back(all[i]);
    Machine candidate = machine;
    for (int i = 0; i < kSteps; ++i) step(candidate, free, calls);
    const std::vector<double> off = residuals(candidate, calls);
    if (const double squares = sum_of_products(off, off); least < 0 || squares < least)
      least = squares, best = candidate;
  }
  return best;
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
  Caller caller(bootstrap, options, most_bytes, exposes ? Memory::allocate : Memory::any);
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
