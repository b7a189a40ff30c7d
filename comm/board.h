// The status board: what a rank is doing, readable by every peer, written in passing.
//
// Each rank has one board, at the start of its window's data. The owner notes each call on it
// before the first byte moves (a few plain stores, no fence that costs anything). Peers read it
// only when something is wrong: a fingerprint does not match, a deadline has passed, an alarm was
// raised. So the details of a call need not travel with its messages.
//
// Who writes what
//   history   the owner, before each call; guarded by `number` as a seqlock: a reader that sees
//             the same non-zero number before and after has a consistent entry
//   state     the owner: running → broken (an error) or left (its communicator was destroyed)
//   cause     the owner, once, before state becomes broken
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "comm/error.h"
#include "comm/operation.h"

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
};

class Board {
 public:
  // --- the owner's side ---
  void note(const Call& call);
  void note_finished(std::uint64_t number) { finished_.store(number, std::memory_order_relaxed); }
  void set_left() {
    if (state() == RankState::running) state_.store(RankState::left, std::memory_order_release);
  }
  // The first cause stays; the sentence is cut to what fits.
  void set_broken(const Error& cause);

  // --- a peer's side ---
  RankState state() const { return state_.load(std::memory_order_acquire); }
  // Valid once state() is broken.
  Error cause() const { return Error(cause_fault_, cause_); }
  // The latest call that the rank has entered; none before the first.
  std::optional<Call> latest() const;
  bool inside(std::uint64_t number) const {
    return finished_.load(std::memory_order_relaxed) < number;
  }
  // The most recent call whose messages carry this fingerprint, if it is among the last kHistory.
  std::optional<Call> find(std::uint32_t fingerprint) const;
  // The same for the collective of this number.
  std::optional<Call> find_collective(std::uint32_t collective) const;

 private:
  static constexpr std::uint64_t kHistory = 16;
  static constexpr std::size_t kCauseBytes = 1000;

  struct Entry {
    std::atomic<std::uint64_t> number{0};
    std::atomic<std::uint64_t> count{0};
    std::atomic<std::uint64_t> words{0};  // kind, dtype, reduction, root or layout
    std::atomic<std::uint64_t> marks{0};  // fingerprint, collective
  };

  std::optional<Call> read(const Entry& entry) const;
  template <class Wanted>
  std::optional<Call> search(const Wanted& wanted) const;

  std::atomic<RankState> state_{RankState::running};
  std::atomic<std::uint64_t> finished_{0};
  std::atomic<std::uint64_t> latest_{0};
  Entry history_[kHistory];
  Fault cause_fault_ = Fault::system;
  char cause_[kCauseBytes] = {};
};

}  // namespace ringside
