// The fault matrix: each fault in each algorithm, on each rank, at each step, for 2 to 5 ranks that
// are threads. In every cell every rank must end with an error that names the rank at fault and
// its call. (Deaths need processes: tests/faults/processes.cc.)
#include <atomic>
#include <thread>

#include "comm/error.h"
#include "tests/collectives/collective_case.h"
#include "tests/faults/fault_cell.h"
#include "tests/transport/network_transport.h"
#include "tools/fuzz/resources.h"

using namespace ringside;
using namespace ringside::test;

namespace {

using What = Injection::What;

// Innocent ranks must not be late by this much: they share two cores with the other cells.
constexpr double kSoon_s = kUnderTsan ? 2 : 0.2;
constexpr double kLater_s = 30;  // where nobody waits for a deadline

constexpr int kMostRanks = kUnderTsan ? 3 : 5;
constexpr std::size_t kSampleOfNetwork = 11;

std::vector<FaultCell> cells_of(What what, int first_step, bool has_steps) {
  return test::cells_of(what, first_step, has_steps, faulty_calls(), kMostRanks);
}
std::vector<FaultCell> message_cells(What what, int first_step) {
  return test::cells_of(what, first_step, true, faulty_messages(), kMostRanks);
}

// Over pretended hosts (tests/transport/over_network.cc) a sample of the cells, another one for
// each fault.
std::vector<FaultCell> sample_of(const std::vector<FaultCell>& cells) {
  if (!OverRig::routes()) return cells;
  std::vector<FaultCell> some;
  for (std::size_t i = cells.size() % kSampleOfNetwork; i < cells.size(); i += kSampleOfNetwork)
    some.push_back(cells[i]);
  return some;
}

void check_matrix(Context& t, const std::vector<FaultCell>& all_cells, double timeout_s) {
  CHECK(all_cells.size() > 10);
  const std::vector<FaultCell> cells = sample_of(all_cells);
  for_each_cell(cells, [&](const FaultCell& cell) {
    const std::string complaint = judge(cell, patient_endings(cell, timeout_s));
    CHECK_MSG(complaint.empty(), "%s", complaint.c_str());
  });
}

void check_ends_well(Context& t, const FaultCell& cell) {
  for (const Ending& ending : run_cell(cell, kLater_s))
    CHECK_MSG(!ending.failed, "%s: %s", describe(cell).c_str(), ending.sentence.c_str());
}

}  // namespace

RINGSIDE_TEST(faults, stall_is_named_in_every_cell) {
  check_matrix(t, cells_of(What::stall, 0, true), kSoon_s);
}

RINGSIDE_TEST(faults, drop_signal_is_named_in_every_cell) {
  check_matrix(t, cells_of(What::drop_signal, 1, true), kSoon_s);
}

RINGSIDE_TEST(faults, corrupt_header_is_named_in_every_cell) {
  check_matrix(t, cells_of(What::corrupt_header, 1, true), kLater_s);
}

RINGSIDE_TEST(faults, other_op_is_named_in_every_cell) {
  check_matrix(t, cells_of(What::other_op, 0, false), kLater_s);
}

RINGSIDE_TEST(faults, stall_in_messages_is_named_in_every_cell) {
  check_matrix(t, message_cells(What::stall, 0), kSoon_s);
}

RINGSIDE_TEST(faults, lost_messages_are_reported_in_every_cell) {
  check_matrix(t, message_cells(What::drop_signal, 1), kSoon_s);
}

RINGSIDE_TEST(faults, corrupt_messages_are_named_in_every_cell) {
  check_matrix(t, message_cells(What::corrupt_header, 1), kLater_s);
}

// Nobody says anything else where messages are zero-copy messages. Whoever fails gives his memory
// back at once.
RINGSIDE_TEST(faults, every_cell_of_lent_memory_is_named) {
  for (const What what : {What::stall, What::drop_signal, What::corrupt_header}) {
    std::vector<FaultCell> cells =
        test::cells_of(what, 1, true, faulty_calls(), kUnderTsan ? 2 : 3);
    for (FaultCell& cell : cells) cell.exposes = true;
    check_matrix(t, cells, what == What::corrupt_header ? kLater_s : kSoon_s);
  }
}

RINGSIDE_TEST(faults, refuse_and_no_memory_are_everybodys_sentence) {
  check_matrix(t, cells_of(What::refuse, 0, false), kLater_s);
  check_matrix(t, cells_of(What::no_memory, 0, false), kLater_s);
}

RINGSIDE_TEST(faults, slow_is_no_error) {
  std::vector<FaultCell> cells = cells_of(What::slow, 0, true);
  for (const FaultCell& cell : message_cells(What::slow, 0)) cells.push_back(cell);
  for (std::size_t i = 0; i < cells.size(); ++i) cells[i].exposes = i % 2 == 0;
  for (FaultCell& cell : cells) cell.fault.ms = 10;
  for_each_cell(cells, [&](const FaultCell& cell) { check_ends_well(t, cell); });
}

// And is reported, once there is somebody to report it to.
RINGSIDE_TEST(faults, slow_is_warned_of) {
  std::atomic<int> warnings{0};
  run_as_threads(3, [&](Bootstrap& bootstrap) {
    Options options = test_options();
    options.warn_s = 0.1;
    options.on_warning = [&](const std::string& sentence) {
      // On a busy machine others may be late too.
      if (contains(sentence, "goes on waiting; rank 2 (pid ") &&
          contains(sentence, "is alive, and it has been in barrier #2 for"))
        ++warnings;
    };
    inject(options, parse_injection("slow:rank=2,op=2,step=1,ms=400"), bootstrap);
    Communicator comm(bootstrap, options);
    for (int i = 0; i < 4; ++i) comm.barrier();
    CHECK(!comm.broken());
  });
  CHECK_MSG(warnings == 1, "%d warnings", warnings.load());
}

// A group that is split off has the options of its parent, and not its fault. (Its parent has made
// fewer calls than that.)
RINGSIDE_TEST(faults, groups_behave) {
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Options options = test_options(5);
    inject(options, parse_injection("drop-signal:rank=1,op=100"), bootstrap);
    Communicator comm(bootstrap, options);
    std::optional<Communicator> group = comm.split(0, 0);
    for (int i = 0; i < 120; ++i) group->barrier();
    CHECK(!group->broken());
  });
}

RINGSIDE_TEST(faults, what_makes_no_sense_is_refused_in_one_sentence) {
  const struct {
    const char* words;
    const char* part;
  } cases[] = {
      {"jam:rank=1",
       "there are stall, slow, die, drop-signal, corrupt-header, other-op, refuse, "
       "no-memory"},
      {"", "there is none of this name"},
      {"stall", "it is not said whose"},
      {"stall:op=3", "say stall:rank=0"},
      {"stall:rank=", "'rank=' is not understood; stall takes rank=, op=, step="},
      {"stall:rank=1,op=0", "'op=0' is not understood"},
      {"stall:rank=-1", "'rank=-1' is not understood"},
      {"stall:rank=1,", "'' is not understood"},
      {"stall:rank=1,ms=3", "'ms=3' is not understood"},
      {"drop-signal:rank=1,step=0", "step from 1"},
      {"refuse:rank=1,op=2", "refuse takes rank="},
      {"stall:rank=99999999999", "is not understood"},
  };
  for (const auto& it : cases) {
    const Ending ending = ending_of([&] { parse_injection(it.words); });
    check_fault(t, ending, Fault::usage, {it.part}, it.words);
  }
  for (const char* words : {"die:rank=1", "stall:rank=2"}) {
    const Injection injection = parse_injection(words);
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      Options options;
      const Ending ending = ending_of([&] { inject(options, injection, bootstrap); });
      check_fault(t, ending, Fault::usage, {}, words);
    });
  }
}

// 240 worlds that start, break in one of six ways or not at all, and go.
RINGSIDE_TEST(faults, hundreds_of_broken_worlds_leave_nothing) {
  const What ways[] = {What::stall,    What::drop_signal, What::corrupt_header,
                       What::other_op, What::refuse,      What::no_memory};
  const auto cycle = [&](int number, std::uint64_t op) {
    for (const What what : ways) {
      const std::uint64_t step = what == What::drop_signal || what == What::corrupt_header ? 1 : 0;
      const FaultCell cell{&faulty_calls()[0],
                           2 + number % 2,
                           {.what = what, .rank = number % 2, .op = op, .step = step}};
      const bool waits = what == What::stall || what == What::drop_signal;
      run_cell(cell, waits ? 0.02 : kLater_s);
    }
  };
  cycle(0, kFaultyOp);
  const tools::Resources before = tools::resources_held(true);
  for (int number = 0; number < 40; ++number) cycle(number, kFaultyOp);
  check_nothing_kept(t, before);
}

// --- mutants ---

// The same programs with a fault in an operation that never comes.
RINGSIDE_TEST(faults_mutants, a_fault_that_never_comes_changes_nothing) {
  for (const FaultyCall& call : faulty_calls())
    for (const What what : {What::stall, What::drop_signal, What::corrupt_header, What::other_op})
      check_ends_well(t, {&call, 3, {.what = what, .rank = 1, .op = 99, .step = 1}});
}

// A judge who accepts anything would accept these: the fault of another rank, or another fault.
RINGSIDE_TEST(faults_mutants, the_judge_notices_a_wrong_culprit) {
  for (const What what : {What::stall, What::drop_signal, What::corrupt_header, What::other_op}) {
    const std::uint64_t step = what == What::other_op ? 0 : 1;
    const FaultCell cell{
        &faulty_calls()[0], 4, {.what = what, .rank = 2, .op = kFaultyOp, .step = step}};
    const std::vector<Ending> endings = patient_endings(cell, kSoon_s);
    CHECK_EQ(judge(cell, endings), "");
    for (const int other : {0, 3}) {
      FaultCell wrong = cell;
      wrong.fault.rank = other;
      CHECK(!judge(wrong, endings).empty());
    }
    FaultCell another = cell;
    another.fault.what = what == What::stall ? What::drop_signal : What::stall;
    CHECK(!judge(another, endings).empty());
  }
}

RINGSIDE_TEST(faults_mutants, the_judge_notices_a_wrong_culprit_of_messages) {
  for (const FaultyCall& call : faulty_messages())
    for (const What what : {What::stall, What::drop_signal, What::corrupt_header}) {
      const FaultCell cell{&call, 3, {.what = what, .rank = 0, .op = kFaultyOp, .step = 3}};
      const std::vector<Ending> endings = patient_endings(cell, kSoon_s);
      CHECK_EQ(judge(cell, endings), "");
      FaultCell wrong = cell;
      wrong.fault.rank = 1;
      CHECK_MSG(!judge(wrong, endings).empty(), "%s: %s", describe(wrong).c_str(),
                endings[2].sentence.c_str());
      wrong = cell;
      wrong.fault.what = what == What::stall ? What::drop_signal : What::stall;
      CHECK(!judge(wrong, endings).empty());
    }
}

// A rank that sends the same to the same again and again, and is late, has lost nothing.
RINGSIDE_TEST(faults_mutants, a_late_message_is_not_called_lost) {
  for (const int ranks : {2, 3}) {
    const Options options = test_options(kSoon_s);
    const Endings endings = endings_of(ranks, options, [&](Communicator& comm) {
      float value = 1;
      for (int i = 0; i < 3 && comm.rank() == 0; ++i) comm.send(&value, 1, DType::f32, 1);
      for (int i = 0; i < 4 && comm.rank() == 1; ++i) comm.recv(&value, 1, DType::f32, 0);
      if (comm.rank() == 2) comm.barrier();
    });
    const Ending& receiver = endings.first[1];
    check_fault(t, receiver, Fault::timeout, {"rank 0 (pid ", "is alive, and it has not entered "});
    CHECK(!contains(receiver.sentence, "lost"));
  }
}

// Nor one that has sent, and does not receive the large message that comes back.
RINGSIDE_TEST(faults_mutants, what_has_come_in_an_exchange_is_not_called_lost) {
  const Options options = test_options(kSoon_s);
  const Endings endings = endings_of(2, options, [&](Communicator& comm) {
    float value = 1;
    std::vector<float> large(std::size_t{4} << 20, 1);
    if (comm.rank() == 0) return comm.send(&value, 1, DType::f32, 1);
    comm.exchange({Message::to(0, large.data(), large.size(), DType::f32),
                   Message::from(0, &value, 1, DType::f32)});
  });
  const Ending& waiting = endings.first[1];
  check_fault(t, waiting, Fault::timeout, {"waiting for rank 0 to make room"});
  CHECK(!contains(waiting.sentence, "lost"));
}
