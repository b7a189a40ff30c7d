// The measurements; what they mean is in probe.h.
//
// All ranks are held together by one token that goes round the ring, a number in cell 0 that only
// grows. One lap timed is n flags; two laps are a barrier.
#include "tools/limits/probe.h"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "comm/error.h"
#include "comm/peers/peers.h"
#include "comm/transport/shm/shm.h"
#include "comm/util/deadline.h"
#include "comm/util/secret.h"
#include "kernels/loops.h"

namespace ringside::tools {
namespace {

constexpr std::size_t kLeastBytes = 4096;
constexpr std::size_t kFactor = 4;

// A sample of the flag is so many laps, to make the clock's own cost small. Samples are taken
// before each size, so that they are spread over the whole probe: virtual cores move meanwhile.
constexpr int kLaps = 8;
constexpr int kFlagSamples = 64;
constexpr double kFlagTime_ns = 10e6;  // per size, if laps are slow: more ranks than cores
constexpr int kQuickSamples = 15;      // of the flag alone
constexpr double kNotesANs = 16;       // a flag's time on the token

// Small copies are timed more often, as they are cheap and noisy.
constexpr std::size_t kTraffic = std::size_t{16} << 20;
constexpr std::size_t kFewestSamples = 5, kMostSamples = 201;

constexpr int kSpins = 2000;  // then the processor is given away: the awaited rank may need it
constexpr std::chrono::milliseconds kYieldFor{2};  // and then this rank sleeps between its looks
constexpr long kNap_ns = 50'000;
constexpr std::chrono::milliseconds kLifeCheck{20};

double now_ns() {
  return std::chrono::duration<double, std::nano>(Clock::now().time_since_epoch()).count();
}

// The value below which `share` of the values lie.
double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

// What reading the clock twice takes with nothing in between.
double clock_cost_ns() {
  std::vector<double> costs;
  for (int i = 0; i < 101; ++i) {
    const double start = now_ns();
    costs.push_back(now_ns() - start);
  }
  return percentile(costs, 0.5);
}

class Prober {
 public:
  Prober(Bootstrap& bootstrap, const ProbeOptions& options)
      : bootstrap_(bootstrap),
        options_(options),
        rank_(bootstrap.rank()),
        size_(bootstrap.size()),
        peers_(bootstrap, small_windows(options)),
        own_(options.most_bytes / sizeof(float), 1.0f),
        clock_cost_ns_(clock_cost_ns()) {
    join(options.most_bytes);
  }

  // A signal that ends it on this rank ends it on all, with the same words. (Of another end each
  // knows best by itself.)
  template <class Body>
  auto telling(const Body& body) {
    try {
      return body();
    } catch (const Error& error) {
      if (error.fault() == Fault::interrupted) peers_.break_world(error);
      throw;
    }
  }

  MachineProbe measure() {
    MachineProbe probe;
    for (std::size_t bytes = kLeastBytes; bytes <= window_->bytes(); bytes *= kFactor) {
      sample_flag(kFlagSamples);
      probe.pull.push_back({bytes, pull_gbs(bytes)});
      probe.push.push_back({bytes, push_gbs(bytes, copy_bytes)});
      probe.stream.push_back({bytes, push_gbs(bytes, copy_bytes_streaming)});
      probe.copy.push_back({bytes, std::max({probe.pull.back().gbs, probe.push.back().gbs,
                                             probe.stream.back().gbs})});
      // A reduction has three operands, and there are only two buffers.
      const std::size_t most_reduced = window_->bytes() / 2;
      if (const std::size_t less = std::min(bytes, most_reduced);
          probe.reduce.empty() || less > probe.reduce.back().bytes)
        probe.reduce.push_back({less, reduce_gbs(less)});
    }
    probe.flag_ns = agree(percentile(flags_ns_, 0.5));
    probe.flag_spread_ns = agree(percentile(flags_ns_, 0.9) - percentile(flags_ns_, 0.1));
    return probe;
  }

  // Rank 0 has the clock. The token that it sends carries whether there will be another lap, and on
  // the last one what these samples' median was, to all ranks.
  double sample_flag(int samples) {
    if (size_ == 1) return 0;
    constexpr std::uint32_t kGoOn = 0;
    std::uint32_t note = kGoOn;
    barrier();
    if (rank_ != 0) {
      while (note == kGoOn) note = lap(kGoOn);
      return note / kNotesANs;
    }
    std::vector<double> taken_ns;
    const double begin = now_ns();
    for (int sample = 0; sample < samples && now_ns() - begin < kFlagTime_ns; ++sample) {
      const double start = now_ns();
      for (int i = 0; i < kLaps; ++i) lap(kGoOn);
      taken_ns.push_back((now_ns() - start - clock_cost_ns_) / (kLaps * size_));
    }
    flags_ns_.insert(flags_ns_.end(), taken_ns.begin(), taken_ns.end());
    note = static_cast<std::uint32_t>(std::clamp(percentile(taken_ns, 0.5) * kNotesANs, 1.0, 1e9));
    lap(note);
    return note / kNotesANs;
  }

 private:
  // Only to know who is alive: nothing is ever sent through them.
  static Options small_windows(const ProbeOptions& from) {
    Options it;
    it.slot_bytes = kMinSlotBytes;
    it.timeout_s = from.timeout_s;
    it.interrupted = from.interrupted;
    return it;
  }

  Deadline deadline() const { return Deadline::after_seconds(options_.timeout_s); }

  // A window on each rank, which its left neighbour opens.
  void join(std::size_t most_bytes) {
    bool several_processes = false;
    for (int peer = 0; peer < size_; ++peer)
      several_processes |= peers_.rank_info(peer).process != peers_.rank_info(0).process;
    const Secret secret = bootstrap_.all_gather(draw_secret(), deadline())[0];
    transport_ = std::make_unique<ShmTransport>(secret, ShmOptions{.serve = several_processes});
    window_ = transport_->expose(most_bytes, 1);
    const auto handles = bootstrap_.all_gather(window_->handle(), deadline());
    const int right = (rank_ + 1) % size_;
    right_ = transport_->open(right, handles[static_cast<std::size_t>(right)], deadline());
    bootstrap_.barrier(deadline());  // now every window has been opened, and may go
  }

  // --- the token ---

  void pass(std::uint32_t note = 0) { right_->signal(0, {sequence_, note}); }

  // The note on the token, once it has come again.
  std::optional<std::uint32_t> seen() const {
    const Signal token = window_->cell(0).acquire();
    if (ahead(token.sequence, sequence_) < 0) return std::nullopt;
    return token.fingerprint;
  }

  // Waits for the token's next coming and returns the note on it.
  std::uint32_t await() {
    for (int spins = 0; spins < kSpins; ++spins)
      if (const std::optional<std::uint32_t> note = seen()) return *note;
    return await_patiently();
  }

  std::uint32_t await_patiently() {
    const Clock::time_point start = Clock::now();
    const Deadline end = deadline();
    Clock::time_point next_life_check = start + kLifeCheck;
    while (true) {
      if (const std::optional<std::uint32_t> note = seen()) return *note;
      transport_->progress();
      peers_.drive();
      const Clock::time_point now = Clock::now();
      const bool over = end.passed(now) || stopped_by() != 0;
      if (now >= next_life_check || over) {
        check_all_there();
        next_life_check = now + kLifeCheck;
      }
      if (over) throw_over();
      const timespec nap{0, kNap_ns};
      if (now - start < kYieldFor)
        ::sched_yield();
      else
        ::nanosleep(&nap, nullptr);
    }
  }

  int stopped_by() const {
    return options_.interrupted == nullptr ? 0 : options_.interrupted->load();
  }

  int left() const { return (rank_ + size_ - 1) % size_; }

  // Whoever has died may be far away on the ring, so all are looked at. A rank that has left may
  // have done so because of one that has died; so that is looked at second, and of the awaited rank
  // alone, as only it can know why.
  void check_all_there() {
    if (peers_.alarmed()) {
      const Error cause = peers_.alarm_cause();
      throw Error(cause.fault(),
                  text("rank %d, in the probe of the machine: %s", rank_, cause.what()));
    }
    if (const std::optional<int> dead = peers_.find_dead())
      throw Error(Fault::died, text("rank %d, in the probe of the machine: %s has died", rank_,
                                    peers_.who(*dead).c_str()));
    if (peers_.status_page_of(left())->state() == RankState::left)
      throw Error(Fault::left, text("rank %d, in the probe of the machine: %s has left it", rank_,
                                    peers_.who(left()).c_str()));
  }

  [[noreturn]] void throw_over() const {
    const std::string what =
        text("rank %d waited for rank %d in the probe of the machine", rank_, left());
    if (const int signal = stopped_by(); signal != 0)
      throw Error(Fault::interrupted, text("%s: stopped by signal %d", what.c_str(), signal));
    throw Error(Fault::timeout, text("%s, longer than RINGSIDE_TIMEOUT=%g allows", what.c_str(),
                                     options_.timeout_s));
  }

  // One lap: rank 0 sends the token off and has it back, everybody else hands it on.
  std::uint32_t lap(std::uint32_t note) {
    ++sequence_;
    if (rank_ == 0) pass(note);
    const std::uint32_t seen = await();
    if (rank_ != 0) pass(seen);
    return seen;
  }

  void barrier() {
    lap(0);  // everybody has come
    ++sequence_;
    if (rank_ != 0) await();
    pass();  // and may go; rank 0 need not wait for the token's return
  }

  // --- bytes ---

  double pull_gbs(std::size_t bytes) {
    return rate_gbs(bytes, write_over, [&] { copy_bytes(own_.data(), right_->mapped(), bytes); });
  }

  double push_gbs(std::size_t bytes, void (*copy)(void*, const void*, std::size_t)) {
    return rate_gbs(bytes, read, [&] { copy(right_->mapped(), own_.data(), bytes); });
  }

  double reduce_gbs(std::size_t bytes) {
    const ReduceLoop fold = reduce_loop(DType::f32, Reduction::sum);
    float* const target = own_.data() + own_.size() / 2;
    return rate_gbs(bytes, write_over,
                    [&] { fold(target, right_->mapped(), own_.data(), bytes / sizeof(float)); });
  }

  // All ranks at once: each touches what is its own, its window as `touch` does, all meet, each
  // does `action` and stops its clock, all meet again.
  template <class Touch, class Action>
  double rate_gbs(std::size_t bytes, const Touch& touch, const Action& action) {
    std::vector<double> times_ns;
    const std::size_t samples = std::clamp(kTraffic / bytes, kFewestSamples, kMostSamples);
    for (std::size_t sample = 0; sample < samples; ++sample) {
      touch(reinterpret_cast<float*>(window_->data()), bytes);
      write_over(own_.data(), bytes);
      barrier();
      const double start = now_ns();
      action();
      // An atomic exchange waits until the stores before it have left this core.
      drained_.exchange(static_cast<int>(sample));
      times_ns.push_back(now_ns() - start - clock_cost_ns_);
      barrier();
    }
    const double median_ns = std::max(percentile(times_ns, 0.5), 1.0);
    return static_cast<double>(bytes) / mean_over_ranks(median_ns);
  }

  // A store into each line brings it into this core's cache, and out of all others.
  static void write_over(float* at, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes / sizeof(float); i += kLineBytes / sizeof(float)) at[i] += 1;
  }

  // A load brings it into this one too.
  static void read(float* at, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes / sizeof(float); i += kLineBytes / sizeof(float))
      static_cast<void>(*const_cast<volatile float*>(at + i));
  }

  double mean_over_ranks(double value) {
    double sum = 0;
    for (const double it : bootstrap_.all_gather(value, deadline())) sum += it;
    return sum / size_;
  }

  double agree(double value) { return bootstrap_.all_gather(value, deadline())[0]; }

  Bootstrap& bootstrap_;
  const ProbeOptions options_;
  const int rank_, size_;
  Peers peers_;
  std::vector<float> own_;
  const double clock_cost_ns_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Window> window_;
  std::unique_ptr<PeerWindow> right_;
  std::uint32_t sequence_ = 0;
  std::atomic<int> drained_{0};
  std::vector<double> flags_ns_;
};

}  // namespace

MachineProbe probe_machine(Bootstrap& bootstrap, const ProbeOptions& options) {
  Prober prober(bootstrap, options);
  return prober.telling([&] { return prober.measure(); });
}

Flag flag_between(Bootstrap& bootstrap, const ProbeOptions& options, bool own_cores) {
  if (bootstrap.size() == 1 || !own_cores)
    return [alone = bootstrap.size() == 1] { return alone ? 0 : kTurn_ns; };
  ProbeOptions least = options;
  least.most_bytes = kLeastBytes;
  return [prober = std::make_shared<Prober>(bootstrap, least)] {
    return prober->telling([&] { return prober->sample_flag(kQuickSamples); });
  };
}

Flag explained_by(Communicator& comm, const Flag& flag) {
  return [&comm, flag] {
    try {
      return flag();
    } catch (const Error& error) {
      if (error.fault() == Fault::left) comm.barrier();
      throw;
    }
  };
}

}  // namespace ringside::tools
