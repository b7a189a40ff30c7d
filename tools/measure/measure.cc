// Timing and checking calls; what is promised about both is in measure.h.
#include "tools/measure/measure.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "tools/measure/overlap.h"
#include "tools/support/oracle.h"

namespace ringside::tools {
namespace {

using std::chrono::steady_clock;

constexpr double kRowTime_us = 20'000;
constexpr double kPairedRowTime_us = 60'000;  // of each library: a ratio wants more samples
constexpr double kWarmupTime_us = 5'000;
constexpr int kFewestSamples = 7;
constexpr int kMostBatches = 51;
constexpr int kMostIterations = 20'000;

// One library's part in a row. `what` differs between libraries where one cannot do the other's.
struct Contender {
  Library* library;
  Operation what;
};

// Computing something else, as the late rank does. Returns when it was over.
steady_clock::time_point spin_until(steady_clock::time_point when) {
  steady_clock::time_point now = steady_clock::now();
  while (now < when) now = steady_clock::now();
  return now;
}

class Stopwatch {
 public:
  // `skew_us`: by how much one rank comes later than the others.
  Stopwatch(Communicator& comm, Buffers& buffers, const Operation& what, Sides at, int skew_us)
      : comm_(comm),
        buffers_(buffers),
        at_(at),
        skew_us_(skew_us),
        input_bytes_(input_count(what, comm.rank(), comm.size()) * bytes_of(what.dtype)),
        batched_(skew_us == 0 &&
                 whole_count(what, comm.size()) * bytes_of(what.dtype) <= kBatchedBytes) {}

  bool batched() const { return batched_; }

  // µs a call, on this rank. `settle`: a call before, as another library has had the caches.
  // `turn`: whose turn it is to be late.
  double sample(const Contender& it, int calls, bool settle, int turn) const {
    it.library->prepare();
    if (settle) {
      it.library->call(it.what, at_);
      it.library->recover();
      it.library->prepare();
    }
    const bool each = batched_ && !buffers_.on_device();
    if (!each) buffers_.rewrite(at_.send, input_bytes_);
    comm_.barrier();
    const bool late = skew_us_ != 0 && turn % comm_.size() == comm_.rank();
    const auto start = spin_until(steady_clock::now() + std::chrono::microseconds(skew_us_ * late));
    for (int i = 0; i < calls; ++i) {
      if (each) buffers_.rewrite(at_.send, input_bytes_);
      it.library->call(it.what, at_);
    }
    const double time_us = us_since(start) / calls;
    it.library->recover();
    return skew_us_ == 0 || late ? time_us : 0;
  }

 private:
  Communicator& comm_;
  Buffers& buffers_;
  const Sides at_;
  const int skew_us_;
  const std::size_t input_bytes_;
  const bool batched_;
};

// Ranks must make the same number of calls, so rank 0's estimate counts.
int agree(Communicator& comm, double wanted) {
  std::int64_t number =
      std::clamp<std::int64_t>(static_cast<std::int64_t>(wanted), 1, kMostIterations);
  comm.broadcast(&number, 1, DType::i64, 0);
  return static_cast<int>(number);
}

// Warms a library up, and returns how long a call of it takes, with what is around it.
double warm_up(Communicator& comm, const Stopwatch& watch, const Contender& it, int calls) {
  double call_us = 0;
  const auto make = [&](int count) {
    const auto start = steady_clock::now();
    if (watch.batched()) watch.sample(it, count, false, 0);
    for (int i = 0; !watch.batched() && i < count; ++i) watch.sample(it, 1, false, i);
    call_us = std::max(us_since(start) / count, 0.01);
  };
  if (calls != 0) make(1);
  if (calls < 0) calls = agree(comm, kWarmupTime_us / call_us);
  if (calls > 1) make(calls - 1);
  return call_us;
}

// How many samples, and for each contender how many calls in all of them.
struct Schedule {
  int samples = 0;
  std::vector<int> calls;
};

Schedule schedule(Communicator& comm, const std::vector<Contender>& contenders,
                  const Stopwatch& watch, const Arguments& arguments) {
  const double row_us = contenders.size() > 1 ? kPairedRowTime_us : kRowTime_us;
  Schedule it;
  for (const Contender& contender : contenders) {
    const double call_us = warm_up(comm, watch, contender, arguments.warmup);
    const double wanted = call_us > 0 ? row_us / call_us : 1;
    const int calls = arguments.iterations != 0 ? arguments.iterations
                                                : std::max(kFewestSamples, agree(comm, wanted));
    it.calls.push_back(calls);
    it.samples = it.calls.size() == 1 ? calls : std::min(it.samples, calls);
  }
  if (watch.batched())
    it.samples = std::min(it.samples, kMostBatches);
  else
    it.calls.assign(contenders.size(), it.samples);
  return it;
}

// A series for each contender, µs a call; sample i of all were taken one after the other.
using Series = std::vector<std::vector<double>>;

Series time_calls(Communicator& comm, const std::vector<Contender>& contenders,
                  const Stopwatch& watch, const Arguments& arguments) {
  const auto [samples, calls] = schedule(comm, contenders, watch, arguments);
  const std::size_t many = contenders.size();
  Series series(many);
  for (int sample = 0; sample < samples; ++sample)
    for (std::size_t turn = 0; turn < many; ++turn) {
      const std::size_t i = sample % 2 == 0 ? turn : many - 1 - turn;
      const int batch = calls_of_sample(calls[i], sample, samples);
      series[i].push_back(watch.sample(contenders[i], batch, many > 1, sample));
    }
  for (std::vector<double>& times : series)
    comm.all_reduce(times.data(), times.data(), times.size(), DType::f64, Reduction::max);
  return series;
}

void fill(Communicator& comm, Buffers& buffers, const Operation& what, Sides at) {
  const bool reduces = has_reduction(what.kind);
  const std::size_t count = input_count(what, comm.rank(), comm.size());
  buffers.fill(at.send, count * bytes_of(what.dtype), [&](void* host) {
    fill_input(host, count, what.dtype, reduces ? what.reduction : Reduction::sum, comm.rank());
  });
}

Timing timing_of(const std::vector<double>& times_us, const RowTiming& row, int size) {
  Timing timing;
  timing.spread_us = quartiles_of(times_us);
  timing.time_us = timing.spread_us.median;
  timing.algbw_gbs = static_cast<double>(row.size_bytes) / timing.time_us / 1e3;
  timing.busbw_gbs = timing.algbw_gbs * bus_factor(row.what.kind, size);
  return timing;
}

Quartiles ratios_of(const std::vector<double>& theirs, const std::vector<double>& ours) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(theirs[i] / ours[i]);
  return quartiles_of(std::move(ratios));
}

}  // namespace

Quartiles quartiles_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {at(0.25), at(0.5), at(0.75)};
}

double us_since(steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(steady_clock::now() - start).count();
}

int calls_of_sample(int calls, int sample, int samples) {
  const std::int64_t all = calls;
  return static_cast<int>(all * (sample + 1) / samples - all * sample / samples);
}

std::size_t check_once(Communicator& comm, Library& library, Buffers& buffers,
                       const Operation& what, bool in_place) {
  constexpr unsigned char kPoison = 0xa5;
  const int rank = comm.rank(), size = comm.size();
  const Sides at = sides_of(buffers, what, in_place, rank, size);
  const std::size_t output_bytes = output_count(what, rank, size) * bytes_of(what.dtype);
  buffers.set(at.recv, kPoison, output_bytes);
  fill(comm, buffers, what, at);
  library.prepare();
  library.call(what, at);
  library.recover();
  std::vector<std::byte> room;
  const void* const output = buffers.look(at.recv, output_bytes, room);
  const int group_ranks = comm.options().group_ranks;
  auto wrong = static_cast<std::int64_t>(library.has_our_bits()
                                             ? count_wrong(output, what, rank, size, group_ranks)
                                             : count_beyond_rounding(output, what, rank, size));
  comm.all_reduce(&wrong, &wrong, 1, DType::i64, Reduction::sum);
  return static_cast<std::size_t>(wrong);
}

RowTiming measure_row(Communicator& comm, Library* baseline, Buffers& buffers,
                      const Operation& what, const Arguments& arguments, bool in_place) {
  RowTiming row;
  row.what = what;
  row.size_bytes = whole_count(what, comm.size()) * bytes_of(what.dtype);
  Ringside ringside(comm);
  const Computation computation(arguments.overlap_us);
  Overlap ours_overlapped(ringside, computation),
      theirs_overlapped(baseline ? *baseline : ringside, computation);
  Library& ours = arguments.overlap_us == 0 ? static_cast<Library&>(ringside) : ours_overlapped;
  if (baseline != nullptr && arguments.overlap_us != 0) baseline = &theirs_overlapped;
  std::vector<Contender> contenders = {{&ours, what}};
  if (baseline != nullptr) {
    const bool is_empty = what.count == 0 && what.kind != Kind::barrier;
    const Library::Part nothing{std::nullopt, "a call on no elements is nothing to compare"};
    row.baseline = BaselineTiming{is_empty ? nothing : baseline->part_of(what), {}, {}};
    if (row.baseline->part.what) contenders.push_back({baseline, *row.baseline->part.what});
  }

  const auto series_of = [&](bool one_buffer) {
    const Sides at = sides_of(buffers, what, one_buffer, comm.rank(), comm.size());
    fill(comm, buffers, what, at);
    const Stopwatch watch(comm, buffers, what, at, arguments.skew_us);
    return time_calls(comm, contenders, watch, arguments);
  };
  const Series series = series_of(false);
  row.samples = series[0].size();
  row.out_of_place = timing_of(series[0], row, comm.size());
  row.out_of_place.wrong = check_once(comm, ours, buffers, what, false);
  if (contenders.size() > 1) {
    row.baseline->timing = timing_of(series[1], row, comm.size());
    row.baseline->timing.wrong = check_once(comm, *baseline, buffers, contenders[1].what, false);
    row.baseline->ratio = ratios_of(series[1], series[0]);
  }
  if (in_place && has_in_place(what.kind)) {
    contenders.resize(1);
    row.in_place = timing_of(series_of(true)[0], row, comm.size());
    row.in_place->wrong = check_once(comm, ours, buffers, what, true);
  }
  return row;
}

}  // namespace ringside::tools
