// The probe of the machine: that it comes to an end with any number of ranks, that all ranks get
// the same figures, and that they can be figures. What they are is the machine's affair.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "comm/error.h"
#include "tests/bootstrap/wrapper.h"
#include "tests/support/test.h"
#include "tools/limits/core_distance.h"
#include "tools/limits/probe.h"

namespace ringside {
namespace {

using tools::MachineProbe;

constexpr std::size_t kSmall = std::size_t{256} << 10;

std::vector<MachineProbe> probe_with_threads(int ranks, std::size_t most_bytes) {
  std::vector<MachineProbe> probes(static_cast<std::size_t>(ranks));
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    tools::ProbeOptions options;
    options.most_bytes = most_bytes;
    probes[static_cast<std::size_t>(bootstrap.rank())] = tools::probe_machine(bootstrap, options);
  });
  return probes;
}

void check_rates(test::Context& t, const std::vector<Rate>& rates, std::size_t most_bytes) {
  REQUIRE(!rates.empty());
  CHECK_EQ(rates.front().bytes, 4096u);
  CHECK_EQ(rates.back().bytes, most_bytes);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    CHECK_MSG(std::isfinite(rates[i].gbs) && rates[i].gbs > 0, "%zu bytes: %g GB/s", rates[i].bytes,
              rates[i].gbs);
    if (i > 0) CHECK(rates[i].bytes > rates[i - 1].bytes);
  }
}

bool same(const std::vector<Rate>& a, const std::vector<Rate>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].bytes != b[i].bytes || a[i].gbs != b[i].gbs) return false;
  return true;
}

// What the probe says on rank 0 of three if rank 2 does `then` instead. Rank 0 waits for rank 2,
// rank 1 for rank 0.
std::optional<Error> probe_without_rank_2(const tools::ProbeOptions& options,
                                          const std::function<void()>& then,
                                          const std::function<void()>& at_the_end) {
  std::optional<Error> seen;
  run_as_threads(3, [&](Bootstrap& bootstrap) {
    test::BootstrapAround stops(bootstrap, test::kMeetingsToJoinTheProbe, then);
    try {
      tools::probe_machine(bootstrap.rank() == 2 ? stops : bootstrap, options);
    } catch (const Error& error) {
      if (bootstrap.rank() != 0) return;
      seen = error;
      at_the_end();
    } catch (const std::runtime_error&) {
    }
  });
  return seen;
}

}  // namespace

RINGSIDE_TEST(probe, gives_every_rank_the_same_possible_figures) {
  for (const int ranks : {1, 2, 5}) {
    const std::vector<MachineProbe> probes = probe_with_threads(ranks, kSmall);
    for (const MachineProbe& it : probes) {
      for (const auto rates :
           {&MachineProbe::copy, &MachineProbe::pull, &MachineProbe::push, &MachineProbe::stream}) {
        check_rates(t, it.*rates, kSmall);
        CHECK(same(it.*rates, probes[0].*rates));
      }
      for (std::size_t i = 0; i < it.copy.size(); ++i)
        CHECK_EQ(it.copy[i].gbs, std::max({it.pull[i].gbs, it.push[i].gbs, it.stream[i].gbs}));
      check_rates(t, it.reduce, kSmall / 2);
      CHECK_MSG(ranks == 1 ? it.flag_ns == 0 : it.flag_ns > 0, "%d ranks: %g ns", ranks,
                it.flag_ns);
      CHECK(it.flag_spread_ns >= 0);
      CHECK(it.flag_ns == probes[0].flag_ns && it.flag_spread_ns == probes[0].flag_spread_ns);
      CHECK(same(it.reduce, probes[0].reduce));
    }
  }
}

// As in a bench whose rows take longer than RINGSIDE_TIMEOUT: no wait does.
RINGSIDE_TEST(probe, timeout_is_of_one_wait_and_not_of_all_probes_together) {
  tools::ProbeOptions options;
  options.most_bytes = kSmall;
  options.timeout_s = 3;
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    tools::probe_machine(bootstrap, options);
    ::usleep(3'100'000);
    CHECK(tools::probe_machine(bootstrap, options).flag_ns > 0);
  });
}

RINGSIDE_TEST(probe, rank_that_has_left_is_named) {
  tools::ProbeOptions options;
  options.most_bytes = kSmall;
  const std::optional<Error> seen = probe_without_rank_2(
      options, [] { throw std::runtime_error("leaves"); }, [] {});
  REQUIRE(seen.has_value());
  CHECK(seen->fault() == Fault::left);
  const std::string sentence = seen->what();
  CHECK_MSG(sentence.find("rank 0, in the probe of the machine: rank 2 (") == 0, "%s",
            seen->what());
}

RINGSIDE_TEST(probe, rank_that_waits_for_a_straggler_stops_on_request_and_at_its_deadline) {
  const std::atomic<int> interrupted{15};
  for (const bool by_signal : {true, false}) {
    tools::ProbeOptions options;
    options.most_bytes = kSmall;
    if (by_signal)
      options.interrupted = &interrupted;
    else
      options.timeout_s = 2;
    std::atomic<bool> over{false};
    const auto hang = [&] {
      while (!over) ::usleep(1000);
    };
    const std::optional<Error> seen = probe_without_rank_2(options, hang, [&] { over = true; });
    REQUIRE(seen.has_value());
    CHECK(seen->fault() == (by_signal ? Fault::interrupted : Fault::timeout));
    const std::string sentence = seen->what();
    // The first one that was stopped may have told the others.
    const bool is_right =
        by_signal ? sentence.ends_with("in the probe of the machine: stopped by signal 15")
                  : sentence.find("rank 0 waited for rank 2 in the probe") == 0;
    CHECK_MSG(is_right, "%s", seen->what());
  }
}

RINGSIDE_TEST(probe, rate_between_two_sizes_lies_on_a_line_over_the_logarithm) {
  const std::vector<Rate> rates = {{4096, 8.0}, {65536, 16.0}, {1 << 20, 4.0}};
  for (const Rate& it : rates) CHECK_EQ(rate_at(rates, it.bytes), it.gbs);
  CHECK_EQ(rate_at(rates, 16384), 12.0);      // the middle of two, in powers of two
  CHECK_EQ(rate_at(rates, 8192), 10.0);       // a quarter of the way
  CHECK_EQ(rate_at(rates, 256 << 10), 10.0);  // falling
  double before = rate_at(rates, 4096);
  for (std::size_t bytes = 5000; bytes <= 65536; bytes += 1000) {
    CHECK(rate_at(rates, bytes) > before);
    before = rate_at(rates, bytes);
  }
}

RINGSIDE_TEST(probe, rate_beyond_the_measured_sizes_is_that_of_the_end) {
  const std::vector<Rate> rates = {{4096, 8.0}, {65536, 16.0}};
  CHECK_EQ(rate_at(rates, 0), 8.0);
  CHECK_EQ(rate_at(rates, 1), 8.0);
  CHECK_EQ(rate_at(rates, 4095), 8.0);
  CHECK_EQ(rate_at(rates, 65537), 16.0);
  CHECK_EQ(rate_at(rates, std::size_t{1} << 40), 16.0);
  CHECK_EQ(rate_at({{4096, 3.0}}, 1), 3.0);
  CHECK_EQ(rate_at({{4096, 3.0}}, 1 << 30), 3.0);
  CHECK_EQ(rate_at({}, 1), 0.0);
}

// The three figures that were seen on machines where one knew, and the ends of the scale.
RINGSIDE_TEST(probe, flag_tells_how_far_apart_the_cores_probably_are) {
  using tools::core_distance;
  const auto name = [](double flag_ns) { return std::string(core_distance(flag_ns).name); };
  CHECK_EQ(name(22), "one_core");
  CHECK_EQ(name(58), "one_cache");
  CHECK_EQ(name(250), "apart");
  CHECK_EQ(name(30'000), "in_turns");
  CHECK_EQ(name(0), "none");
  const tools::CoreDistance* before = &core_distance(1);
  for (double flag_ns = 1; flag_ns < 1e6; flag_ns *= 1.1) {
    const tools::CoreDistance* now = &core_distance(flag_ns);
    CHECK_MSG(now >= before, "%g ns is nearer than less", flag_ns);
    before = now;
  }
  for (const double flag_ns : {22.0, 58.0, 250.0, 30'000.0})
    CHECK(std::string(core_distance(flag_ns).words).starts_with("probably "));
  CHECK_EQ(std::string(core_distance(0).words), "");
}

// The flag alone, as it is asked before and after each row.
RINGSIDE_TEST(probe, quick_flag_is_the_same_on_all_ranks_and_of_ranks_in_turns_there_is_none) {
  for (const int ranks : {1, 2, 3})
    for (const bool own_cores : {true, false}) {
      std::vector<std::vector<double>> flags(static_cast<std::size_t>(ranks));
      run_as_threads(ranks, [&](Bootstrap& bootstrap) {
        const tools::Flag flag = tools::flag_between(bootstrap, {}, own_cores);
        for (int i = 0; i < 3; ++i)
          flags[static_cast<std::size_t>(bootstrap.rank())].push_back(flag());
      });
      for (const std::vector<double>& it : flags) {
        CHECK(it == flags[0]);
        CHECK_MSG(ranks == 1  ? it[0] == 0
                  : own_cores ? it[0] > 0
                              : it[0] == tools::kTurn_ns,
                  "%d ranks: %g ns", ranks, it[0]);
      }
    }
}

RINGSIDE_TEST(probe, cores_have_moved_when_a_flag_stands_for_another_situation) {
  CHECK(tools::cores_moved(58, 250) && tools::cores_moved(250, 58) && tools::cores_moved(24, 58));
  CHECK(!tools::cores_moved(58, 61) && !tools::cores_moved(0, 0));
  // Within one situation a flag varies by more than a quarter: other cores of the same cache.
  CHECK(!tools::cores_moved(50, 68) && !tools::cores_moved(120, 170));
  CHECK_EQ(tools::cores_words(58), "probably cores of one cache (a flag takes 58 ns)");
  CHECK_EQ(tools::cores_words(tools::kTurn_ns), "probably ranks that take turns on a core");
  CHECK_EQ(tools::cores_words(0), "");
  // On both sides of a threshold between two guesses, and yet the same place.
  CHECK(!tools::cores_moved(119, 121));
  CHECK(tools::cores_moved(100, 126) && tools::cores_moved(126, 100));
  CHECK(!tools::cores_moved(100, 124));
  // A scheduler's turns are never alike; from a turn to none, something has changed.
  CHECK(!tools::cores_moved(3000, 9000));
  CHECK(tools::cores_moved(250, 9000));
}

}  // namespace ringside
