// What ends a call badly, and how it is said.
#include "comm/host/call_context.h"

#include <time.h>

#include <chrono>

#include "comm/diagnostics/report.h"
#include "comm/error.h"

namespace ringside {
namespace {

using std::chrono::milliseconds;

// mpirun sends SIGTERM when a rank dies and SIGKILL a second later. Time to find out who it was,
// and to say so.
constexpr milliseconds kLastWords{300};
// From a process's last answer to its end; it may have much memory to give back.
constexpr milliseconds kExplainedWithin{1000};
constexpr long kLookAgainNs = 1'000'000;

}  // namespace

void CallContext::enter(const Call& call) {
  call_ = call;
  check_alarm();
  check_stopped([] { return std::string("starting"); });
}

std::string CallContext::here() const {
  return text("%s, in %s", peers_.name(peers_.rank()).c_str(),
              describe(call_.number, call_.what).c_str());
}

void CallContext::check_flag(const ReceiveEnd& end, int from_rank, std::uint32_t wanted,
                             Where where) const {
  if (end.overtaken())
    throw_error(Fault::protocol,
                "%s, %s: a flag from %s is out of sequence; its slots were overwritten before "
                "they were read",
                here().c_str(), where().c_str(), peers_.name(from_rank).c_str());
  if (end.flag().fingerprint == wanted) [[likely]]
    return;
  throw_mismatched_message(from_rank, end.flag().fingerprint, where);
}

void CallContext::throw_mismatched_message(int from_rank, std::uint32_t theirs, Where where) const {
  const std::uint32_t wanted = call_.fingerprint;
  peers_.refresh_status_pages();
  const StatusPage* status_page = peers_.status_page_of(from_rank);
  const std::optional<Call> meant =
      status_page == nullptr ? std::nullopt : status_page->find(theirs);
  // A flag of no call that the sender has made, while this very call stands on its status page.
  if (status_page != nullptr && !meant && status_page->find(wanted))
    throw_error(Fault::protocol,
                "%s, %s: a flag from %s is damaged: it has come in this call, with the fingerprint "
                "of none (%08x in place of %08x). Memory or a transport has changed it on its way",
                here().c_str(), where().c_str(), peers_.who(from_rank).c_str(), theirs, wanted);
  throw_different(from_rank, meant);
}

void CallContext::throw_different(int peer, const std::optional<Call>& theirs) const {
  const std::string who = peers_.who(peer);
  const std::string what =
      theirs ? text("%s is in %s: %s", who.c_str(), describe(theirs->number, theirs->what).c_str(),
                    what_differs(peer, *theirs).c_str())
             : text("%s is in another call, no longer on its status page", who.c_str());
  throw_error(Fault::mismatch,
              "%s: the ranks are doing different things; %s. Every rank must make the same calls "
              "in the same order",
              here().c_str(), what.c_str());
}

// The calls may be alike and their fingerprints not: then collectives before them differed, and
// nobody had to wait for the message that was missing. The first of those is what there is to say.
std::string CallContext::what_differs(int peer, const Call& theirs) const {
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

const std::byte* CallContext::read_zero_copy(const ReceiveEnd& end, std::size_t bytes,
                                             Where where) {
  try {
    return end.message(bytes);
  } catch (const Error& error) {
    if (error.fault() == Fault::system || error.fault() == Fault::left) check_alive(where);
    throw;
  }
}

void CallContext::check_alive(Where where) {
  const Clock::time_point start = Clock::now();
  while (Clock::now() - start < kExplainedWithin) {
    check_alarm();
    check_dead([] { return false; }, where);
    const timespec nap{0, kLookAgainNs};
    ::nanosleep(&nap, nullptr);
  }
}

void CallContext::check_alarm() {
  // This rank's own status page is broken while one of its calls goes on only if another thread
  // aborts.
  const bool aborted = peers_.status_page().state() == RankState::broken;
  if (!aborted && !peers_.alarmed()) return;
  const Error cause = aborted ? peers_.status_page().cause() : peers_.alarm_cause();
  throw_error(cause.fault(), "%s: %s", here().c_str(), cause.what());
}

void CallContext::check(int peer, Ready ready, Where where) {
  check_alarm();
  check_left(peer, ready, where);
  check_different(peer, ready);
  check_stopped(where);
}

void CallContext::check_left(int peer, Ready ready, Where where) {
  const StatusPage* status_page = peers_.status_page_of(peer);
  if (status_page == nullptr || status_page->state() != RankState::left || ready()) return;
  // What it has sent may still be on its way here, or be there and not worked up by a device.
  if (!peers_.all_received_from(peer)) return;
  if (call_.what.on_device && has_finished(*status_page, call_)) return;
  const char* why = has_finished(*status_page, call_)
                        ? "it finished this call, so what it sent was lost on its way"
                        : "so it called fewer collectives than the others";
  throw_error(Fault::left, "%s: %s has left (it destroyed its communicator, %s); seen while %s",
              here().c_str(), peers_.who(peer).c_str(), why, where().c_str());
}

// Flags tell when a message belongs to another call. But two calls may use different channels, and
// then each would wait for a message that never comes; so the numbers of the collectives are
// compared as well.
void CallContext::check_different(int peer, Ready ready) {
  const StatusPage* status_page = peers_.status_page_of(peer);
  if (status_page == nullptr || call_.collective == 0) return;
  const std::optional<Call> theirs = status_page->find_collective(call_.collective);
  if (!theirs || theirs->fingerprint == call_.fingerprint || ready()) return;
  throw_different(peer, theirs);
}

// Somebody may have died, and that be the reason for the signal: then that is what there is to say.
void CallContext::check_stopped(Where where) {
  if (interrupted_ == nullptr || interrupted_->load(std::memory_order_relaxed) == 0) return;
  const Clock::time_point now = Clock::now();
  if (!stopping_since_) stopping_since_ = now;
  if (const std::optional<int> dead = peers_.find_dead()) throw_dead(*dead, where);
  if (now - *stopping_since_ > kLastWords)
    throw_error(Fault::interrupted, "%s, %s: stopped by signal %d", here().c_str(), where().c_str(),
                interrupted_->load());
}

void CallContext::check_dead(Ready ready, Where where) {
  const std::optional<int> dead = peers_.find_dead();
  if (!dead || ready()) return;
  throw_dead(*dead, where);
}

// A process may also have ended because of an error, the death of a third rank perhaps. Its alarm
// came before, but may not have been looked at yet; its words are still on its status page.
void CallContext::throw_dead(int peer, Where where) {
  const StatusPage* status_page = peers_.status_page_of(peer);
  if (status_page != nullptr && status_page->state() == RankState::broken) {
    const Error cause = status_page->cause();
    throw_error(cause.fault(), "%s: %s", here().c_str(), cause.what());
  }
  throw_error(Fault::died, "%s: %s has died; seen while %s", here().c_str(),
              peers_.who(peer).c_str(), where().c_str());
}

// Everybody's time is up at the same moment. If another rank has spoken while this one read the
// status pages, they may show what came after, as whoever was late was told to stop: its words
// count.
void CallContext::throw_late(double waited_s, double timeout_s, Where where) {
  const std::string cause = Report(peers_).cause(call_);
  check_alarm();
  throw_error(Fault::timeout, "%s, %s: waited %.3g s, longer than RINGSIDE_TIMEOUT=%g allows; %s",
              here().c_str(), where().c_str(), waited_s, timeout_s, cause.c_str());
}

// Late is not wrong. Somebody may be reading a large file, or sit in a debugger.
std::optional<std::string> CallContext::warning(double waited_s, Where where) const {
  const Report report(peers_);
  if (!report.is_mine_to_report()) return std::nullopt;
  return text("%s, %s: has waited %.3g s and goes on waiting; %s", here().c_str(), where().c_str(),
              waited_s, report.cause(call_).c_str());
}

}  // namespace ringside
