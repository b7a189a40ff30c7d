// The service thread, and what the rank's own threads want of it; the picture is in
// socket.h.
#include "comm/control/socket.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "comm/error.h"
#include "comm/util/deadline.h"
#include "comm/util/start_thread.h"

namespace ringside {
namespace {

using std::chrono::milliseconds;

// So many messages of one peer before the next one's turn.
constexpr int kMessagesInARow = 16;

// A rank that answers at all does so much sooner.
constexpr milliseconds kSilentAfter = kAnswersWithin * 3 / 4;

}  // namespace

SocketControl::SocketControl(std::vector<UniqueFd> connections, const StatusPage& own,
                             OnAlarm on_alarm)
    : own_(own), on_alarm_(std::move(on_alarm)) {
  for (UniqueFd& connection : connections) {
    auto peer = std::make_unique<Peer>();
    peer->link = ControlLink(std::move(connection));
    peer->open = peer->link.is_open();
    peers_.push_back(std::move(peer));
  }
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) throw_system("cannot make an eventfd");
  if (peers_.size() > 1) thread_ = start_thread([this] { serve(); });
}

SocketControl::~SocketControl() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake();
  thread_.join();
}

// --- the rank's own threads ---

void SocketControl::wake() {
  const std::uint64_t one = 1;
  // It fails only where the counter is full, and then the thread is awake.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

// True if the service thread must be woken for it.
bool SocketControl::want(Peer& peer) { return peer.open && !std::exchange(peer.wanted, true); }

const StatusPage* SocketControl::status_page_of(int rank) {
  Peer& peer = at(rank);
  bool asleep = false;
  {
    const std::lock_guard lock(mutex_);
    const bool waits_for_answer = peer.answered < peer.asked;
    if (!waits_for_answer && coarse_now_ms() - peer.asked_ms >= kCopyLasts.count())
      asleep = want(peer);
  }
  if (asleep) wake();
  return &peer.copy;
}

bool SocketControl::has_died(int rank) {
  const std::lock_guard lock(mutex_);
  return at(rank).died;
}

Presence SocketControl::presence(int rank) {
  const std::lock_guard lock(mutex_);
  const Peer& peer = at(rank);
  const bool silent = peer.open && peer.answered < peer.asked &&
                      coarse_now_ms() - peer.asked_ms >= kSilentAfter.count();
  return silent ? Presence::silent : Presence::runs;
}

void SocketControl::refresh() {
  std::unique_lock lock(mutex_);
  std::vector<std::uint64_t> until;  // the question that must be answered
  for (const std::unique_ptr<Peer>& peer : peers_) {
    until.push_back(peer->asked + 1);
    want(*peer);
  }
  wake();
  changed_.wait_for(lock, kAnswersWithin, [&] {
    for (std::size_t i = 0; i < peers_.size(); ++i)
      if (peers_[i]->open && peers_[i]->answered < until[i]) return false;
    return true;
  });
}

void SocketControl::raise_alarm() {
  if (!thread_.joinable()) return;
  std::unique_lock lock(mutex_);
  alarm_wanted_ = true;
  wake();
  changed_.wait_for(lock, kAnswersWithin, [&] { return alarm_sent_; });
}

// --- the service thread ---

void SocketControl::serve() {
  report_to_all(false);  // so that there is a copy to begin with
  for (bool stop = false, alarm = false; !stop;) {
    look_around(-1);
    {
      const std::lock_guard lock(mutex_);
      stop = stop_;
      alarm = std::exchange(alarm_wanted_, false);
    }
    ask_what_is_wanted();
    if (alarm) report_to_all(false);
    for (const std::unique_ptr<Peer>& peer : peers_) peer->link.send();
    if (alarm) {
      const std::lock_guard lock(mutex_);
      alarm_sent_ = true;
    }
    changed_.notify_all();
  }
  part();
}

// Waits until there is something to do, and takes what has come.
void SocketControl::look_around(int timeout_ms) {
  std::vector<pollfd> waiting = {{wake_.get(), POLLIN, 0}};
  for (const std::unique_ptr<Peer>& peer : peers_)
    waiting.push_back({peer->link.fd(), peer->link.events(), 0});
  if (::poll(waiting.data(), waiting.size(), timeout_ms) <= 0) return;
  std::uint64_t wakes = 0;
  [[maybe_unused]] const ssize_t read = ::read(wake_.get(), &wakes, sizeof wakes);
  for (std::size_t i = 0; i < peers_.size(); ++i)
    if (waiting[1 + i].revents != 0) receive_from(static_cast<int>(i), *peers_[i]);
}

void SocketControl::receive_from(int rank, Peer& peer) {
  for (int i = 0; i < kMessagesInARow; ++i) switch (peer.link.receive()) {
      case ControlLink::Event::nothing:
        return;
      case ControlLink::Event::question:
        peer.link.put_status(peer.link.number(), status_of(own_, false));
        break;
      case ControlLink::Event::status:
        if (take(rank, peer)) break;
        return;
      case ControlLink::Event::gone:
        return hang_up(peer, true);
    }
}

// A status has come. False: it was the last one.
bool SocketControl::take(int rank, Peer& peer) {
  const Status& status = peer.link.status();
  if (!makes_sense(status, static_cast<int>(peers_.size()))) {
    hang_up(peer, true);
    return false;
  }
  // Once and for all, by the first one: wrong by the time that it was on its way, but the same
  // moment stays the same.
  if (!peer.clock_ahead_ms) peer.clock_ahead_ms = coarse_now_ms() - status.now_ms;
  update(peer.copy, status, *peer.clock_ahead_ms);
  {
    const std::lock_guard lock(mutex_);
    peer.answered = std::max(peer.answered, std::min(peer.link.number(), peer.asked));
  }
  if (peer.copy.state() == RankState::broken && !std::exchange(alarmed_, true)) on_alarm_(rank);
  if (status.farewell != 0) hang_up(peer, false);
  return status.farewell == 0;
}

void SocketControl::hang_up(Peer& peer, bool died) {
  peer.link.close();
  const std::lock_guard lock(mutex_);
  peer.open = false;
  peer.died = died;
}

// One question at a time: a peer that does not answer is not asked again.
void SocketControl::ask_what_is_wanted() {
  const std::lock_guard lock(mutex_);
  for (const std::unique_ptr<Peer>& peer : peers_) {
    if (!peer->wanted || peer->answered < peer->asked) continue;
    peer->wanted = false;
    if (!peer->link.put_question(peer->asked + 1)) continue;
    ++peer->asked;
    peer->asked_ms = coarse_now_ms();
  }
}

void SocketControl::report_to_all(bool farewell) {
  const Status status = status_of(own_, farewell);
  for (const std::unique_ptr<Peer>& peer : peers_) {
    peer->link.put_status(0, status);
    peer->link.send();
  }
}

// A connection that is closed while something unread lies in it is reset, and that may overtake
// what was sent last. So this rank only stops sending; the peer that receives the farewell closes
// the connection.
void SocketControl::part() {
  report_to_all(true);
  const Deadline deadline =
      Deadline::after_seconds(std::chrono::duration<double>(kFarewell).count());
  const auto some_open = [&] {
    return std::any_of(peers_.begin(), peers_.end(),
                       [](const auto& peer) { return peer->link.is_open(); });
  };
  while (some_open() && !deadline.passed()) {
    for (const std::unique_ptr<Peer>& peer : peers_) {
      peer->link.send();
      if (peer->link.all_sent()) peer->link.finish();
    }
    look_around(deadline.poll_ms(static_cast<int>(kFarewell.count())));
  }
}

}  // namespace ringside
