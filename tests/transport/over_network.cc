// Transports by the pair: suites that are there already run again, with ranks on pretended hosts.
// (The matrix of collectives does so in tests/collectives/matrix.cc.) And what only a transport
// that is driven can show.
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "comm/communicator.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"
#include "tests/support/test.h"
#include "tests/transport/network_transport.h"

using namespace ringside;
using namespace ringside::test;

namespace {

bool is_any_of(const std::string& name, const std::vector<std::string>& starts) {
  return std::any_of(starts.begin(), starts.end(),
                     [&](const std::string& it) { return name.starts_with(it); });
}

// Those whose full name begins so, with ranks connected as the rig says.
void run_again(Context& t, const NetworkRig& rig, const std::vector<std::string>& wanted,
               const std::vector<std::string>& not_these = {}) {
  OverRig over(rig);
  int passed = 0;
  for (const Test& test : registry()) {
    const std::string name = test.full_name();
    if (!is_any_of(name, wanted) || is_any_of(name, not_these)) continue;
    const Outcome outcome = run_test(test);
    CHECK_MSG(outcome.kind != Outcome::failed, "%s, %s: %s", name.c_str(), rig.name,
              outcome.text.c_str());
    passed += outcome.kind == Outcome::passed;
  }
  CHECK_MSG(passed > 0, "%s: nothing ran", rig.name);
}

const NetworkRig& alone = rigs()[0];
const NetworkRig& halves = rigs()[1];
const NetworkRig& in_turn = rigs()[2];

// All but what compares bits, which the matrix does.
void run_sequences(Context& t, const NetworkRig& rig) {
  run_again(t, rig, {"collectives."},
            {"collectives.matrix_", "collectives.all_reduce_has_the_bits_of"});
}
// What is left out waits for a look at mapped memory.
void run_exchanges(Context& t, const NetworkRig& rig) {
  run_again(t, rig, {"exchange."}, {"exchange.a_message_counts_even_if"});
}
// What is left out counts on an alarm that is there at once, before what comes over other ways.
void run_errors(Context& t, const NetworkRig& rig) {
  run_again(t, rig, {"errors.", "abort.", "report."}, {"abort.ends_a_call_of_its_own_rank"});
}

}  // namespace

RINGSIDE_TEST(network, sequences_alone) { run_sequences(t, alone); }
RINGSIDE_TEST(network, sequences_in_halves) { run_sequences(t, halves); }
RINGSIDE_TEST(network, sequences_in_turn) { run_sequences(t, in_turn); }
RINGSIDE_TEST(network, exchanges_alone) { run_exchanges(t, alone); }
RINGSIDE_TEST(network, exchanges_in_halves) { run_exchanges(t, halves); }
RINGSIDE_TEST(network, exchanges_in_turn) { run_exchanges(t, in_turn); }
RINGSIDE_TEST(network, asynchronous_alone) { run_again(t, alone, {"async."}); }
RINGSIDE_TEST(network, asynchronous_in_halves) { run_again(t, halves, {"async."}); }
RINGSIDE_TEST(network, groups) { run_again(t, halves, {"split."}); }
RINGSIDE_TEST(network, errors_alone) { run_errors(t, alone); }
RINGSIDE_TEST(network, errors_in_halves) { run_errors(t, halves); }
RINGSIDE_TEST(network, errors_in_turn) { run_errors(t, in_turn); }
RINGSIDE_TEST(network, faults_alone) { run_again(t, alone, {"faults."}); }
RINGSIDE_TEST(network, faults_in_halves) { run_again(t, halves, {"faults."}); }
RINGSIDE_TEST(network, faults_in_turn) { run_again(t, in_turn, {"faults."}); }

RINGSIDE_TEST(network, each_pair_has_its_transport) {
  OverRig over(halves);
  on_ranks(4, test_options(), [&](Communicator& comm) {
    const char* expected[] = {"shm", "network", "shm", "network"};  // 0 1 | 2 3
    for (const Edge& edge : comm.ring_edges()) CHECK_EQ(edge.transport, expected[edge.from]);
    CHECK_EQ(comm.zero_copy_from_bytes(), SIZE_MAX);
  });
}

RINGSIDE_TEST(network, control_cannot_be_shared_over_it) {
  for (const NetworkRig& rig : rigs()) {
    OverRig over(rig);
    Options options = test_options();
    options.control = ControlChoice::shared;
    run_as_threads(3, [&](Bootstrap& bootstrap) {
      const Ending ending = ending_of([&] { Communicator comm(bootstrap, options); });
      check_fault(t, ending, Fault::usage, {"RINGSIDE_CONTROL=auto"}, rig.name);
    });
  }
}

RINGSIDE_TEST(network, ranks_that_nothing_connects_are_told_why) {
  Options options = test_options();
  options.routes = std::make_shared<const Routes>(Routes{{"pigeon",
                                                          [](const PeerInfo&, const PeerInfo&) {
                                                            return Reach{false, "no wings"};
                                                          },
                                                          all_routes()[0].make}});
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    const Ending ending = ending_of([&] { Communicator comm(bootstrap, options); });
    check_fault(t, ending, Fault::usage, {"rank 0 and rank 1 cannot reach each other: no wings"});
  });
}

// A rank sends more than a wire holds, and then does nothing for the communicator any more.
RINGSIDE_TEST(network, what_a_call_has_sent_arrives_though_its_rank_is_busy) {
  OverRig over(alone);
  std::atomic<bool> received{false};
  on_ranks(2, test_options(), [&](Communicator& comm) {
    std::vector<float> data(4 * kWireBytes, 1.0f);
    if (comm.rank() == 1) {
      const Ending ending = ending_of([&] { comm.recv(data.data(), data.size(), DType::f32, 0); });
      CHECK_MSG(!ending.failed, "%s", ending.sentence.c_str());
      received = true;
      return;
    }
    comm.send(data.data(), data.size(), DType::f32, 1);
    const Deadline deadline = Deadline::after_seconds(10);
    while (!received && !deadline.passed()) std::this_thread::yield();
    CHECK(received);
  });
}

// And its leaving may be heard of sooner than what it has sent.
RINGSIDE_TEST(network, what_was_sent_counts_even_if_its_sender_has_left) {
  OverRig over(alone);
  for (int round = 0; round < 100; ++round)
    on_ranks(2, test_options(), [&](Communicator& comm) {
      std::vector<float> data(kWireBytes / 8, 1.0f);
      if (comm.rank() == 0) return comm.send(data.data(), data.size(), DType::f32, 1);
      nap_ms(3);
      const Ending ending = ending_of([&] { comm.recv(data.data(), data.size(), DType::f32, 0); });
      CHECK_MSG(!ending.failed, "%s", ending.sentence.c_str());
    });
}
