// The slow side of waiting; the stages are in waiter.h.
#include "comm/host/waiter.h"

#include <sched.h>
#include <time.h>

#include <cstdio>

#include "comm/diagnostics/trace.h"
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
// Who has not run for so long was stopped (Ctrl-Z), and likely so was who is waited for: that is no
// time of waiting. So often in a wait, as whoever is merely starved has a deadline too.
constexpr milliseconds kStopped{1000};
constexpr int kMostStops = 10;

// This rank's wait, as its status page shows it. A wait that ends in an error is not taken back:
// the communicator is broken then, and others may be about to say why.
class OnTheStatusPage {
 public:
  OnTheStatusPage(StatusPage& status_page, bool notes) : status_page_(status_page), notes_(notes) {}
  void over() {
    if (noted_) status_page_.note_wait_over();
  }
  void note(int peer, std::int64_t since_ms, FunctionRef<std::string()> where,
            std::uint64_t position) {
    if (noted_ || !notes_) return;
    status_page_.note_wait({peer, since_ms, where(), position});
    noted_ = true;
  }

 private:
  StatusPage& status_page_;
  bool notes_;
  bool noted_ = false;
};

}  // namespace

Waiter::Waiter(Peers& peers, CallContext& call, const Options& options, Notes notes)
    : peers_(peers),
      call_(call),
      timeout_s_(options.timeout_s),
      warn_s_(options.warn_s),
      on_warning_(options.on_warning ? options.on_warning : print_warning),
      trace_(notes == Notes::on_status_page ? options.trace : nullptr),
      notes_(notes),
      drives_(notes == Notes::on_status_page && peers.is_driven()),
      spins_(peers.more_ranks_than_cpus() ? kSpinsCrowded : kSpinsAlone) {}

void Waiter::wait_traced(int peer, Ready ready, Where where, std::uint64_t position) {
  TraceScope span(*trace_, TracedWait{peer});
  bool came = false;
  for (int i = 1; i < spins_ && !came; ++i) {
    relax();
    came = is_ready(ready);
  }
  if (!came) wait_patiently(peer, ready, where, position);
  span.done();
}

void Waiter::wait_patiently(int peer, Ready ready, Where where, std::uint64_t position) {
  const auto comes_in_a_few_turns = [&] {
    for (int turn = 0; turn < kTurns; ++turn) {
      if (is_ready(ready)) return true;
      ::sched_yield();
    }
    return false;
  };
  if (comes_in_a_few_turns()) return;  // most do, and then the clock need not be read
  Clock::time_point start = Clock::now(), last = start;
  int stops = 0;
  const std::int64_t start_ms = coarse_now_ms();
  bool warned = false;
  OnTheStatusPage note(peers_.status_page(), notes_ == Notes::on_status_page);
  Clock::time_point next_process_check = start + kProcessCheck;
  while (!comes_in_a_few_turns()) {
    const Clock::time_point now = Clock::now();
    if (now - last > kStopped && ++stops <= kMostStops) start += now - last;
    last = now;
    call_.check(peer, ready, where);
    if (now >= next_process_check) {
      call_.check_dead(ready, where);
      next_process_check = now + kProcessCheck;
    }
    const double waited_s = std::chrono::duration<double>(now - start).count();
    const bool too_long = timeout_s_ > 0 && waited_s >= timeout_s_;
    if (now - start >= kYieldFor || too_long) note.note(peer, start_ms, where, position);
    if (too_long) call_.check_dead(ready, where);
    if (too_long && !ready()) call_.throw_late(waited_s, timeout_s_, where);
    if (now - start < kYieldFor) continue;
    if (!warned && warn_s_ > 0 && waited_s >= warn_s_) {
      warned = true;
      if (const auto words = call_.warning(waited_s, where)) on_warning_(*words);
    }
    const timespec nap{0, kNapNs};
    ::nanosleep(&nap, nullptr);
  }
  note.over();
}

// A peer that has left needs nothing more.
void Waiter::drive_until_sent() {
  const auto left = [&](int peer) {
    const StatusPage* status_page = peers_.status_page_of(peer);
    return status_page != nullptr && status_page->state() == RankState::left;
  };
  for (int peer = 0; peer < peers_.size(); ++peer)
    if (peer != peers_.rank())
      wait(
          peer, [&] { return peers_.all_sent_to(peer) || left(peer); },
          [&] { return "waiting for " + peers_.name(peer) + " to take what is on its way to it"; },
          UINT64_MAX);
}

}  // namespace ringside
