// Which rank is the straggler, and which one reports it: the chain of waits is followed to its end,
// a wait cycle is reported as one, each once, and the call goes on.
#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "comm/util/wait_graph.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr DType kI32 = DType::i32;

// Whom each rank waits for, as the status pages would say it.
struct Waits {
  std::map<int, int> list;
  RootCause of(int asking) const {
    return root_cause(asking, [&](int rank) { return at(rank); });
  }
  int reporter_of(const RootCause& found, int size) const {
    return reporter(found, size, [&](int rank) { return at(rank); });
  }
  std::optional<int> at(int rank) const {
    const auto it = list.find(rank);
    return it == list.end() ? std::nullopt : std::optional(it->second);
  }
};

// All warnings of all ranks: from whom, and what.
class Warnings {
 public:
  Options options_of(int rank, double warn_s) {
    Options options = test_options();
    options.warn_s = warn_s;
    options.on_warning = [this, rank](const std::string& sentence) {
      const std::lock_guard lock(mutex_);
      list.push_back({rank, sentence});
    };
    return options;
  }
  struct Warning {
    int rank;
    std::string sentence;
  };
  std::vector<Warning> list;

  // For the straggler: until somebody has complained of it, and a little longer.
  void wait_for(const std::string& complaint) {
    for (int i = 0; i < 1500 && about(complaint).empty(); ++i) nap_ms(10);
    nap_ms(100);
  }

  std::vector<Warning> about(const std::string& complaint) {
    const std::lock_guard lock(mutex_);
    std::vector<Warning> found;
    for (const Warning& it : list)
      if (contains(it.sentence, complaint)) found.push_back(it);
    return found;
  }

 private:
  std::mutex mutex_;
};

// That all ranks agree on the reporter is a matter of root_cause() and reporter(), above. Here one
// may look before another has begun to wait, on a machine that has other things to do; so each rank
// reports at most once, and what it reports is right.
void check_reported(Context& t, Warnings& warnings, const std::string& complaint,
                    const std::vector<int>& reporters, const std::vector<const char*>& parts) {
  const std::vector<Warnings::Warning> reports = warnings.about(complaint);
  CHECK_MSG(!reports.empty(), "nobody says '%s'", complaint.c_str());
  std::set<int> ranks;
  for (const Warnings::Warning& it : reports) {
    CHECK_MSG(ranks.insert(it.rank).second, "rank %d says it twice", it.rank);
    CHECK_MSG(std::count(reporters.begin(), reporters.end(), it.rank) == 1, "rank %d says: %s",
              it.rank, it.sentence.c_str());
    for (const char* part : parts) check_has(t, it.sentence, {part});
  }
}

}  // namespace

RINGSIDE_TEST(report, the_chain_ends_at_who_waits_for_nobody) {
  const Waits waits{{{3, 2}, {2, 1}, {0, 3}}};
  for (const int asking : {0, 2, 3}) {
    const RootCause found = waits.of(asking);
    CHECK(found.straggler == 1);
    CHECK_EQ(waits.reporter_of(found, 4), 2);
  }
  CHECK(waits.of(3).waiting == (std::vector<int>{3, 2}));
  // Two wait for the straggler itself: the lower of them reports it.
  const Waits both{{{0, 1}, {2, 1}, {3, 2}}};
  for (const int asking : {0, 2, 3}) CHECK_EQ(both.reporter_of(both.of(asking), 4), 0);
}

RINGSIDE_TEST(report, a_wait_cycle_has_no_end) {
  const Waits waits{{{5, 3}, {3, 1}, {1, 2}, {2, 3}}};
  for (const int asking : {5, 3, 1, 2}) {
    const RootCause found = waits.of(asking);
    CHECK(!found.straggler);
    CHECK_EQ(found.waiting.size(), 3u);  // 5 waits too, but is not on the cycle
    CHECK_EQ(waits.reporter_of(found, 6), 1);
  }
}

// The sentence of those who look at all ranks at once (the prover, the simulator, the model): ranks
// that wait for the cycle without being on it are left out.
RINGSIDE_TEST(report, a_deadlock_is_a_wait_cycle_or_leads_to_a_rank_that_has_ended) {
  const auto sentence = [](const Waits& waits) {
    return describe_deadlock([&](int rank) {
      const std::optional<int> peer = waits.at(rank);
      return peer ? Wait{.peer = *peer, .for_what = "send"} : Wait{.ended = true};
    });
  };
  CHECK_EQ(sentence({{{1, 3}, {2, 3}, {3, 2}}}),
           "deadlock: rank 3 waits for rank 2 to send, and rank 2 waits for rank 3 to send");
  CHECK_EQ(sentence({{{1, 2}, {2, 0}}}),
           "deadlock: rank 1 waits for rank 2 to send, rank 2 waits for rank 0 to send, which has "
           "ended");
}

RINGSIDE_TEST(report, a_straggler_is_reported_once_and_the_call_goes_on) {
  const std::string kNotEntered = "is alive, and it has not entered all_reduce #2";
  Warnings warnings;
  run_as_threads(4, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, warnings.options_of(bootstrap.rank(), 0.2));
    std::int32_t value = 1, sum = 0;
    comm.all_reduce(&value, &sum, 1, kI32, Reduction::max);
    if (comm.rank() == 2) warnings.wait_for(kNotEntered);
    std::vector<std::int32_t> large(300'000, 1);  // along the ring
    comm.all_reduce(large.data(), large.data(), large.size(), kI32, Reduction::sum);
    CHECK_EQ(large.back(), 4);
    CHECK(!comm.broken());
    comm.barrier();
  });
  // Rank 1 waits for room, 3 for a message: both directly. 0 waits for one of them.
  check_reported(
      t, warnings, kNotEntered, {1, 3},
      {"in all_reduce #2 (i32 × 300000, sum), waiting in step", "and goes on waiting; rank 2 (pid ",
       "its last call was all_reduce #1 (i32 × 1, max), entered "});
}

RINGSIDE_TEST(report, nothing_is_reported_where_nobody_asked_for_it) {
  Warnings warnings;
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, warnings.options_of(bootstrap.rank(), 0));
    if (comm.rank() == 1) nap_ms(300);
    comm.barrier();
  });
  CHECK(warnings.list.empty());
}

// Not along the ring, and in calls of two ranks each: 3 waits for 2, 2 for 1, and 1 sleeps.
RINGSIDE_TEST(report, the_chain_is_followed_through_messages) {
  Warnings warnings;
  run_as_threads(4, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, warnings.options_of(bootstrap.rank(), 0.3));
    std::int32_t value = 0;
    if (comm.rank() == 1) warnings.wait_for("rank 1 (pid ");
    if (comm.rank() == 2) comm.recv(&value, 1, kI32, 1);
    if (comm.rank() == 3) comm.recv(&value, 1, kI32, 2);
    if (comm.rank() == 1) comm.send(&value, 1, kI32, 2);
    if (comm.rank() == 2) comm.send(&value, 1, kI32, 3);
    comm.barrier();
  });
  // Rank 0 came to the barrier at once and waits too; the lowest of those who wait for rank 1.
  check_reported(t, warnings, "rank 1 (pid ", {0, 2}, {"it has not entered any call yet"});
}

// Both receive first. Nobody is late; it is the program that is wrong.
RINGSIDE_TEST(report, a_deadlock_is_reported_as_a_wait_cycle) {
  const Options impatient = test_options(1.5);
  const Endings endings = endings_of(2, impatient, [&](Communicator& comm) {
    std::int32_t value = 0;
    comm.recv(&value, 1, kI32, 1 - comm.rank());
    comm.send(&value, 1, kI32, 1 - comm.rank());
  });
  check_all_broken(t, endings, Fault::timeout,
                   "ranks wait for each other in a cycle, as their status pages say, so none will "
                   "go on: rank ");
  for (const Ending& ending : endings.first)
    check_has(t, ending.sentence,
              {"rank 0 in send/recv #1 (i32 × 1, from rank 1), waiting for rank 1",
               "rank 1 in send/recv #1 (i32 × 1, from rank 0), waiting for rank 0"});
}
