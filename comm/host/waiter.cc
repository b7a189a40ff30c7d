// The slow side of waiting; the stages are in waiter.h.
#include "comm/host/waiter.h"

#include <sched.h>
#include <time.h>

#include <cstdio>

#include "comm/diagnostics/report.h"
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
// mpirun sends SIGTERM when a rank dies and SIGKILL a second later. Time to find out who it was,
// and to say so.
constexpr milliseconds kLastWords{300};
// From a process's last answer to its end; it may have much memory to give back.
constexpr milliseconds kExplainedWithin{1000};

// One write, so that the lines of several ranks do not mix.
void print_warning(const std::string& sentence) {
  const std::string line = "ringside: " + sentence + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

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

Waiter::Waiter(Peers& peers, const Options& options, Notes notes)
    : peers_(peers),
      timeout_s_(options.timeout_s),
      warn_s_(options.warn_s),
      on_warning_(options.on_warning ? options.on_warning : print_warning),
      interrupted_(options.interrupted),
      trace_(notes == Notes::on_status_page ? options.trace : nullptr),
      notes_(notes),
      drives_(notes == Notes::on_status_page && peers.is_driven()),
      spins_(peers.more_ranks_than_cpus() ? kSpinsCrowded : kSpinsAlone) {}

std::string Waiter::here() const {
  return text("rank %d, in %s", peers_.rank(), describe(call_.number, call_.what).c_str());
}

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
  const Clock::time_point start = Clock::now();
  const Deadline deadline = Deadline::after_seconds(timeout_s_);
  const std::int64_t start_ms = coarse_now_ms();
  const Deadline warning = Deadline::after_seconds(warn_s_);
  bool warned = false;
  OnTheStatusPage note(peers_.status_page(), notes_ == Notes::on_status_page);
  Clock::time_point next_process_check = start + kProcessCheck;
  while (!comes_in_a_few_turns()) {
    const Clock::time_point now = Clock::now();
    check_alarm();
    check_left(peer, ready, where);
    check_different(peer, ready);
    check_stopped(where);
    if (now >= next_process_check) {
      check_dead(ready, where);
      next_process_check = now + kProcessCheck;
    }
    const double waited_s = std::chrono::duration<double>(now - start).count();
    if (now - start >= kYieldFor || deadline.passed(now))
      note.note(peer, start_ms, where, position);
    if (deadline.passed(now)) check_dead(ready, where);
    if (deadline.passed(now) && !ready()) throw_late(waited_s, where);
    if (now - start < kYieldFor) continue;
    if (!warned && warning.passed(now)) {
      warned = true;
      warn(waited_s, where);
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
          [&] { return text("waiting for rank %d to take what is on its way to it", peer); },
          UINT64_MAX);
}

void Waiter::check_alarm() {
  // This rank's own status page is broken while one of its calls goes on only if another thread
  // aborts.
  const bool aborted = peers_.status_page().state() == RankState::broken;
  if (!aborted && !peers_.alarmed()) return;
  const Error cause = aborted ? peers_.status_page().cause() : peers_.alarm_cause();
  throw Error(cause.fault(), text("%s: %s", here().c_str(), cause.what()));
}

// Somebody may have died, and that be the reason for the signal: then that is what there is to say.
void Waiter::check_stopped(Where where) {
  if (interrupted_ == nullptr || interrupted_->load(std::memory_order_relaxed) == 0) return;
  const Clock::time_point now = Clock::now();
  if (!told_to_stop_) told_to_stop_ = now;
  if (const std::optional<int> dead = peers_.find_dead()) throw_dead(*dead, where);
  if (now - *told_to_stop_ > kLastWords)
    throw Error(Fault::interrupted, text("%s, %s: stopped by signal %d", here().c_str(),
                                         where().c_str(), interrupted_->load()));
}

void Waiter::enter(const Call& call) {
  call_ = call;
  check_alarm();
  check_stopped([] { return std::string("starting"); });
}

void Waiter::check_left(int peer, Ready ready, Where where) {
  const StatusPage* status_page = peers_.status_page_of(peer);
  if (status_page == nullptr || status_page->state() != RankState::left || ready()) return;
  // What it has sent may still be on its way here, or be there and not worked up by a device.
  if (!peers_.all_received_from(peer)) return;
  if (call_.what.on_device && has_finished(*status_page, call_)) return;
  const char* why = has_finished(*status_page, call_)
                        ? "it finished this call, so what it sent was lost on its way"
                        : "so it called fewer collectives than the others";
  throw Error(Fault::left,
              text("%s: %s has left (it destroyed its communicator, %s); seen while %s",
                   here().c_str(), peers_.who(peer).c_str(), why, where().c_str()));
}

// Flags tell when a message belongs to another call. But two calls may use different channels, and
// then each would wait for a message that never comes; so the numbers of the collectives are
// compared as well.
void Waiter::check_different(int peer, Ready ready) {
  const StatusPage* status_page = peers_.status_page_of(peer);
  if (status_page == nullptr || call_.collective == 0) return;
  const std::optional<Call> theirs = status_page->find_collective(call_.collective);
  if (!theirs || theirs->fingerprint == call_.fingerprint || ready()) return;
  throw_different(peer, theirs);
}

void Waiter::check_flag(const ReceiveEnd& end, int from_rank, std::uint32_t wanted,
                        Where where) const {
  if (end.overtaken())
    throw Error(Fault::protocol,
                text("%s, %s: a flag from rank %d is out of sequence; its slots were overwritten "
                     "before they were read",
                     here().c_str(), where().c_str(), from_rank));
  if (end.flag().fingerprint == wanted) [[likely]]
    return;
  throw_mismatched_message(from_rank, end.flag().fingerprint, where);
}

void Waiter::throw_mismatched_message(int from_rank, std::uint32_t theirs, Where where) const {
  const std::uint32_t wanted = call_.fingerprint;
  peers_.refresh_status_pages();
  const StatusPage* status_page = peers_.status_page_of(from_rank);
  const std::optional<Call> meant =
      status_page == nullptr ? std::nullopt : status_page->find(theirs);
  // A flag of no call that the sender has made, while this very call stands on its status page.
  if (status_page != nullptr && !meant && status_page->find(wanted))
    throw Error(
        Fault::protocol,
        text("%s, %s: a flag from %s is damaged: it has come in this call, with the "
             "fingerprint of none (%08x in place of %08x). Memory or a transport has "
             "changed it on its way",
             here().c_str(), where().c_str(), peers_.who(from_rank).c_str(), theirs, wanted));
  throw_different(from_rank, meant);
}

void Waiter::throw_different(int peer, const std::optional<Call>& theirs) const {
  const std::string who = peers_.who(peer);
  const std::string what =
      theirs ? text("%s is in %s: %s", who.c_str(), describe(theirs->number, theirs->what).c_str(),
                    what_differs(peer, *theirs).c_str())
             : text("%s is in another call, no longer on its status page", who.c_str());
  throw Error(
      Fault::mismatch,
      text("%s: the ranks are doing different things; %s. Every rank must make the same calls "
           "in the same order",
           here().c_str(), what.c_str()));
}

// The calls may be alike and their fingerprints not: then collectives before them differed, and
// nobody had to wait for the message that was missing. The first of those is what there is to say.
std::string Waiter::what_differs(int peer, const Call& theirs) const {
  if (fingerprint(theirs.what) != fingerprint(call_.what))
    return difference(call_.what, theirs.what);
  std::string words = "an earlier collective differed, and is no longer on the status pages";
  const StatusPage& other = *peers_.status_page_of(peer);  // where `theirs` was read
  for (std::uint32_t collective = call_.collective - 1; collective > 0; --collective) {
    const std::optional<Call> here = peers_.status_page().find_collective(collective);
    const std::optional<Call> there = other.find_collective(collective);
    if (!here || !there) break;
    if (fingerprint(here->what) != fingerprint(there->what))
      words = text("an earlier collective differed, %s here and %s there: %s",
                   describe(here->number, here->what).c_str(),
                   describe(there->number, there->what).c_str(),
                   difference(here->what, there->what).c_str());
  }
  return words;
}

void Waiter::check_dead(Ready ready, Where where) {
  const std::optional<int> dead = peers_.find_dead();
  if (!dead || ready()) return;
  throw_dead(*dead, where);
}

const std::byte* Waiter::read_zero_copy(const ReceiveEnd& end, std::size_t bytes, Where where) {
  try {
    return end.message(bytes);
  } catch (const Error& error) {
    if (error.fault() == Fault::system || error.fault() == Fault::left) check_alive(where);
    throw;
  }
}

void Waiter::check_alive(Where where) {
  const Clock::time_point start = Clock::now();
  while (Clock::now() - start < kExplainedWithin) {
    check_alarm();
    check_dead([] { return false; }, where);
    const timespec nap{0, 20 * kNapNs};
    ::nanosleep(&nap, nullptr);
  }
}

// A process may also have ended because of an error, the death of a third rank perhaps. Its alarm
// came before, but may not have been looked at yet; its words are still on its status page.
void Waiter::throw_dead(int peer, Where where) {
  const StatusPage* status_page = peers_.status_page_of(peer);
  if (status_page != nullptr && status_page->state() == RankState::broken) {
    const Error cause = status_page->cause();
    throw Error(cause.fault(), text("%s: %s", here().c_str(), cause.what()));
  }
  throw Error(Fault::died, text("%s: %s has died; seen while %s", here().c_str(),
                                peers_.who(peer).c_str(), where().c_str()));
}

// Everybody's time is up at the same moment. If another rank has spoken while this one read the
// status pages, they may show what came after, as whoever was late was told to stop: its words
// count.
void Waiter::throw_late(double waited_s, Where where) {
  const std::string cause = Report(peers_).cause(call_);
  check_alarm();
  throw Error(Fault::timeout,
              text("%s, %s: waited %.3g s, longer than RINGSIDE_TIMEOUT=%g allows; %s",
                   here().c_str(), where().c_str(), waited_s, timeout_s_, cause.c_str()));
}

// Late is not wrong. Somebody may be reading a large file, or sit in a debugger.
void Waiter::warn(double waited_s, Where where) const {
  const Report report(peers_);
  if (!report.is_mine_to_tell()) return;
  on_warning_(text("%s, %s: has waited %.3g s and goes on waiting; %s", here().c_str(),
                   where().c_str(), waited_s, report.cause(call_).c_str()));
}

}  // namespace ringside
