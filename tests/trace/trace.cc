// The timeline, by ranks that are threads: every call is on its rank's track with its steps, waits
// lie in the steps that wait, every arrow has two ends, and nothing is computed otherwise for it.
// What the tools do with --trace is tested in processes.cc.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "comm/diagnostics/trace.h"
#include "comm/error.h"
#include "tests/collectives/collective_case.h"
#include "tests/collectives/hash_cases.h"
#include "tests/support/folder.h"
#include "tests/trace/timeline.h"
#include "tests/verify/algorithms.h"
#include "tools/report/trace_file.h"
#include "tools/support/fault_injection.h"

using namespace ringside;
using namespace ringside::test;

namespace {

using RankBody = std::function<void(Communicator&)>;

// The file that these ranks make. With a fault every rank is to fail, and writes what it has.
std::string traced(Context& t, int ranks, const Options& options, const RankBody& body,
                   const std::optional<Injection>& fault = std::nullopt) {
  const Folder folder;
  const std::string path = folder.file("trace.json");
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    Options mine = options;
    if (fault) inject(mine, *fault, bootstrap);
    Trace trace;
    mine.trace = &trace;
    if (bootstrap.rank() == 0) tools::create_trace_file("test", path);
    bool failed = false;
    try {
      Communicator comm(bootstrap, mine);
      body(comm);
    } catch (const Error& error) {
      failed = true;
      CHECK_MSG(fault.has_value(), "%s", error.what());
    }
    tools::append_trace(path, bootstrap.rank(), trace);
    CHECK_EQ(failed, fault.has_value());
  });
  return read_file(path);
}

// Several slices of each chunk, and collectives of a few bytes by the ring.
Options small_slots(Algorithm algorithm = Algorithm::automatic) {
  Options options = test_options();
  options.slot_bytes = 256;
  options.algorithm = algorithm;
  return options;
}

void check_sound(Context& t, const Timeline& it, int ranks) {
  CHECK_EQ(it.ranks.size(), static_cast<std::size_t>(ranks));
  for (const std::string& finding : it.findings) CHECK_MSG(false, "%s", finding.c_str());
  for (const std::string& half : it.half_arrows) CHECK_MSG(false, "%s", half.c_str());
}

// Every word that there is: collectives, ragged ones, one-shot, two-shot, messages, blocking and
// not.
void call_everything(Communicator& comm) {
  const int n = comm.size(), me = comm.rank();
  const auto size = static_cast<std::size_t>(n);
  constexpr std::size_t kCount = 200;
  std::vector<float> in(kCount * size, 1.5f), out(kCount * size);
  const DType f32 = DType::f32;
  const Reduction sum = Reduction::sum;
  for (const std::size_t count : {std::size_t{0}, std::size_t{3}, kCount})
    comm.all_reduce(in.data(), out.data(), count, f32, sum);
  comm.all_reduce_async(in.data(), out.data(), kCount, f32, Reduction::avg).wait();
  comm.reduce_scatter(in.data(), out.data(), kCount, f32, sum);
  comm.all_gather(in.data(), out.data(), kCount, f32);
  std::vector<std::size_t> counts(size, 5);
  counts[0] = 150;
  comm.all_gather_v(in.data(), out.data(), counts, f32);
  comm.reduce_scatter_v(in.data(), out.data(), counts, f32, sum);
  for (int root = 0; root < n; ++root) {
    comm.broadcast(in.data(), kCount, f32, root);
    comm.reduce(in.data(), out.data(), kCount, f32, sum, root);
    comm.gather(in.data(), out.data(), kCount, f32, root);
    comm.scatter(in.data(), out.data(), kCount, f32, root);
  }
  comm.all_to_all(in.data(), out.data(), kCount, f32);
  comm.barrier();
  comm.exchange({});
  if (n == 1) return;
  const int right = (me + 1) % n, left = (me + n - 1) % n;
  comm.exchange({Message::to(right, in.data(), kCount, f32), Message::to(right, in.data(), 1, f32),
                 Message::from(left, out.data(), kCount, f32),
                 Message::from(left, out.data(), 1, f32)});
  if (me == 0) comm.send(in.data(), kCount, f32, 1);
  if (me == 1) comm.recv(out.data(), kCount, f32, 0);
  std::optional<Communicator> half = comm.split(me % 2, me);
  half->all_reduce(in.data(), out.data(), kCount, f32, sum);
}

// The steps of a slice that move something.
std::vector<std::string> moves_of(const Track& track, const Slice& call, double slice) {
  std::vector<std::string> names;
  for (const Slice* step : track.inside(call, "step"))
    if (step->named("step ") && step->args.at("slice").number == slice) names.push_back(step->name);
  return names;
}

double sum_of(const std::vector<const Slice*>& slices, const char* what) {
  double sum = 0;
  for (const Slice* slice : slices)
    if (const Json* value = slice->args.find(what)) sum += value->number;
  return sum;
}

}  // namespace

RINGSIDE_TEST(trace, everything_nests_and_every_arrow_has_two_ends) {
  for (const int ranks : {1, 2, 3, 5})
    for (const Algorithm algorithm : {Algorithm::automatic, Algorithm::ring, Algorithm::two_shot}) {
      const std::string file = traced(t, ranks, small_slots(algorithm), call_everything);
      const Timeline it = read_timeline(file);
      check_sound(t, it, ranks);
      CHECK((it.arrows > 0) == (ranks > 1));
      for (const auto& [rank, track] : it.ranks) {
        // A group that is split off is not in the trace: its all_reduce would be the fifth. The
        // parent's own part in it, an all_gather and exchanges, is.
        CHECK_EQ(track.all("call", "all_reduce").size(), 4u);
        const std::size_t batches = track.all("call", "exchange").size() +
                                    track.all("call", "send").size() +
                                    track.all("call", "recv").size();
        CHECK_EQ(track.all("call").size() - batches,
                 10u + 4u * static_cast<unsigned>(ranks) + (ranks == 1 ? 0u : 1u));
        CHECK((track.all("call", "exchange").size() > 0) == (ranks > 1));
        CHECK_EQ(track.all("call", "send").size(), ranks > 1 && rank == 0 ? 1u : 0u);
        CHECK_EQ(track.all("call", "recv").size(), ranks > 1 && rank == 1 ? 1u : 0u);
        for (const Slice& slice : track.slices) CHECK(!slice.unfinished());
      }
    }
}

RINGSIDE_TEST(trace, a_ring_all_reduce_is_its_2_n_minus_1_steps_in_order) {
  constexpr std::size_t kCount = 500;
  for (const int ranks : {2, 3, 4}) {
    const Timeline it =
        read_timeline(traced(t, ranks, small_slots(Algorithm::ring), [](Communicator& comm) {
          std::vector<float> x(kCount, 1.0f);
          comm.all_reduce(x.data(), x.data(), kCount, DType::f32, Reduction::sum);
        }));
    check_sound(t, it, ranks);
    const std::size_t longest =
        (kCount + static_cast<std::size_t>(ranks) - 1) / static_cast<std::size_t>(ranks);
    const std::size_t slices = (longest + 63) / 64;  // 256 bytes are 64 elements
    double sent_bytes = 0, received_bytes = 0;
    for (const auto& [rank, track] : it.ranks) {
      const std::vector<const Slice*> calls = track.all("call");
      REQUIRE(calls.size() == 1);
      CHECK_EQ(calls[0]->name, "all_reduce #1");
      CHECK_EQ(calls[0]->args.at("algorithm").words, "ring");
      CHECK_EQ(calls[0]->args.at("count").number, static_cast<double>(kCount));
      const Ring ring{rank, ranks};
      std::vector<std::string> wanted;
      for (int s = 0; s < ring.steps(); ++s)
        wanted.push_back(text("step %d: send chunk %d, reduce chunk %d", s + 1, ring.reduce_send(s),
                              ring.reduce_receive(s)));
      for (int s = 0; s < ring.steps(); ++s)
        wanted.push_back(text("step %d: send chunk %d, receive chunk %d", ring.steps() + s + 1,
                              ring.gather_send(s), ring.gather_receive(s)));
      for (std::size_t slice = 1; slice <= slices; ++slice)
        CHECK(moves_of(track, *calls[0], static_cast<double>(slice)) == wanted);
      CHECK(moves_of(track, *calls[0], static_cast<double>(slices + 1)).empty());
      CHECK_EQ(track.all("step", "post-op on chunk ").size(), slices);
      sent_bytes += sum_of(track.all("step"), "sent_bytes");
      received_bytes += sum_of(track.all("step"), "received_bytes");
    }
    // 2(n−1)/n·S from each of n ranks.
    CHECK_EQ(sent_bytes, 2.0 * (ranks - 1) * kCount * 4);
    CHECK_EQ(received_bytes, sent_bytes);
    CHECK_EQ(it.arrows, slices * static_cast<std::size_t>(2 * (ranks - 1) * ranks));
  }
}

// Two slices: each has both steps.
RINGSIDE_TEST(trace, a_two_shot_has_its_primitives_in_each_slice) {
  constexpr unsigned kRanks = 3;
  Options options = small_slots(Algorithm::two_shot);
  const std::size_t count = kRanks * (options.slot_bytes / sizeof(float)) * 2;
  const Timeline it = read_timeline(traced(t, kRanks, options, [&](Communicator& comm) {
    std::vector<float> x(count, 1.0f);
    comm.all_reduce(x.data(), x.data(), x.size(), DType::f32, Reduction::sum);
  }));
  check_sound(t, it, kRanks);
  for (const auto& [rank, track] : it.ranks) {
    CHECK_EQ(track.all("call").at(0)->args.at("algorithm").words, "two-shot");
    const auto steps = [&track = track](const std::string& name) {
      return track.all("step", name).size();
    };
    const int own = rank, right = (rank + 1) % 3, left = (rank + 2) % 3;
    CHECK_EQ(steps(text("step 1: send chunk %d", right)), 2u);
    CHECK_EQ(steps(text("step 2: send chunk %d", left)), 2u);
    CHECK_EQ(steps(text("step 3: wait for chunk %d of rank %d", own, right)), 2u);
    CHECK_EQ(steps(text("step 4: wait for chunk %d of rank %d", own, left)), 2u);
    CHECK_EQ(steps("set the own input aside"), 2u);
    CHECK_EQ(steps(text("reduce chunk %d of rank ", own)), 2 * kRanks);
    CHECK_EQ(steps("release the inputs"), 2u);
    CHECK_EQ(steps(text("step 5: send chunk %d", own)), 2u);
    CHECK_EQ(steps(text("step 6: send chunk %d", own)), 2u);
    CHECK_EQ(steps(text("step 7: receive chunk %d", right)), 2u);
    CHECK_EQ(steps(text("step 8: receive chunk %d", left)), 2u);
    // 2(n−1)/n·S, as on a ring.
    CHECK_EQ(sum_of(track.all("step"), "sent_bytes"),
             2.0 * (kRanks - 1) / kRanks * static_cast<double>(count * sizeof(float)));
    CHECK_EQ(sum_of(track.all("step"), "received_bytes"), sum_of(track.all("step"), "sent_bytes"));
  }
  CHECK_EQ(it.arrows, 2 * 2 * kRanks * (kRanks - 1));
}

RINGSIDE_TEST(trace, a_one_shot_has_its_own_primitives) {
  constexpr unsigned kRanks = 3;
  const Timeline it =
      read_timeline(traced(t, kRanks, small_slots(Algorithm::one_shot), [](Communicator& comm) {
        std::vector<float> x(6, 1.0f);
        comm.all_reduce(x.data(), x.data(), x.size(), DType::f32, Reduction::sum);
      }));
  check_sound(t, it, kRanks);
  for (const auto& [rank, track] : it.ranks) {
    CHECK_EQ(track.all("call").at(0)->args.at("algorithm").words, "one-shot");
    const auto step = [rank = rank, &track = track](int number, const char* what, int peer) {
      const std::string name = text("step %d: %s rank %d", number, what, (rank + peer) % 3);
      return track.all("step", name).size();
    };
    CHECK(step(1, "send the input to", 1) == 1 && step(2, "send the input to", 2) == 1);
    CHECK(step(3, "wait for the input of", 1) == 1 && step(4, "wait for the input of", 2) == 1);
    CHECK_EQ(track.all("step", "set the own input aside").size(), 1u);
    CHECK_EQ(track.all("step", "reduce chunk ").size(), kRanks * kRanks);
    CHECK_EQ(track.all("step", "post-op on chunk ").size(), kRanks);
    CHECK_EQ(track.all("step", "release the inputs").size(), 1u);
    CHECK_EQ(sum_of(track.all("step"), "sent_bytes"), 2 * 24.0);
  }
  CHECK_EQ(it.arrows, kRanks * (kRanks - 1));
}

// All wait for rank 2 in the end, and where each of them stood when its time was up is shown.
RINGSIDE_TEST(trace, a_stalled_rank_is_what_the_others_wait_for) {
  Options options = small_slots(Algorithm::ring);
  options.timeout_s = kUnderTsan ? 2 : 0.4;
  for (const std::uint64_t step : {0u, 1u}) {
    const Injection stall{.what = Injection::What::stall, .rank = 2, .op = 3, .step = step};
    const std::string file = traced(
        t, 4, options,
        [](Communicator& comm) {
          std::vector<float> x(500, 1.0f);
          for (int i = 0; i < 4; ++i)
            comm.all_reduce(x.data(), x.data(), x.size(), DType::f32, Reduction::sum);
        },
        stall);
    const Timeline it = read_timeline(file);
    for (const std::string& finding : it.findings) CHECK_MSG(false, "%s", finding.c_str());
    REQUIRE(it.ranks.size() == 4);
    for (const int rank : {0, 1, 3}) {
      const std::vector<const Slice*> at_last = it.ranks.at(rank).last();
      REQUIRE(at_last.size() == 3);
      CHECK_EQ(at_last[0]->name, "all_reduce #3 (unfinished)");
      CHECK(at_last[1]->category == "step" && at_last[1]->unfinished());
      // A rank waits for its left neighbour's message, or for room at its right one.
      const std::string wait = at_last[2]->name;
      CHECK_MSG(wait == text("waits for rank %d (unfinished)", (rank + 3) % 4) ||
                    wait == text("waits for rank %d (unfinished)", (rank + 1) % 4),
                "rank %d %s", rank, wait.c_str());
    }
    CHECK_EQ(it.ranks.at(3).last()[2]->name, "waits for rank 2 (unfinished)");
    // The one at fault waits for nobody, until it hears that another one has given up. Before the
    // call it is not even in it.
    const Slice& culprit = *it.ranks.at(2).last().back();
    std::int64_t given_up_ns = INT64_MAX;
    for (const int rank : {0, 1, 3})
      given_up_ns = std::min(given_up_ns, it.ranks.at(rank).last()[2]->end_ns);
    CHECK(culprit.unfinished() == (step > 0));
    CHECK(culprit.category != "wait" || !culprit.unfinished() || culprit.begin_ns > given_up_ns);
    CHECK_EQ(it.ranks.at(2).all("call").size(), step == 0 ? 2u : 3u);
  }
}

RINGSIDE_TEST(trace, no_bit_is_another_one) {
  const std::vector<Operation> cases = hash_cases();
  for (const int ranks : {2, 3}) {
    std::vector<std::uint64_t> without, with;
    for (std::vector<std::uint64_t>* list : {&without, &with}) {
      const RankBody body = [&](Communicator& comm) {
        for (std::size_t i = 0; i < cases.size(); i += 3) {
          const std::uint64_t hash = hash_of(comm, cases[i], {});
          if (comm.rank() == 0) list->push_back(hash);
        }
      };
      if (list == &with) {
        CHECK(!traced(t, ranks, test_options(), body).empty());
      } else {
        on_ranks(ranks, test_options(), [&](Communicator& comm) { body(comm); });
      }
    }
    CHECK(without.size() > 50 && without == with);
  }
}

RINGSIDE_TEST(trace, a_step_said_again_is_the_same_word) {
  const auto again = [](const Program& program) {
    Recorder executor(2);
    for (const Step& step : program) perform(executor, step);
    return executor.program();
  };
  std::vector<Program> all = one_shot_programs(3);
  for (const Program& program : two_shot_programs(3, 2)) all.push_back(program);
  for (const Kind kind : kSpecified)
    for (const Program& program : programs_of(kind, 4, 2, 1)) all.push_back(program);
  for (const Program& program : all) {
    CHECK(!program.empty());
    CHECK_EQ(show(again(program)), show(program));
  }
}
