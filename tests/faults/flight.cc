// Flight records: what is in them, when they are written, for whom, and what tools/flight finds.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <thread>

#include "comm/control/status.h"
#include "comm/error.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"
#include "tests/faults/flight_files.h"
#include "tests/support/folder.h"
#include "tools/fuzz/resources.h"

using namespace ringside;
using namespace ringside::test;
using namespace std::chrono_literals;

namespace {

void sum(Communicator& comm, std::size_t count) {
  std::vector<float> values(count, 1);
  comm.all_reduce(values.data(), values.data(), count, DType::f32, Reduction::sum);
}

Options recording(const Folder& folder) {
  Options options = test_options();
  options.flight_folder = folder.path();
  return options;
}

}  // namespace

RINGSIDE_TEST(flight, a_record_holds_the_last_calls) {
  NEEDS_PYTHON();
  const Folder folder;
  constexpr int kCalls = static_cast<int>(StatusPage::kHistory) + 500;
  on_ranks(3, test_options(), [&](Communicator& comm) {
    for (int i = 1; i <= kCalls; ++i) sum(comm, static_cast<std::size_t>(i));
    comm.write_flight(folder.path());
    comm.barrier();
  });
  CHECK_EQ(folder.names().size(), 3u);
  for (int rank = 0; rank < 3; ++rank) {
    const std::string record = record_of(folder, rank);
    CHECK_EQ(asked(record, "r['rank'], r['size'], r['state'], r['why'], r['finished'] >= 1524"),
             text("%d 3 running asked True", rank));
    CHECK_EQ(asked(record,
                   "[(c['number'], c['count']) for c in r['calls']] == [(i, i) for i in "
                   "range(501, 1525)]"),
             "True");
    CHECK_EQ(asked(record, "r['calls'][-1]['what'], r['calls'][-1]['redop']"),
             "all_reduce #1524 (f32 × 1524, sum) sum");
  }
  const RunResult result = flight({folder.path()});
  CHECK_EQ(result.exit_code, 0);
  check_has(t, result.out, {"No divergence: all ranks made the same collectives, up to 1524."});
}

RINGSIDE_TEST(flight, a_damaged_record_hides_no_other) {
  NEEDS_PYTHON();
  const Folder folder;
  on_ranks(2, test_options(), [&](Communicator& comm) {
    sum(comm, 7);
    comm.write_flight(folder.path());
    comm.barrier();
  });
  std::ofstream(folder.file("flight-other-1-1-rank0.json")) << "{\"ringside_flight\": 1, ";
  const RunResult result = flight({folder.path(), folder.file("none")});
  CHECK_EQ(result.exit_code, 2);
  check_has(t, result.out, {": 2 ranks, ", "all_reduce #1 (f32 × 7, sum)", "No divergence"});
  CHECK_EQ(lines_with(result.err, "flight: " + folder.path()), 2u);
  check_has(t, result.err, {"rank0.json: Expecting property name", "none: No such file"});
  // Nobody reads: it ends as other programs do.
  const RunResult closed =
      shell("{ sleep 0.3; " + program_path("../../tools/flight") + " " + folder.path() + "; } | :");
  CHECK_EQ(closed.err.find("Traceback"), std::string::npos);
}

RINGSIDE_TEST(flight, every_kind_of_call_is_listed) {
  NEEDS_PYTHON();
  const Folder folder;
  on_ranks(2, test_options(), [&](Communicator& comm) {
    const int rank = comm.rank();
    float values[4] = {};
    float more[8] = {};
    comm.broadcast(values, 4, DType::f32, 1);
    const std::size_t counts[] = {1, 3};
    comm.all_gather_v(values, more, counts, DType::f32);
    if (rank == 0)
      comm.send(values, 4, DType::f32, 1);
    else
      comm.recv(values, 4, DType::f32, 0);
    comm.barrier();
    comm.write_flight(folder.path());
    comm.barrier();
  });
  const std::string shape =
      "[(c['op'], c['count'], c.get('root'), c.get('peer')) for c in "
      "r['calls'] if c['number'] <= 4]";
  CHECK_EQ(asked(record_of(folder, 0), shape),
           "[('broadcast', 4, 1, None), ('all_gather_v', 4, None, None), ('send', 4, None, 1), "
           "('barrier', 0, None, None)]");
  CHECK_EQ(asked(record_of(folder, 1), shape),
           "[('broadcast', 4, 1, None), ('all_gather_v', 4, None, None), ('recv', 4, None, 0), "
           "('barrier', 0, None, None)]");
  CHECK_EQ(flight({folder.path()}).exit_code, 0);
}

// The world breaks on rank 2's other call; tools/flight names it from the files alone.
RINGSIDE_TEST(flight, a_divergence_is_written_and_named) {
  NEEDS_PYTHON();
  const Folder folder;
  endings_of(4, recording(folder), [](Communicator& comm) {
    for (std::size_t i = 1; i <= 20; ++i) sum(comm, comm.rank() == 2 && i == 12 ? 500 : i);
  });
  CHECK_EQ(folder.names().size(), 4u);
  const RunResult result = flight({"--calls", "1", folder.path()});
  CHECK_EQ(result.exit_code, 1);
  // A rank that heard of it before its own call has not entered that.
  check_has(t, result.out,
            {"First divergence: the ranks parted in collective 12: rank",
             "\n        11  all ranks: all_reduce #11 (f32 × 11, sum)\n",
             "\n  >     12  rank 2: all_reduce #12 (f32 × 500, sum)\n", "\nCause: rank ",
             "the count differs"});
  CHECK(!contains(result.out, "  10  all ranks"));
}

// A rank that is a call behind, and then makes its call after all is over: it has not entered it.
RINGSIDE_TEST(flight, a_straggler_is_named) {
  NEEDS_PYTHON();
  const Folder folder;
  Options options = recording(folder);
  options.timeout_s = 0.5;
  endings_of(3, options, [](Communicator& comm) {
    for (std::size_t i = 1; i <= 7; ++i) {
      if (comm.rank() == 1 && i == 7) std::this_thread::sleep_for(1s);
      sum(comm, i);
    }
  });
  const RunResult result = flight({folder.path()});
  CHECK_EQ(result.exit_code, 1);
  check_has(
      t, result.out,
      {"First divergence: rank 1 is behind: not in collective 7, all_reduce #7 (f32 × 7, sum), "
       "which the others have entered.",
       "rank 1: has not entered it\n", "Waits: rank 0 → rank 1, which waits for nobody."});
}

RINGSIDE_TEST(flight, messages_that_do_not_fit_are_named) {
  NEEDS_PYTHON();
  const Folder folder;
  on_ranks(2, test_options(), [&](Communicator& comm) {
    float values[4] = {};
    for (int i = 0; i < 3; ++i) {
      if (comm.rank() == 0) comm.send(values, 4, DType::f32, 1);
      if (comm.rank() == 1 && i < 2) comm.recv(values, 4, DType::f32, 0);
    }
    comm.barrier();
    comm.write_flight(folder.path());
    comm.barrier();
  });
  const RunResult result = flight({folder.path()});
  CHECK_EQ(result.exit_code, 1);
  check_has(t, result.out, {"Messages: rank 0 sends 3 messages to rank 1, which receives 2.\n"});
}

RINGSIDE_TEST(flight, nothing_is_written_unasked) {
  const Folder folder;
  const Options options = test_options(0.3);
  endings_of(2, options, [](Communicator& comm) {
    if (comm.rank() == 0) sum(comm, 4);
  });
  CHECK_EQ(folder.names().size(), 0u);
}

RINGSIDE_TEST(flight, a_folder_that_is_none_is_refused_by_all) {
  for (const char* folder : {"/nonexistent/folder", "/dev/null"}) {
    Options options = test_options();
    options.flight_folder = folder;
    run_as_threads(2, [&](Bootstrap& bootstrap) {
      const Ending ending = ending_of([&] { Communicator comm(bootstrap, options); });
      check_fault(t, ending, Fault::usage, {});
      check_has(t, ending.sentence, {text("RINGSIDE_FLIGHT=%s is no folder", folder)});
    });
  }
}

// A folder that goes away later is reported, and the cause of it all is still the cause.
RINGSIDE_TEST(flight, a_record_that_cannot_be_written_is_reported) {
  Options options = test_options();
  {
    const Folder folder;
    on_ranks(2, options, [&](Communicator& comm) {
      const Ending ending = ending_of([&] { comm.write_flight(folder.file("none of this name")); });
      check_fault(t, ending, Fault::system, {});
      check_has(t, ending.sentence, {"cannot write the flight record"});
      comm.barrier();  // nothing is broken by it
    });
    CHECK_EQ(folder.names().size(), 0u);
  }
}

// A program with a handler of its own keeps it.
RINGSIDE_TEST(flight, somebody_elses_handler_stays) {
  static volatile sig_atomic_t heard = 0;
  const Folder folder;
  struct sigaction mine {
  }, before{};
  mine.sa_handler = [](int) { heard = heard + 1; };
  ::sigaction(SIGUSR1, &mine, &before);
  on_ranks(2, recording(folder), [&](Communicator& comm) {
    comm.barrier();
    if (comm.rank() == 0) ::raise(SIGUSR1);
    comm.barrier();
  });
  struct sigaction after {};
  ::sigaction(SIGUSR1, &before, &after);
  CHECK(after.sa_handler == mine.sa_handler);
  CHECK_EQ(static_cast<int>(heard), 1);
  CHECK_EQ(folder.names().size(), 0u);
}

RINGSIDE_TEST(flight, nothing_stays_when_the_communicators_are_gone) {
  const Folder folder;
  const auto world = [&] {
    on_ranks(2, recording(folder), [&](Communicator& comm) {
      comm.barrier();
      std::optional<Communicator> group = comm.split(comm.rank(), 0);
      group->barrier();
      if (comm.rank() == 0) ::raise(SIGUSR1);
      comm.barrier();
    });
  };
  world();
  const tools::Resources before = tools::resources_held(true);
  for (int i = 0; i < 20; ++i) world();
  check_nothing_kept(t, before);
  struct sigaction now {};
  ::sigaction(SIGUSR1, nullptr, &now);
  CHECK(now.sa_handler == SIG_DFL);
}

// --- mutants ---

RINGSIDE_TEST(flight_mutants, what_is_no_record_is_refused) {
  NEEDS_PYTHON();
  const Folder folder;
  const auto refused = [&](const Words& arguments, const char* part) {
    const RunResult result = flight(arguments);
    CHECK_EQ(result.exit_code, 2);
    CHECK_MSG(result.err.starts_with("flight: ") && contains(result.err, part) &&
                  lines_of(result.err).size() == 1,
              "%s", result.err.c_str());
  };
  refused({folder.path()}, "there is no flight record in this folder");
  refused({folder.file("flight-none.json")}, "No such file");
  const std::string path = folder.file("flight-x-1-1-rank0.json");
  for (const char* contents : {"", "{", "[]", "{\"ringside_flight\": 2}"}) {
    std::ofstream(path) << contents;
    refused({path}, "");
  }
}

// Records in which one number was changed by hand are distinguished from those as they were.
RINGSIDE_TEST(flight_mutants, a_changed_record_is_noticed) {
  NEEDS_PYTHON();
  const Folder folder;
  on_ranks(2, test_options(), [&](Communicator& comm) {
    for (std::size_t i = 1; i <= 5; ++i) sum(comm, i);
    comm.write_flight(folder.path());
    comm.barrier();
  });
  CHECK_EQ(flight({folder.path()}).exit_code, 0);
  const std::string path = record_of(folder, 1);
  std::string words = read_file(path);
  const std::string count = "\"count\": 3";
  REQUIRE(contains(words, count));
  words.replace(words.find(count), count.size(), "\"count\": 4");
  std::ofstream(path) << words;
  const RunResult result = flight({"--json", folder.path()});
  CHECK_EQ(result.exit_code, 1);
  check_has(t, result.out, {"\"divergence\": \"different\",\n  \"collective\": 3,"});
}
