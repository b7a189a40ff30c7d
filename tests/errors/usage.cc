// Errors that are about the caller's own words: refused before anything is sent, and the
// communicator goes on as if nothing had been asked.
#include <cstdint>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"
#include "tests/support/environment.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr DType kF32 = DType::f32;
constexpr Reduction kSum = Reduction::sum;

void make_every_mistake(Context& t, Communicator& comm) {
  std::vector<float> a(64), b(64);
  const int n = comm.size(), me = comm.rank();
  const auto refused = [&](const char* words, const auto& action) {
    check_fault(t, ending_of(action), Fault::usage, {words, text("rank %d", me)}, words);
    CHECK(!comm.broken());
  };
  refused("null", [&] { comm.all_reduce(nullptr, b.data(), 4, kF32, kSum); });
  refused("null", [&] { comm.all_reduce(a.data(), nullptr, 4, kF32, kSum); });
  refused("null", [&] { comm.reduce_scatter(nullptr, b.data(), 4, kF32, kSum); });
  refused("null", [&] { comm.all_gather(a.data(), nullptr, 4, kF32); });
  refused("null", [&] { comm.broadcast(nullptr, 4, kF32, 0); });
  refused("null", [&] { comm.send(nullptr, 4, kF32, (me + 1) % n); });
  refused("null", [&] { comm.recv(nullptr, 4, kF32, (me + 1) % n); });
  refused("overlap", [&] { comm.all_reduce(a.data(), a.data() + 1, 4, kF32, kSum); });
  refused("overlap", [&] { comm.all_reduce(a.data() + 3, a.data(), 4, kF32, kSum); });
  // In place means this rank's own part, not somebody else's.
  const int other = (me + 1) % n;
  refused("overlap", [&] { comm.reduce_scatter(a.data(), a.data() + other * 4, 4, kF32, kSum); });
  refused("overlap", [&] { comm.all_gather(a.data() + other * 4, a.data(), 4, kF32); });
  refused("overlap", [&] { comm.all_gather(a.data() + me * 4 + 1, a.data(), 4, kF32); });
  refused("root -1", [&] { comm.broadcast(a.data(), 4, kF32, -1); });
  refused("there are ranks 0 to 2", [&] { comm.broadcast(a.data(), 4, kF32, n); });
  refused("does not exist", [&] { comm.send(a.data(), 4, kF32, n); });
  refused("does not exist", [&] { comm.recv(a.data(), 4, kF32, -7); });
  refused("to itself", [&] { comm.send(a.data(), 4, kF32, me); });
  refused("from itself", [&] { comm.recv(a.data(), 4, kF32, me); });
  refused("null", [&] { comm.reduce(nullptr, b.data(), 4, kF32, kSum, other); });
  refused("null", [&] { comm.reduce(a.data(), nullptr, 4, kF32, kSum, me); });
  refused("null", [&] { comm.gather(nullptr, b.data(), 4, kF32, other); });
  refused("null", [&] { comm.gather(a.data(), nullptr, 4, kF32, me); });
  refused("null", [&] { comm.scatter(a.data(), nullptr, 4, kF32, other); });
  refused("null", [&] { comm.scatter(nullptr, b.data(), 4, kF32, me); });
  refused("null", [&] { comm.all_to_all(nullptr, b.data(), 4, kF32); });
  refused("null", [&] { comm.all_to_all(a.data(), nullptr, 4, kF32); });
  refused("root 3", [&] { comm.reduce(a.data(), b.data(), 4, kF32, kSum, n); });
  refused("root -1", [&] { comm.gather(a.data(), b.data(), 4, kF32, -1); });
  refused("root 3", [&] { comm.scatter(a.data(), b.data(), 4, kF32, n); });
  refused("overlap", [&] { comm.reduce(a.data(), a.data() + 1, 4, kF32, kSum, me); });
  refused("overlap", [&] { comm.gather(a.data() + other * 4, a.data(), 4, kF32, me); });
  refused("overlap", [&] { comm.scatter(a.data(), a.data() + other * 4, 4, kF32, me); });
  // A transposition of blocks cannot be done in one buffer by those who see one block at a time.
  refused("overlap", [&] { comm.all_to_all(a.data(), a.data(), 4, kF32); });
  refused("overlap", [&] { comm.all_to_all(a.data(), a.data() + n * 4 - 1, 4, kF32); });
  refused("cannot be addressed", [&] { comm.all_to_all(a.data(), b.data(), SIZE_MAX / 4, kF32); });
  refused("cannot be addressed",
          [&] { comm.all_reduce(a.data(), b.data(), SIZE_MAX, kF32, kSum); });
  refused("cannot be addressed", [&] { comm.all_gather(a.data(), b.data(), SIZE_MAX / 4, kF32); });

  const std::vector<std::size_t> counts = {2, 1, 3}, two = {2, 1}, none = {0, 0, 0};
  const std::vector<std::size_t> huge = {SIZE_MAX / 2, SIZE_MAX / 2, 3};
  refused("2 counts for 3 ranks", [&] { comm.all_gather_v(a.data(), b.data(), two, kF32); });
  refused("2 counts for 3 ranks",
          [&] { comm.reduce_scatter_v(a.data(), b.data(), two, kF32, kSum); });
  refused("null", [&] { comm.all_gather_v(nullptr, b.data(), counts, kF32); });
  refused("null", [&] { comm.all_gather_v(a.data(), nullptr, counts, kF32); });
  refused("null", [&] { comm.reduce_scatter_v(nullptr, b.data(), counts, kF32, kSum); });
  refused("null", [&] { comm.reduce_scatter_v(a.data(), nullptr, counts, kF32, kSum); });
  refused("overlap", [&] { comm.all_gather_v(a.data() + 5, a.data(), counts, kF32); });
  refused("overlap", [&] { comm.reduce_scatter_v(a.data(), a.data() + 4, counts, kF32, kSum); });
  refused("cannot be addressed", [&] { comm.all_gather_v(a.data(), b.data(), huge, kF32); });
  refused("no type", [&] { comm.all_gather_v(a.data(), b.data(), none, DType(99)); });
  refused("no type", [&] { comm.reduce_scatter_v(a.data(), b.data(), none, DType(99), kSum); });
}

// Messages of a batch are under way together: what comes in may go nowhere that another one uses.
void make_every_overlap(Context& t, Communicator& comm) {
  std::vector<float> a(64);
  const int me = comm.rank(), other = (me + 1) % comm.size(), third = (me + 2) % comm.size();
  const auto refused = [&](const std::vector<Message>& batch) {
    const Ending ending = ending_of([&] { comm.exchange(batch); });
    check_fault(t, ending, Fault::usage, {"would be written over", text("rank %d: ", me)});
  };
  const Message in = Message::from(other, a.data(), 4, kF32);
  refused({Message::to(other, a.data() + 3, 4, kF32), in});
  refused({in, Message::to(other, a.data(), 1, kF32)});
  refused({in, Message::from(third, a.data() + 1, 9, kF32)});
  // Several may go out from one buffer, and what is empty is nowhere.
  comm.exchange({Message::to(other, a.data(), 4, kF32), Message::to(third, a.data(), 3, kF32),
                 Message::from(third, a.data() + 4, 4, kF32),
                 Message::from(other, a.data() + 8, 3, kF32)});
}

}  // namespace

RINGSIDE_TEST(errors, usage_errors_name_the_rank_and_leave_the_communicator_intact) {
  on_ranks(3, test_options(), [&](Communicator& comm) {
    for (int round = 0; round < 3; ++round) {
      make_every_mistake(t, comm);
      // Not in step, either: a call that was refused on one rank alone is made up for by none.
      if (comm.rank() == round) make_every_mistake(t, comm);
      const std::int32_t one = 1;
      std::int32_t sum = 0;
      comm.all_reduce(&one, &sum, 1, DType::i32, Reduction::sum);
      CHECK_EQ(sum, 3);
      make_every_overlap(t, comm);
    }
    comm.barrier();
  });
}

RINGSIDE_TEST(errors, null_is_a_fine_buffer_for_nothing) {
  on_ranks(3, test_options(), [&](Communicator& comm) {
    comm.all_reduce(nullptr, nullptr, 0, kF32, kSum);
    comm.reduce_scatter(nullptr, nullptr, 0, kF32, Reduction::avg);
    comm.all_gather(nullptr, nullptr, 0, kF32);
    comm.broadcast(nullptr, 0, kF32, 2);
    comm.reduce(nullptr, nullptr, 0, kF32, Reduction::avg, 1);
    comm.gather(nullptr, nullptr, 0, kF32, 0);
    comm.scatter(nullptr, nullptr, 0, kF32, 2);
    comm.all_to_all(nullptr, nullptr, 0, kF32);
    const std::vector<std::size_t> none(3);
    comm.reduce_scatter_v(nullptr, nullptr, none, kF32, Reduction::avg);
    comm.all_gather_v(nullptr, nullptr, none, kF32);
    comm.barrier();
  });
}

RINGSIDE_TEST(errors, options_out_of_range_are_refused) {
  const auto refused = [](auto&& change) {
    Options options;
    change(options);
    const Ending ending = ending_of([&] { options.check(); });
    return ending.failed && ending.fault == Fault::usage;
  };
  CHECK(!refused([](Options&) {}));
  CHECK(refused([](Options& o) { o.slot_bytes = 7; }));
  CHECK(refused([](Options& o) { o.slot_bytes = kMaxSlotBytes + 1; }));
  CHECK(refused([](Options& o) { o.slot_count = 0; }));
  CHECK(refused([](Options& o) { o.slot_count = kMaxSlots + 1; }));
  CHECK(refused([](Options& o) { o.algorithm = Algorithm::hierarchical; }));
  CHECK(refused([](Options& o) { o.group_ranks = 2; }));
  CHECK(refused([](Options& o) { o.algorithm = Algorithm::chain; }));
  CHECK(refused([](Options& o) { o.timeout_s = -1; }));
  CHECK(refused([](Options& o) { o.timeout_s = std::numeric_limits<double>::quiet_NaN(); }));
  CHECK(refused([](Options& o) { o.timeout_s = std::numeric_limits<double>::infinity(); }));
}

RINGSIDE_TEST(errors, the_environment_is_read_strictly) {
  const char* garbage[][2] = {
      {"RINGSIDE_SLOT_BYTES", ""},
      {"RINGSIDE_SLOT_BYTES", "many"},
      {"RINGSIDE_SLOT_BYTES", "-1"},
      {"RINGSIDE_SLOT_BYTES", "64 K"},
      {"RINGSIDE_SLOT_BYTES", "64Kb"},
      {"RINGSIDE_SLOT_BYTES", "1.5M"},
      {"RINGSIDE_SLOT_BYTES", "4"},
      {"RINGSIDE_SLOT_BYTES", "99999999999999999999"},
      {"RINGSIDE_SLOT_BYTES", "9999999T"},
      {"RINGSIDE_SLOT_BYTES", "0x1000"},
      {"RINGSIDE_STREAM_FROM", "16 M"},
      {"RINGSIDE_STORES", "past"},
      {"RINGSIDE_SLOT_COUNT", "0"},
      {"RINGSIDE_SLOT_COUNT", "65"},
      {"RINGSIDE_SLOT_COUNT", "four"},
      {"RINGSIDE_SLOT_COUNT", "99999999999"},
      {"RINGSIDE_TIMEOUT", ""},
      {"RINGSIDE_TIMEOUT", "soon"},
      {"RINGSIDE_TIMEOUT", "-5"},
      {"RINGSIDE_TIMEOUT", "10s"},
      {"RINGSIDE_TIMEOUT", "nan"},
      {"RINGSIDE_TIMEOUT", "inf"},
      {"RINGSIDE_ALGORITHM", ""},
      {"RINGSIDE_ALGORITHM", "Ring"},
      {"RINGSIDE_ALGORITHM", "one_shot"},
      {"RINGSIDE_ALGORITHM", "two shots"},
      {"RINGSIDE_ALGORITHM", "hierarchical"},
      {"RINGSIDE_ALGORITHM", "hierarchical:0"},
      {"RINGSIDE_ALGORITHM", "hierarchical:many"},
      {"RINGSIDE_CONTROL", ""},
      {"RINGSIDE_CONTROL", "sockets"},
      {"RINGSIDE_ISA", "sse9"},
      {"RINGSIDE_ISA", "AVX2"},
  };
  for (const auto& [name, value] : garbage) {
    const Environment environment(name, value);
    check_fault(t, ending_of([] { Options::from_environment().check(); }), Fault::usage, {},
                text("%s='%s'", name, value));
  }
  const Environment slot_bytes("RINGSIDE_SLOT_BYTES", "64k"),
      slot_count("RINGSIDE_SLOT_COUNT", "7"), timeout("RINGSIDE_TIMEOUT", "2.5"),
      algorithm("RINGSIDE_ALGORITHM", "one-shot");
  const Options options = Options::from_environment();
  CHECK_EQ(options.slot_bytes, 65536u);
  CHECK_EQ(options.slot_count, 7);
  CHECK_EQ(options.timeout_s, 2.5);
  CHECK(options.algorithm == Algorithm::one_shot);
  const Environment two_shot("RINGSIDE_ALGORITHM", "two-shot");
  CHECK(Options::from_environment().algorithm == Algorithm::two_shot);
  const Environment in_groups("RINGSIDE_ALGORITHM", "hierarchical:4");
  CHECK(Options::from_environment().algorithm == Algorithm::hierarchical);
  CHECK_EQ(Options::from_environment().group_ranks, 4);
}
