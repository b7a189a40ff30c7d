// The tests of rig.h about results, and about what goes wrong.
#include "tests/device/rig.h"

#include <barrier>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/errors/endings.h"
#include "tools/support/call.h"

namespace ringside::test {
namespace {

constexpr std::size_t kMany = 3000;

// Of values that do not matter.
void all_reduce(const Rig& rig, Communicator& comm, std::size_t count = kMany) {
  void* const values = rig.memory(comm.rank())->room(0, (kMany + 1) * sizeof(float));
  comm.all_reduce(values, values, count, DType::f32, Reduction::max);
}

Case case_for(int ranks, Kind kind, DType dtype, Reduction reduction, std::size_t count,
              std::uint64_t seed) {
  Case it{{kind, dtype, reduction, static_cast<int>(seed) % ranks, count},
          seed % 3 == 0 && kind != Kind::all_to_all && kind != Kind::send_recv,
          static_cast<int>(seed % 4),
          static_cast<int>(seed + 1) % ranks,
          seed,
          seed % 5 == 0};
  if (is_ragged(kind)) {
    for (int rank = 0; rank < ranks; ++rank)
      it.counts.push_back(count / (1 + (index(rank) + seed) % 3));
    it.what.count = 0;
    for (const std::size_t each : it.counts) it.what.count += each;
    it.what.layout = layout_of(it.counts);
  }
  return it;
}

}  // namespace

// --- results ---

std::vector<Case> cases_for(int ranks, Kind kind, const std::vector<std::size_t>& counts) {
  std::vector<Case> cases;
  if (kind == Kind::send_recv && ranks == 1) return cases;
  std::uint64_t seed = 1;
  for (const std::size_t count : counts)
    for (const DType dtype : kAllDTypes) {
      if (count > 100 && dtype != DType::f32 && dtype != DType::bf16) continue;
      for (const Reduction reduction : kAllReductions)
        if (reduction == Reduction::sum || has_reduction(kind))
          cases.push_back(case_for(ranks, kind, dtype, reduction, count, ++seed));
    }
  return cases;
}

std::vector<Case> cases_for_all(int ranks, const std::vector<std::size_t>& counts) {
  std::vector<Case> all;
  for (const Kind kind : tools::kMeasuredKinds) {
    const std::vector<Case> cases = cases_for(ranks, kind, counts);
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

void run_kind(Context& t, const Rig& rig, int ranks, const Options& options, Kind kind) {
  const std::vector<Case> cases = cases_for(ranks, kind, kCounts);
  run_cases(t, ranks, options, cases, expect_all(cases, ranks), Exposing::nothing, rig.memory);
}

namespace {

void run_all(Context& t, const Rig& rig, const std::vector<int>& ranks,
             const std::vector<std::size_t>& counts, Exposing exposing) {
  for (const int each : ranks) {
    const std::vector<Case> cases = cases_for_all(each, counts);
    const std::vector<Expectation> expected = expect_all(cases, each);
    for (const ExecutorChoice executor : kExecutors)
      run_cases(t, each, rig.options(executor), cases, expected, exposing, rig.memory);
  }
}

}  // namespace

void check_every_operation(Context& t, const Rig& rig, const std::vector<int>& ranks,
                           const std::vector<std::size_t>& counts) {
  run_all(t, rig, ranks, counts, Exposing::nothing);
}

void check_writing_at_once(Context& t, const Rig& rig, const std::vector<int>& ranks,
                           const std::vector<std::size_t>& counts) {
  run_all(t, rig, ranks, counts, Exposing::both);
}

void check_zero_copy(Context& t, const Rig& rig) {
  for (const std::size_t from : {std::size_t{1}, std::size_t{200}, SIZE_MAX})
    for (const int ranks : {2, 3})
      for (const Kind kind : tools::kMeasuredKinds) {
        Options options = rig.options(ExecutorChoice::device);
        options.zero_copy_from_bytes = from;
        run_kind(t, rig, ranks, options, kind);
      }
}

namespace {

// Memory in which what is written becomes something a little else.
class Spoiling : public Elsewhere {
 public:
  explicit Spoiling(Elsewhere& inner) : inner_(inner) {}
  std::byte* room(int which, std::size_t bytes) override { return inner_.room(which, bytes); }
  void read(std::byte* to_host, const std::byte* from, std::size_t bytes) override {
    inner_.read(to_host, from, bytes);
  }
  void write(std::byte* to, const std::byte* from_host, std::size_t bytes) override {
    inner_.write(to, from_host, bytes);
    std::byte middle{};
    inner_.read(&middle, to + bytes / 2, 1);
    middle ^= std::byte{1};
    inner_.write(to + bytes / 2, &middle, 1);
  }

 private:
  Elsewhere& inner_;
};

}  // namespace

void check_that_a_changed_input_is_seen(Context& t, const Rig& rig) {
  // In place, so that only what comes out is judged; of integers, so that no rounding hides a bit.
  const std::vector<Case> cases = {
      {{Kind::all_reduce, DType::i32, Reduction::sum, 0, kMany}, true, 0}};
  for (const ExecutorChoice executor : kExecutors) {
    Spoiling spoiling(*rig.memory(1));
    Context seen;
    run_cases(seen, 3, rig.options(executor), cases, expect_all(cases, 3), Exposing::nothing,
              [&](int rank) { return rank == 1 ? &spoiling : rig.memory(rank); });
    CHECK_MSG(seen.failure_count() == 3, "%s executor: %d ranks of 3 have seen it: %s",
              name_of(executor), seen.failure_count(), seen.summary().c_str());
  }
}

// --- when it goes wrong ---

void check_different_calls(Context& t, const Rig& rig) {
  for (const ExecutorChoice executor : kDeviceExecutors)
    for (const int ranks : {2, 3}) {
      check_all_broken(t,
                       endings_of(ranks, rig.options(executor),
                                  [&](Communicator& comm) {
                                    all_reduce(rig, comm);
                                    all_reduce(rig, comm, comm.rank() == 1 ? kMany + 1 : kMany);
                                  }),
                       Fault::mismatch, "the count differs");
      check_all_broken(t,
                       endings_of(ranks, rig.options(executor),
                                  [&](Communicator& comm) {
                                    all_reduce(rig, comm);
                                    if (comm.rank() != 1) return all_reduce(rig, comm);
                                    Elsewhere& memory = *rig.memory(1);
                                    comm.reduce_scatter(memory.room(0, kMany), memory.room(1, 28),
                                                        7, DType::f32, Reduction::max);
                                  }),
                       Fault::mismatch, "the operation differs");
    }
}

void check_a_message_of_another_call(Context& t, const Rig& rig) {
  for (const ExecutorChoice executor : kDeviceExecutors)
    check_all_broken(
        t,
        endings_of(2, rig.options(executor),
                   [&](Communicator& comm) {
                     void* const values = rig.memory(comm.rank())->room(0, 8 * sizeof(float));
                     comm.all_reduce(values, values, 8, DType::f32,
                                     comm.rank() == 1 ? Reduction::max : Reduction::sum);
                   }),
        Fault::mismatch, "the reduction differs: ");
}

void check_a_straggler(Context& t, const Rig& rig) {
  for (const ExecutorChoice executor : kDeviceExecutors) {
    Options options = rig.options(executor);
    options.timeout_s = 0.5;
    const Endings endings = endings_of(3, options, [&](Communicator& comm) {
      all_reduce(rig, comm);
      if (comm.rank() == 1) nap_ms(1500);
      all_reduce(rig, comm);
    });
    check_all_broken(t, endings, Fault::timeout, "waiting for the device");
  }
}

void check_a_rank_that_has_left(Context& t, const Rig& rig) {
  for (const ExecutorChoice executor : kDeviceExecutors) {
    std::vector<Ending> endings(2);
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      Communicator comm(bootstrap, rig.options(executor));
      all_reduce(rig, comm);
      if (comm.rank() == 1) return;
      endings[0] = ending_of([&] { all_reduce(rig, comm); });
    });
    check_fault(t, endings[0], Fault::left, {"rank 1 ", "has left"});
  }
}

void check_abort(Context& t, const Rig& rig) {
  for (const ExecutorChoice executor : kDeviceExecutors)
    for (const int caller : {0, 1}) {
      std::barrier together(2);
      run_as_threads(2, [&](Bootstrap& bootstrap) {
        Communicator comm(bootstrap, rig.options(executor));
        std::thread other;
        if (comm.rank() == caller)
          other = std::thread([&] {
            nap_ms(100);
            comm.abort("the loss is not a number");
          });
        // Rank 0 waits for rank 1, which never comes.
        if (comm.rank() == 0) {
          const Ending ending = ending_of([&] { all_reduce(rig, comm); });
          check_fault(t, ending, Fault::aborted, {"the loss is not a number"});
          CHECK(ending.seconds < 5);
        }
        together.arrive_and_wait();
        if (other.joinable()) other.join();
        together.arrive_and_wait();
      });
    }
}

void check_an_end_beside_a_call(Context& t, const Rig& rig) {
  for (const ExecutorChoice executor : kDeviceExecutors) {
    std::vector<Ending> endings(2);
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      Options options = rig.options(executor);
      options.timeout_s = 5;
      Communicator stays(bootstrap, options);
      std::optional<Communicator> goes(std::in_place, bootstrap, options);
      all_reduce(rig, stays);
      all_reduce(rig, *goes);
      endings[index(bootstrap.rank())] = ending_of([&] {
        // Rank 0 is in the call by then, and its kernel waits.
        if (stays.rank() == 1) nap_ms(200);
        if (stays.rank() == 1) goes.reset();
        all_reduce(rig, stays);
      });
    });
    for (const Ending& it : endings)
      CHECK_MSG(!it.failed, "%s executor, after %g s: %s", name_of(executor), it.seconds,
                it.sentence.c_str());
  }
}

}  // namespace ringside::test
