// The trace: what one rank did and when, kept in memory while its communicator is used.
//
//     call   ├──────────────── all_reduce #5 ────────────────┤
//     step    ├── 1 ──┤├───── 2 ─────┤├─ 3 ─┤├── 4 ──┤├fin.┤
//     wait               ├─ rank 1 ─┤
//
// Spans, one inside another: a call, its steps, and in a step the time for which the rank waited,
// and for whom. trace_lane.h notes the steps, Waiter the waits, Communicator the calls; nobody does
// where Options::trace is null. tools/report/trace_file.h writes traces down for a viewer.
//
// Times are of CLOCK_MONOTONIC, which all processes of a host share, so the spans of several ranks
// can be laid beside each other. Channels are queues, so a message need not be marked to be told
// from others: it is the k-th from one rank to another on that kind of channel; both ends count.
//
// Bounded: beyond a number of spans the oldest are overwritten, and counted. A trace is wanted most
// when something goes wrong, and then its end tells what it was.
//
// Used by one thread at a time, as a communicator is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "comm/algorithms/operation.h"
#include "comm/algorithms/program.h"

namespace ringside {

// A viewer takes a few hundred MB of JSON, and a step is up to 450 bytes of it: so 64 Ki spans of
// each of 8 ranks can be looked at. In memory they are 8 MB a rank.
inline constexpr std::size_t kMostSpans = std::size_t{64} << 10;

// Which message: the same number at both its ends, and another for each message. 0: none.
using MessageId = std::uint64_t;
constexpr MessageId message_id(Connection connection, int from, int to, std::uint32_t number) {
  return (static_cast<std::uint64_t>(connection) + 1) << 60 |
         static_cast<std::uint64_t>(from & 0x3fff) << 46 |
         static_cast<std::uint64_t>(to & 0x3fff) << 32 | number;
}

struct TracedCall {
  std::uint64_t number;  // among the communicator's calls, from 1
  Operation what;
  const char* algorithm;
};

struct TracedStep {
  Step step;
  int number = 0;  // within the slice, from 1; 0 for a word that moves nothing
  int to = 0, from = 0;
  MessageId sent = 0, received = 0;
  std::uint64_t sent_bytes = 0, received_bytes = 0;
};

struct TracedWait {
  int peer;
};

// send, recv or exchange: messages that are under way together.
struct TracedBatch {
  std::uint64_t first_number;
  int peer;  // of the first
  std::uint32_t sends = 0, receives = 0;
  std::uint64_t sent_bytes = 0, received_bytes = 0;
};

// One of them, and no span: a send at its batch's beginning, a receive at its end.
struct TracedMessage {
  bool is_send;
  MessageId id;
};

struct TracedSpan {
  using What = std::variant<TracedCall, TracedStep, TracedWait, TracedBatch, TracedMessage>;

  std::int64_t begin_ns, end_ns;
  What what;
  // It was left by an error, at end_ns.
  bool unfinished;
};

class Trace {
 public:
  // `most_spans`: at least 1.
  explicit Trace(std::size_t most_spans = kMostSpans);
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  static std::int64_t now_ns();

  // --- what happened ---
  // What is kept, in the order of beginning; a span that holds others comes before them.
  std::vector<TracedSpan> spans() const;
  bool empty() const { return noted_ == 0; }
  // How many were overwritten.
  std::uint64_t dropped() const { return noted_ - kept_.size(); }

  // --- for those who note it ---
  void note(const TracedSpan& span);
  // This rank's next message to, or from, `peer`.
  std::uint32_t next_sent(Connection connection, int peer) {
    return ++counter(sent_, connection, peer);
  }
  std::uint32_t next_received(Connection connection, int peer) {
    return ++counter(received_, connection, peer);
  }

 private:
  using Counters = std::vector<std::uint32_t>;
  static std::uint32_t& counter(Counters& of, Connection connection, int peer);

  std::size_t most_;
  std::vector<TracedSpan> kept_;  // once full, a ring of which the oldest is at noted_ % most_
  std::uint64_t noted_ = 0;
  Counters sent_, received_;  // by connection and peer
};

// From its making to done(), or to the exception that ends its life.
class TraceScope {
 public:
  TraceScope(Trace& trace, const TracedSpan::What& what)
      : trace_(trace), what_(what), begin_ns_(Trace::now_ns()) {}
  ~TraceScope() {
    if (!done_) end(true);
  }
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

  template <class What>
  What& what() {
    return std::get<What>(what_);
  }
  void done() {
    done_ = true;
    end(false);
  }

 private:
  void end(bool unfinished) { trace_.note({begin_ns_, Trace::now_ns(), what_, unfinished}); }

  Trace& trace_;
  TracedSpan::What what_;
  std::int64_t begin_ns_;
  bool done_ = false;
};

}  // namespace ringside
