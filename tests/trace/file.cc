// The trace as a store and as a file: what is kept when there is too much, what is said of a file
// that cannot be had, and that the tests' own reader of timelines would notice a wrong one.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "comm/diagnostics/trace.h"
#include "comm/error.h"
#include "tests/errors/endings.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"
#include "tests/trace/timeline.h"
#include "tools/report/trace_file.h"

using namespace ringside;
using namespace ringside::test;

namespace {

TracedSpan call(std::uint64_t number, std::int64_t begin_ns, std::int64_t end_ns) {
  return {begin_ns, end_ns, TracedCall{number, {}, "ring"}, false};
}
TracedSpan wait(int peer, std::int64_t begin_ns, std::int64_t end_ns) {
  return {begin_ns, end_ns, TracedWait{peer}, false};
}
TracedSpan message(bool is_send, MessageId id, std::int64_t at_ns) {
  return {at_ns, at_ns, TracedMessage{is_send, id}, false};
}

// Two ranks that send each other a message.
Timeline timeline_of(const std::vector<TracedSpan>& rank0, const std::vector<TracedSpan>& rank1) {
  Trace traces[2];
  for (const TracedSpan& it : rank0) traces[0].note(it);
  for (const TracedSpan& it : rank1) traces[1].note(it);
  return read_timeline("{\"traceEvents\": [" + tools::trace_events(0, traces[0], 0) + ",\n" +
                       tools::trace_events(1, traces[1], 0) + "]}");
}

TracedSpan batch(std::int64_t begin_ns, std::int64_t end_ns) {
  return {begin_ns, end_ns, TracedBatch{.first_number = 1, .peer = 1}, false};
}

std::string sentence_of(const std::function<void()>& body, Fault fault) {
  const Ending ending = ending_of(body);
  return ending.failed && ending.fault != fault ? "another fault" : ending.sentence;
}

}  // namespace

RINGSIDE_TEST(trace_file, the_last_spans_are_kept_and_the_others_counted) {
  Trace trace(4);
  for (std::uint64_t i = 1; i <= 10; ++i) {
    const auto begin_ns = static_cast<std::int64_t>(i) * 1000;
    trace.note(call(i, begin_ns, begin_ns + 500));
  }
  CHECK_EQ(trace.dropped(), 6u);
  const std::vector<TracedSpan> kept = trace.spans();
  REQUIRE(kept.size() == 4);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK_EQ(std::get<TracedCall>(kept[i].what).number, std::uint64_t{7} + i);
  const std::string events = tools::trace_events(0, trace, 0);
  CHECK(contains(events, "\"6 earlier spans are not kept\""));
  const Timeline it = read_timeline("{\"traceEvents\": [" + events + "]}");
  CHECK(it.findings.empty());
  CHECK_EQ(it.ranks.at(0).slices.size(), 5u);

  Trace small(4);
  small.note(call(1, 0, 1));
  CHECK_EQ(small.dropped(), 0u);
  CHECK(!contains(tools::trace_events(0, small, 0), "not kept"));
}

RINGSIDE_TEST(trace_file, messages_are_distinguished) {
  CHECK(message_id(Connection::ring, 0, 1, 7) != message_id(Connection::mesh, 0, 1, 7));
  CHECK(message_id(Connection::mesh, 0, 1, 7) != message_id(Connection::messages, 0, 1, 7));
  CHECK(message_id(Connection::ring, 0, 1, 7) != message_id(Connection::ring, 1, 0, 7));
  CHECK(message_id(Connection::ring, 0, 1, 7) != message_id(Connection::ring, 0, 1, 8));
  Trace trace;
  CHECK_EQ(trace.next_sent(Connection::ring, 3), 1u);
  CHECK_EQ(trace.next_sent(Connection::mesh, 3), 1u);
  CHECK_EQ(trace.next_received(Connection::ring, 3), 1u);
  CHECK_EQ(trace.next_sent(Connection::ring, 3), 2u);
}

// Each rank adds in several parts, at the same time as the others, and what lies there is JSON all
// the while.
RINGSIDE_TEST(trace_file, ranks_that_write_at_once_lose_nothing) {
  constexpr int kRanks = 4, kCalls = 3000;
  const Folder folder;
  const std::string path = folder.file("trace.json");
  tools::create_trace_file("test", path);
  CHECK_EQ(parse_json(read_file(path)).at("traceEvents").items.size(), 1u);
  const std::int64_t start_ns = Trace::now_ns();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kRanks; ++rank)
    threads.emplace_back([&, rank] {
      Trace trace;
      for (int i = 0; i < kCalls; ++i)
        trace.note(call(static_cast<std::uint64_t>(i), start_ns + i * 10, start_ns + i * 10 + 9));
      tools::append_trace(path, rank, trace);
    });
  for (std::thread& thread : threads) thread.join();
  const Timeline it = read_timeline(read_file(path));
  CHECK(it.findings.empty());
  REQUIRE(it.ranks.size() == kRanks);
  for (const auto& [rank, track] : it.ranks)
    CHECK_EQ(track.slices.size(), static_cast<std::size_t>(kCalls));
  CHECK(read_file(path).size() > 4 * (std::size_t{256} << 10));
}

// What a lock is for would show only now and then; that it is heeded always does.
RINGSIDE_TEST(trace_file, nobody_writes_while_another_does) {
  const Folder folder;
  const std::string path = folder.file("trace.json");
  tools::create_trace_file("test", path);
  const std::string before = read_file(path);
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(fd >= 0 && ::flock(fd, LOCK_EX) == 0);
  Trace trace;
  trace.note(call(1, Trace::now_ns(), Trace::now_ns()));
  std::thread writer([&] { tools::append_trace(path, 0, trace); });
  nap_ms(100);
  CHECK_EQ(read_file(path), before);
  ::close(fd);
  writer.join();
  CHECK_EQ(read_timeline(read_file(path)).ranks.at(0).slices.size(), 1u);
}

RINGSIDE_TEST(trace_file, what_cannot_be_had_is_said) {
  const Folder folder;
  const std::string path = folder.file("trace.json");
  const auto create = [](const std::string& where) {
    return sentence_of([&] { tools::create_trace_file("test", where); }, Fault::usage);
  };
  CHECK_EQ(create(path + "/there"),
           "cannot open the trace file " + path + "/there: No such file or directory");
  CHECK(contains(create("/tmp"), "Is a directory"));
  CHECK_EQ(create("/dev/full"), "the trace cannot go to /dev/full: it is not a plain file");

  Trace trace;
  trace.note(call(1, 0, 1));
  const auto append = [&] {
    return sentence_of([&] { tools::append_trace(path, 0, trace); }, Fault::system);
  };
  CHECK(contains(append(), "No such file"));
  for (const char* words : {"", "notes of mine\n", "{\"clock_base_ns\": 5}"}) {
    std::ofstream(path) << words;
    CHECK_EQ(append(), "the trace file " + path + " has been changed by somebody else meanwhile");
    CHECK_EQ(read_file(path), words);
  }
}

// The reader that all tests of timelines stand on.
RINGSIDE_TEST(trace_mutants, a_wrong_timeline_is_noticed) {
  const MessageId id = message_id(Connection::messages, 0, 1, 1);
  const std::vector<TracedSpan> sends = {batch(1000, 5000), message(true, id, 1000)};
  const std::vector<TracedSpan> receives = {batch(900, 6000), message(false, id, 5500)};
  const Timeline right = timeline_of(sends, receives);
  CHECK(right.findings.empty() && right.half_arrows.empty() && right.arrows == 1);

  CHECK_EQ(timeline_of(sends, {batch(900, 6000)}).half_arrows.size(), 1u);
  CHECK_EQ(timeline_of({batch(1000, 5000)}, receives).half_arrows.size(), 1u);
  const auto wrong = [&](const std::vector<TracedSpan>& a, const std::vector<TracedSpan>& b) {
    return !timeline_of(a, b).findings.empty();
  };
  CHECK(wrong(sends, {batch(900, 6000), message(false, id, 950)}));   // back in time
  CHECK(wrong(sends, {batch(900, 6000), message(false, id, 7000)}));  // not in a slice
  CHECK(wrong({call(1, 0, 100), call(2, 50, 150)}, {}));              // overlapping
  CHECK(wrong({call(1, 0, 100), call(2, 50, 60)}, {}));               // a call in a call
  CHECK(wrong({call(1, 0, 100), wait(1, 100, 160)}, {}));             // a wait in nothing
  CHECK(wrong({call(1, 0, 100), wait(1, 50, 160)}, {}));              // a wait that outlasts it
  CHECK(wrong({call(1, -5, 100)}, {}));
  CHECK(wrong({call(1, 9, 8)}, {}));
  Trace none;
  const std::string track = tools::trace_events(1, none, 0);
  CHECK(!read_timeline("{\"traceEvents\": [" + track + "]}").findings.empty());  // where is rank 0?
  const std::string first = tools::trace_events(0, none, 0);
  CHECK(!read_timeline("{\"traceEvents\": [" + first + ",\n" + first + "]}").findings.empty());
}
