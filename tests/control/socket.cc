// SocketControl among those who do not keep its contract (strangers, nonsense, floods), and
// communicators that know their peers over sockets alone: they name the same culprits as those that
// read their peers' status pages, and leave as little behind.
#include <sys/socket.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <functional>
#include <thread>

#include "comm/control/wire.h"
#include "tests/bootstrap/tcp_job.h"
#include "tests/collectives/collective_case.h"
#include "tests/control/worlds.h"
#include "tests/errors/endings.h"
#include "tests/faults/fault_cell.h"
#include "tools/fuzz/resources.h"

using namespace ringside;
using namespace ringside::test;

namespace {

using What = Injection::What;
constexpr int kVictim = ControlWorld::kVictim;

Options socket_options() {
  Options options = test_options();
  options.control = ControlChoice::socket;
  return options;
}

bool soon_true(const std::function<bool()>& condition) {
  for (int i = 0; i < 10000 && !condition(); ++i) nap_ms(1);
  return condition();
}

// Rank 0 takes what the victim has said for its end, and rank 1 is none the worse for it.
void check_found_out(Context& t, const char* what, const std::string& bytes) {
  SocketWorld world(Victim::bare);
  ::send(world.victims_end(0), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  CHECK_MSG(soon_true([&] { return world.control(0).has_died(kVictim); }), "%s", what);
  CHECK(!world.control(0).status_page_of(kVictim)->latest());
  CHECK(!world.control(1).has_died(kVictim) && !world.control(0).has_died(1));
  world.status_page(1).note_finished(7);
  world.control(0).refresh();
  CHECK_EQ(world.control(0).status_page_of(1)->finished(), 7u);
}

template <class T>
std::string bytes_of_message(const T& it) {
  return {reinterpret_cast<const char*>(&it), sizeof it};
}

}  // namespace

// --- those who do not keep it ---

RINGSIDE_TEST(control_strangers, strangers_hold_nobody_up_and_are_sent_away) {
  std::vector<Stranger> strangers;
  const auto sharing = [&](const std::vector<int>& ports) {
    for (const int port : ports) {
      for (int i = 0; i < 5; ++i) strangers.emplace_back(port);
      Stranger* last = &strangers.back();
      last[0].say(std::string(4096, '\0'));
      last[-1].say("GET / HTTP/1.1\r\nHost: here\r\n\r\n");
      last[-2].say("r");  // and it and the other two say nothing more
    }
  };
  const auto links = mesh_of(4, sharing);
  for (int rank = 0; rank < 4; ++rank)
    for (int peer = 0; peer < 4; ++peer)
      CHECK_EQ(static_cast<bool>(links[index(rank)][index(peer)]), rank != peer);
  for (Stranger& stranger : strangers) CHECK(stranger.is_sent_away(5));
  // More silent ones than may be listened to at a time.
  strangers.clear();
  mesh_of(3, sharing, 2);
}

// Whoever knows all but a bit of the secret, or another rank's number, is none of us.
RINGSIDE_TEST(control_strangers, a_wrong_secret_opens_no_connection) {
  const Secret secret = draw_secret();
  for (const std::size_t bit : {0, 127, 128, 255}) {
    std::vector<UniqueFd> listeners;
    std::vector<TcpAddress> addresses;
    for (int rank = 0; rank < 2; ++rank) {
      listeners.push_back(listen_on(resolve("127.0.0.1", 0)));
      addresses.push_back(local_address(listeners.back().get()));
    }
    Secret other = secret;
    other[bit / 8] ^= std::byte{1} << (bit % 8);
    std::vector<Ending> ends(2);
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      const int rank = bootstrap.rank();
      const StopCondition stop{Deadline::after_seconds(rank == 0 ? 0.4 : 5)};
      ends[index(rank)] = ending_of([&] {
        connect_mesh(rank, std::move(listeners[index(rank)]), addresses, rank == 0 ? secret : other,
                     stop);
      });
    });
    check_fault(t, ends[0], Fault::timeout, {"control connections of rank 1"});
    check_fault(t, ends[1], Fault::protocol, {"does not know the communicator's secret"});
  }
}

RINGSIDE_TEST(control_strangers, nonsense_ends_its_own_connection_alone) {
  check_found_out(t, "noise", std::string(5000, 'x'));
  check_found_out(t, "another kind", bytes_of_message(Head{7, 0, 0}));
  const auto with = [](auto change) {
    Status status;
    status.call_count = 1;
    status.calls[0].number = 1;
    change(status);
    return bytes_of_message(Head{Head::status, 0, 0}) + bytes_of_message(status);
  };
  check_found_out(t, "calls", with([](Status& it) { it.call_count = 17; }));
  check_found_out(t, "no number", with([](Status& it) { it.calls[0].number = 0; }));
  check_found_out(t, "kind", with([](Status& it) { it.calls[0].words = 100ull << 48; }));
  check_found_out(t, "type", with([](Status& it) { it.calls[0].words = 7ull << 40; }));
  check_found_out(t, "reduction", with([](Status& it) { it.calls[0].words = 5ull << 32; }));
  check_found_out(t, "state", with([](Status& it) { it.state = 3; }));
  check_found_out(t, "fault", with([](Status& it) { it.fault = 99; }));
  check_found_out(t, "rank", with([](Status& it) { it.wait_peer = 3; }));
  constexpr std::int64_t kMost = INT64_MAX, kLeast = INT64_MIN;
  for (const std::int64_t never : {kMost, kLeast}) {
    check_found_out(t, "now", with([&](Status& it) { it.now_ms = never; }));
    check_found_out(t, "entered", with([&](Status& it) { it.calls[0].entered_ms = never; }));
    check_found_out(t, "waits since", with([&](Status& it) { it.wait_since_ms = never; }));
    check_found_out(t, "other end", with([&](Status& it) { it.calls[0].peer = never; }));
  }
  check_found_out(t, "other end", with([](Status& it) { it.calls[0].peer = 3; }));
  check_found_out(t, "endless words", with([](Status& it) { it.wait_words.fill('x'); }));
  check_found_out(t, "endless cause", with([](Status& it) { it.cause.fill('x'); }));
}

// The same message without a change is taken.
RINGSIDE_TEST(control_strangers, a_status_said_by_hand_is_taken) {
  SocketWorld world(Victim::bare);
  Status status;
  status.call_count = 1;
  status.calls[0].number = 41;
  status.now_ms = coarse_now_ms() - 1'000'000;  // a clock that is far behind
  status.calls[0].entered_ms = status.now_ms - 5000;
  const std::string bytes = bytes_of_message(Head{Head::status, 0, 0}) + bytes_of_message(status);
  for (const char byte : bytes) ::send(world.victims_end(0), &byte, 1, MSG_NOSIGNAL);
  const StatusPage& seen = *world.control(0).status_page_of(kVictim);
  CHECK(soon_true([&] { return seen.latest().has_value(); }));
  CHECK_EQ(seen.latest()->number, 41u);
  const std::int64_t age_ms = coarse_now_ms() - seen.latest()->entered_ms;
  CHECK_MSG(age_ms >= 4900 && age_ms < 15000, "%d ms", static_cast<int>(age_ms));
  CHECK(!world.control(0).has_died(kVictim));
}

// Who asks and does not listen to the answers fills his own buffers, and nobody waits for him.
RINGSIDE_TEST(control_strangers, a_flood_of_questions_drowns_nobody) {
  SocketWorld world(Victim::bare);
  std::string questions;
  for (std::uint64_t i = 1; i <= 4096; ++i)
    questions += bytes_of_message(Head{Head::question, 0, i});
  for (int i = 0; i < 200; ++i)
    ::send(world.victims_end(0), questions.data(), questions.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  world.status_page(1).note_finished(3);
  CHECK(soon_true([&] { return world.control(0).status_page_of(1)->finished() == 3; }));
  const auto start = Clock::now();
  world.part_with_rank_1();
  CHECK_MSG(seconds_since(start) < 5, "parting took %g s", seconds_since(start));
}

// --- a communicator that knows its peers over sockets alone ---

RINGSIDE_TEST(control_socket, names_the_culprit_in_every_cell) {
  const struct {
    What what;
    std::uint64_t step;
    double timeout_s;
  } faults[] = {{What::stall, 0, 0.5},         {What::stall, 1, 0.5},   {What::drop_signal, 1, 0.5},
                {What::corrupt_header, 1, 30}, {What::other_op, 0, 30}, {What::refuse, 0, 30},
                {What::no_memory, 0, 30}};
  std::size_t tried = 0;
  for (const auto& it : faults) {
    std::vector<FaultCell> cells;
    for (const std::size_t call : {0, 1, 6})  // all_reduce by ring and in one step, gather
      for (int ranks = 2; ranks <= 3; ++ranks)
        for (const Place& place : places_of(faulty_calls()[call], ranks)) {
          if (it.step > 0 && place.messages == 0) continue;
          FaultCell cell{&faulty_calls()[call],
                         ranks,
                         {.what = it.what, .rank = place.rank, .op = place.op, .step = it.step}};
          cell.control = ControlChoice::socket;
          cells.push_back(cell);
        }
    tried += cells.size();
    for_each_cell(cells, [&](const FaultCell& cell) {
      const std::string complaint = judge(cell, patient_endings(cell, it.timeout_s));
      CHECK_MSG(complaint.empty(), "%s", complaint.c_str());
    });
  }
  CHECK(tried > 80);
}

RINGSIDE_TEST(control_socket, abort_ends_what_the_others_wait_in) {
  std::barrier together(3);
  on_ranks(3, socket_options(), [&](Communicator& comm) {
    if (comm.rank() == 1) nap_ms(100);
    const auto start = Clock::now();
    if (comm.rank() == 1) comm.abort("the loss is not a number");
    const Ending ending = ending_of([&] { comm.barrier(); });
    check_fault(t, ending, Fault::aborted, {"rank 1 has aborted: the loss is not a number"});
    CHECK_MSG(seconds_since(start) < 5, "%g s", seconds_since(start));
    together.arrive_and_wait();
  });
}

RINGSIDE_TEST(control_socket, a_rank_that_leaves_is_named) {
  std::barrier together(2);
  on_ranks(3, socket_options(), [&](Communicator& comm) {
    comm.barrier();
    if (comm.rank() == 1) return;
    const Ending ending = ending_of([&] { comm.barrier(); });
    check_fault(t, ending, Fault::left,
                {"rank 1 (pid ",
                 "has left (it destroyed its communicator, so it called "
                 "fewer collectives than the others)"});
    together.arrive_and_wait();
  });
}

RINGSIDE_TEST(control_socket, groups_and_asynchronous_calls_work) {
  on_ranks(3, socket_options(), [&](Communicator& comm) {
    std::optional<Communicator> group = comm.split(comm.rank() % 2, 0);
    for (int i = 0; i < 50; ++i) {
      int one = 1, sum = 0, part = 0;
      Work work = group->all_reduce_async(&one, &part, 1, DType::i32, Reduction::sum);
      comm.all_reduce(&one, &sum, 1, DType::i32, Reduction::sum);
      work.wait();
      CHECK_EQ(sum, 3);
      CHECK_EQ(part, comm.rank() % 2 == 0 ? 2 : 1);
    }
    CHECK(!comm.broken() && !group->broken());
  });
}

RINGSIDE_TEST(control_socket, two_hundred_worlds_leave_nothing) {
  const auto cycle = [&](int number) {
    const FaultCell cells[] = {
        {&faulty_calls()[0], 2, {.what = What::stall, .rank = 1, .op = 99}},
        {&faulty_calls()[0], 3, {.what = What::other_op, .rank = 1, .op = kFaultyOp}},
        {&faulty_calls()[0], 2, {.what = What::stall, .rank = 0, .op = kFaultyOp}},
        {&faulty_calls()[0], 2, {.what = What::refuse, .rank = 1}},
    };
    FaultCell cell = cells[number % 4];
    cell.control = ControlChoice::socket;
    run_cell(cell, number % 4 == 2 ? 0.02 : 30);
  };
  for (int number = 0; number < 4; ++number) cycle(number);
  const tools::Resources before = tools::resources_held(true);
  for (int number = 0; number < 200; ++number) cycle(number);
  check_nothing_kept(t, before);
}
