// The slow side of waiting; the stages are in waiter.h.
#include "comm/waiter.h"

#include <sched.h>
#include <time.h>

#include "comm/error.h"

namespace ringside {
namespace {

using std::chrono::milliseconds;

// With a processor for each rank the awaited one is running: spin for about 100 µs. Without, it may
// be waiting for this very processor: give that away almost at once.
constexpr int kSpinsAlone = 2000;
constexpr int kSpinsCrowded = 4;

constexpr int kTurns = 16;
constexpr milliseconds kYieldFor{2};
constexpr long kNapNs = 50'000;
constexpr milliseconds kProcessCheck{20};
// mpirun sends SIGTERM when a rank dies and SIGKILL a second later. Time to find out who it was,
// and to say so.
constexpr milliseconds kLastWords{300};

}  // namespace

Waiter::Waiter(Peers& peers, const Options& options)
    : peers_(peers),
      timeout_s_(options.timeout_s),
      interrupted_(options.interrupted),
      spins_(peers.more_ranks_than_cpus() ? kSpinsCrowded : kSpinsAlone) {}

std::string Waiter::here() const {
  const std::string words = describe(what_);
  const std::size_t space = words.find(' ');
  // The number stands behind the name: "all_reduce #41 (f32 × 8, sum)".
  return text("rank %d, in %s #%llu%s", peers_.rank(), words.substr(0, space).c_str(),
              static_cast<unsigned long long>(number_),
              space == std::string::npos ? "" : words.substr(space).c_str());
}

void Waiter::wait_patiently(int peer, Ready ready, Where where) {
  const auto comes_in_a_few_turns = [&] {
    for (int turn = 0; turn < kTurns; ++turn) {
      if (ready()) return true;
      ::sched_yield();
    }
    return false;
  };
  if (comes_in_a_few_turns()) return;  // most do, and then the clock need not be read
  const Clock::time_point start = Clock::now();
  const Deadline deadline = Deadline::after_seconds(timeout_s_);
  Clock::time_point next_process_check = start + kProcessCheck;
  std::optional<Clock::time_point> told_to_stop;
  while (!comes_in_a_few_turns()) {
    peers_.transport().progress();
    const Clock::time_point now = Clock::now();
    check_alarm();
    check_left(peer, ready, where);
    if (interrupted_ != nullptr && interrupted_->load(std::memory_order_relaxed) != 0) {
      if (!told_to_stop) told_to_stop = now;
      next_process_check = now;
      if (now - *told_to_stop > kLastWords)
        throw Error(Fault::interrupted, text("%s, %s, and was stopped by signal %d", here().c_str(),
                                             where().c_str(), interrupted_->load()));
    }
    if (now >= next_process_check) {
      check_dead(ready, where);
      next_process_check = now + kProcessCheck;
    }
    if (deadline.passed(now) && !ready())
      throw_late(peer, std::chrono::duration<double>(now - start).count(), where);
    if (now - start < kYieldFor) continue;
    const timespec nap{0, kNapNs};
    ::nanosleep(&nap, nullptr);
  }
}

void Waiter::check_alarm() {
  if (!peers_.alarmed()) return;
  const Error cause = peers_.alarm_cause();
  throw Error(cause.fault(),
              text("%s, stops because of another rank: %s", here().c_str(), cause.what()));
}

void Waiter::check_left(int peer, Ready ready, Where where) {
  const Board* board = peers_.board_of(peer);
  if (board == nullptr || board->state() != RankState::left || ready()) return;
  throw Error(Fault::left,
              text("%s, %s: %s has left (it destroyed its communicator, so it called fewer "
                   "collectives than the others)",
                   here().c_str(), where().c_str(), peers_.who(peer).c_str()));
}

void Waiter::check_dead(Ready ready, Where where) {
  const std::optional<int> dead = peers_.find_dead();
  if (!dead || ready()) return;
  throw Error(Fault::died, text("%s, %s: %s has died", here().c_str(), where().c_str(),
                                peers_.who(*dead).c_str()));
}

void Waiter::throw_late(int peer, double waited_s, Where where) {
  std::string doing = "what it is doing cannot be seen from here";
  if (const Board* board = peers_.board_of(peer)) {
    const std::optional<Call> call = board->latest();
    if (!call)
      doing = "it has not entered any call yet";
    else
      doing = text("it %s #%llu, %s",
                   board->inside(call->number) ? "is in its call" : "has finished its call",
                   static_cast<unsigned long long>(call->number), describe(call->what).c_str());
  }
  throw Error(
      Fault::timeout,
      text("%s, %s: waited %.3g s, longer than RINGSIDE_TIMEOUT=%g allows; %s is alive, and %s",
           here().c_str(), where().c_str(), waited_s, timeout_s_, peers_.who(peer).c_str(),
           doing.c_str()));
}

}  // namespace ringside
