// The status page: what a rank is doing, readable by every peer, written in passing.
//
// Each rank has one status page, at the start of its window's data. The owner notes each call on it
// before the first byte moves (a few plain stores, no fence that costs anything). Peers read it
// only when something is wrong: a fingerprint does not match, a deadline has passed, an alarm was
// raised. So the details of a call need not travel with its messages.
//
// A rank that has waited for some milliseconds writes down for whom, since when and for what. So
// whoever waits for it can follow the chain of waits to its end (util/wait_graph.h).
//
// The status page keeps the last 1,024 calls: it is the rank's flight recorder too
// (flight_record.h). That it lies in memory which the peers have mapped means that the record of a
// rank which was killed, or which never comes back, can still be read.
//
// Who writes what
//   history   the owner, before each call; guarded by `number` as a seqlock: a reader that sees
//             the same non-zero number before and after has a consistent entry
//   state     the owner: running → broken (an error) or left (its communicator was destroyed)
//   wait      the owner, when it has waited a while and when it goes on; `version` is its seqlock
//   cause     the owner, once, before state becomes broken
#pragma once

#include <string.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/algorithms/operation.h"
#include "comm/error.h"

namespace ringside {

enum class RankState : std::uint32_t { running, left, broken };

struct Call {
  std::uint64_t number;  // 1 is a communicator's first call
  // Its number among the collectives, 0 for send and recv. All ranks call the same collectives in
  // the same order, so equal numbers must mean equal calls.
  std::uint32_t collective;
  Operation what;
  // What its messages carry: for a collective chained(…), for send and recv the plain one.
  std::uint32_t fingerprint;
  // When it was entered, on the clock that all processes of a host share, in ms. The coarse clock:
  // it costs 5 ns to read and not 20, and is at most 4 ms behind.
  std::int64_t entered_ms = 0;
  // A message's other end; nobody, of a collective.
  std::int32_t peer = kNobody;
  static constexpr std::int32_t kNobody = -1;
};

// A call as it lies on a status page and travels between hosts.
struct PackedCall {
  std::uint64_t number = 0, count = 0;
  std::uint64_t words = 0;  // kind, dtype, reduction, root or layout
  std::uint64_t marks = 0;  // fingerprint, collective
  std::int64_t entered_ms = 0;
  std::int64_t peer = Call::kNobody;
};
constexpr PackedCall packed(const Call& call) {
  return {call.number,     call.what.count,
          pack(call.what), static_cast<std::uint64_t>(call.fingerprint) << 32 | call.collective,
          call.entered_ms, call.peer};
}
Call unpacked(const PackedCall& it);
// Whether there is such a call: memory that others write, or a wire, may hold anything.
bool makes_sense(const PackedCall& it);

std::int64_t coarse_now_ms();

// A rank's wait for a peer.
struct WaitNote {
  int peer;
  std::int64_t since_ms;
  std::string words;  // "waiting in step 2 of 6 for chunk 5 from rank 2"
  // How far the rank is in its collective: grows from wait to wait. For a message that is to come
  // the number of its recv; 0 where nobody counts.
  std::uint64_t position = 0;
};

class StatusPage {
 public:
  // --- the owner's side ---
  void note(const Call& call);
  void note_finished(std::uint64_t number) { finished_.store(number, std::memory_order_relaxed); }
  void set_left() {
    if (state() == RankState::running) state_.store(RankState::left, std::memory_order_release);
  }
  // Words are cut to what fits.
  void note_wait(const WaitNote& wait);
  void note_wait_over();
  // The first cause stays; the sentence is cut to what fits.
  void set_broken(const Error& cause);

  // --- a peer's side ---
  RankState state() const { return state_.load(std::memory_order_acquire); }
  // Valid once state() is broken.
  Error cause() const { return Error(cause_fault_, {cause_, ::strnlen(cause_, kCauseBytes)}); }
  // The latest call that the rank has entered; none before the first.
  std::optional<Call> latest() const;
  // None while the rank waits for nobody.
  std::optional<WaitNote> wait() const;
  bool inside(std::uint64_t number) const { return finished() < number; }
  // The call of this number, if it is among the last kHistory.
  std::optional<Call> call(std::uint64_t number) const;
  // The most recent call whose messages carry this fingerprint, if it is among the last kRecent.
  std::optional<Call> find(std::uint32_t fingerprint) const;
  // The same for the collective of this number.
  std::optional<Call> find_collective(std::uint32_t collective) const;
  // How many of the calls 1 to `last` are messages from rank `sender` whose other end is `peer`;
  // none if some of these calls are no longer here.
  std::optional<int> count_messages(int sender, int peer, std::uint64_t last) const;
  // The last kHistory calls, in the order in which they were made.
  std::vector<Call> history() const;
  // All calls up to this number have ended.
  std::uint64_t finished() const { return finished_.load(std::memory_order_relaxed); }

  static constexpr std::uint64_t kHistory = 1024;

 private:
  // Whoever waits looks again and again for what a peer is doing: that must not take long.
  static constexpr std::uint64_t kRecent = 16;
  static constexpr std::size_t kCauseBytes = 1000;

  // A PackedCall in one cache line, so that noting a call touches no more.
  struct alignas(64) Entry {
    std::atomic<std::uint64_t> number{0};
    std::atomic<std::uint64_t> count{0};
    std::atomic<std::uint64_t> words{0};
    std::atomic<std::uint64_t> marks{0};
    std::atomic<std::int64_t> entered_ms{0};
    std::atomic<std::int64_t> peer{Call::kNobody};
  };

  // Text in words of 8 bytes, so that a reader may look at any time.
  static constexpr std::size_t kWaitWords = 16;
  struct Wait {
    std::atomic<std::uint64_t> version{0};  // odd while it is written
    std::atomic<std::uint64_t> peer{0};     // its number and 1; 0: nobody
    std::atomic<std::int64_t> since_ms{0};
    std::atomic<std::uint64_t> position{0};
    std::atomic<std::uint64_t> words[kWaitWords] = {};
  };

  std::optional<Call> read(const Entry& entry) const;
  template <class Wanted>
  std::optional<Call> search(const Wanted& wanted) const;

  std::atomic<RankState> state_{RankState::running};
  std::atomic<std::uint64_t> finished_{0};
  std::atomic<std::uint64_t> latest_{0};
  Wait wait_;
  Fault cause_fault_ = Fault::system;
  char cause_[kCauseBytes] = {};
  Entry history_[kHistory];
};

}  // namespace ringside
