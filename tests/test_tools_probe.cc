// The probe of the machine: that it comes to an end with any number of ranks, that all ranks get
// the same figures, and that they can be figures. What they are is the machine's affair.
#include <atomic>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "comm/bootstrap_threads.h"
#include "comm/error.h"
#include "tests/support/test.h"
#include "tools/common/probe.h"

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

// A rank that meets the others, opens their windows, and is never seen again.
class LeavesAfterJoining : public Bootstrap {
 public:
  explicit LeavesAfterJoining(Bootstrap& inner) : inner_(inner) {}
  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  const char* name() const override { return inner_.name(); }
  void all_gather_bytes(const void* mine, std::size_t bytes, void* all,
                        Deadline deadline) override {
    inner_.all_gather_bytes(mine, bytes, all, deadline);
    constexpr int kMeetingsToJoin = 4;
    if (++meetings_ == kMeetingsToJoin) throw std::runtime_error("leaves");
  }

 private:
  Bootstrap& inner_;
  int meetings_ = 0;
};

}  // namespace

RINGSIDE_TEST(probe, gives_every_rank_the_same_possible_figures) {
  for (const int ranks : {1, 2, 5}) {
    const std::vector<MachineProbe> probes = probe_with_threads(ranks, kSmall);
    for (const MachineProbe& it : probes) {
      check_rates(t, it.copy, kSmall);
      check_rates(t, it.reduce, kSmall / 2);
      CHECK_MSG(ranks == 1 ? it.flag_ns == 0 : it.flag_ns > 0, "%d ranks: %g ns", ranks,
                it.flag_ns);
      CHECK(it.flag_spread_ns >= 0);
      CHECK(it.flag_ns == probes[0].flag_ns && it.flag_spread_ns == probes[0].flag_spread_ns);
      CHECK(same(it.copy, probes[0].copy) && same(it.reduce, probes[0].reduce));
    }
  }
}

RINGSIDE_TEST(probe, rank_that_waits_for_one_that_is_gone_can_be_stopped) {
  const std::atomic<int> interrupted{15};
  Fault fault{};
  std::string sentence;
  try {
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      tools::ProbeOptions options;
      options.most_bytes = kSmall;
      LeavesAfterJoining leaves(bootstrap);
      if (bootstrap.rank() == 1) tools::probe_machine(leaves, options);
      options.patience.interrupted = &interrupted;
      tools::probe_machine(bootstrap, options);
    });
  } catch (const Error& error) {
    fault = error.fault();
    sentence = error.what();
  }
  CHECK(fault == Fault::interrupted);
  CHECK_MSG(sentence.find("rank 0 waited for rank 1 in the probe") != std::string::npos, "%s",
            sentence.c_str());
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

}  // namespace ringside
