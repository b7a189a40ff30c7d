// Setting up the ranks' windows and what tells them about each other; the map is in peers.h.
#include "comm/peers/peers.h"

#include <algorithm>
#include <cstdio>
#include <new>
#include <utility>

#include "comm/control/connect.h"
#include "comm/control/shared.h"
#include "comm/control/socket.h"
#include "comm/error.h"
#include "comm/transport/shm/shm.h"

namespace ringside {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kStatusPageBytes =
    (sizeof(StatusPage) + kPageBytes - 1) / kPageBytes * kPageBytes;

// All pair channels of a rank together stay within this much memory: with many ranks their slots
// shrink.
constexpr std::size_t kPairBudgetBytes = std::size_t{8} << 20;
constexpr int kPairSlots = 16;

// All ranks have just met, so one that has not called by then has failed, and cannot say so here.
constexpr double kControlWithin_s = 20;

template <class Body>
void attempt(Outcome& outcome, const Body& body) {
  try {
    body();
    return;
  } catch (const Error& error) {
    outcome.fault = error.fault();
    std::snprintf(outcome.sentence, sizeof outcome.sentence, "%s", error.what());
  } catch (const std::exception& error) {
    std::snprintf(outcome.sentence, sizeof outcome.sentence, "%s", error.what());
  }
  outcome.failed = true;
}

void check_outcome(const Outcome& outcome, int rank) {
  if (outcome.failed)
    throw Error(outcome.fault, text("rank %d could not start: %s", rank, outcome.sentence));
}

}  // namespace

WindowPlan WindowPlan::make(int size, std::size_t slot_bytes, int slot_count) {
  const int slots = slot_count == 1 ? 1 : std::min(4 * slot_count, kPairSlots);
  const std::size_t share = kPairBudgetBytes / static_cast<std::size_t>(kUses * size * slots);
  const std::size_t fair = std::max<std::size_t>(share / kLineBytes * kLineBytes, 4 * kLineBytes);
  return {size, {slot_count, slot_bytes}, {slots, std::min(slot_bytes, fair)}};
}

ChannelPlace WindowPlan::ring_place() const { return {kRingCreditCell + 1, kStatusPageBytes}; }

int WindowPlan::pair_credit_cell(Use use, int peer) const {
  const int pair_number = static_cast<int>(use) * size + peer;
  return ring_place().first_cell + ring.slots + pair_number * (1 + pair.slots);
}

ChannelPlace WindowPlan::pair_place(Use use, int peer) const {
  const auto pair_number = static_cast<std::size_t>(static_cast<int>(use) * size + peer);
  return {pair_credit_cell(use, peer) + 1,
          kStatusPageBytes + ring.total_bytes() + pair_number * pair.total_bytes()};
}

bool WindowPlan::is_credit_cell(int cell) const {
  const int first_pair = pair_credit_cell(Use::messages, 0);
  if (cell < first_pair) return cell == kRingCreditCell;
  return (cell - first_pair) % (1 + pair.slots) == 0;
}

Peers::Peers(Bootstrap& bootstrap, const Options& options, bool has_device)
    : rank_(bootstrap.rank()), size_(bootstrap.size()) {
  // Options that make no sense are refused by all ranks together, after the first meeting.
  const PeerInfo me = my_peer_info(options, has_device);
  const double timeout_s = me.complaint[0] == '\0' ? options.timeout_s : Options{}.timeout_s;
  const Deadline deadline = Deadline::after_seconds(timeout_s);
  everyone_ = bootstrap.all_gather(me, deadline);
  check_agreement(everyone_);
  plan_ = WindowPlan::make(size_, options.slot_bytes, options.slot_count);
  const Secret secret = bootstrap.all_gather(draw_secret(), deadline)[0];

  // Two things can fail on one rank alone: making its own window, and opening the others'. After
  // each the ranks tell each other how it went, so they go on together or stop together, with the
  // words of a rank that failed for a reason of its own.
  const bool sockets = size_ > 1 && agreed_control(everyone_) == ControlChoice::socket;
  UniqueFd listener;
  Offer mine;
  attempt(mine.outcome, [&] {
    make_window(secret, options);
    if (!sockets) return;
    listener = listen_on(resolve(control_host(everyone_, bootstrap), 0), text("rank %d", rank_));
    mine.control = local_address(listener.get());
  });
  if (window_) mine.handle = window_->handle();
  const std::vector<Offer> offers = bootstrap.all_gather(mine, deadline);
  for (int peer = 0; peer < size_; ++peer) check_outcome(offers[index(peer)].outcome, peer);

  Outcome opened;
  const Deadline soon = Deadline::after_seconds(
      timeout_s > 0 ? std::min(timeout_s, kControlWithin_s) : kControlWithin_s);
  attempt(opened, [&] {
    // First, and nothing that may fail on one rank alone before it: others wait for it.
    make_control(offers, std::move(listener), secret, {soon, options.interrupted});
    open_windows(offers, deadline);
  });
  // A rank that waited for another's window until the deadline must still be able to say so. This
  // is also the barrier after which every window has been opened by all, and its owner may come and
  // go.
  const Deadline a_little_later = Deadline::after_seconds(timeout_s > 0 ? timeout_s + 5 : 0);
  const std::vector<Outcome> outcomes = bootstrap.all_gather(opened, a_little_later);
  for (int peer = 0; peer < size_; ++peer) check_outcome(outcomes[index(peer)], peer);
}

void Peers::make_window(const Secret& secret, const Options& options) {
  bool several_processes = false;
  for (const PeerInfo& it : everyone_) several_processes |= it.process != rank_info(rank_).process;
  transport_ = std::make_unique<ShmTransport>(secret, ShmOptions{.serve = several_processes});
  if (options.decorate) transport_ = options.decorate(std::move(transport_));
  if (transport_->is_driven()) driven_.push_back(transport_.get());
  window_ = transport_->expose(plan_.total_bytes(), plan_.total_cells());
  status_page_.reset(new (window_->data()) StatusPage);
}

void Peers::make_control(const std::vector<Offer>& offers, UniqueFd listener, const Secret& secret,
                         const StopCondition& stop) {
  windows_.resize(index(size_));
  if (!listener) {
    control_ = std::make_unique<SharedControl>(rank_, everyone_, windows_, WindowPlan::kAlarmCell);
    return;
  }
  std::vector<TcpAddress> addresses;
  for (const Offer& offer : offers) addresses.push_back(offer.control);
  // What peers do elsewhere by a store into this rank's alarm cell is done here.
  const auto on_alarm = [this](int origin) {
    window_->cell(WindowPlan::kAlarmCell).release({static_cast<std::uint32_t>(origin) + 1, 1});
  };
  control_ = std::make_unique<SocketControl>(
      rank_, connect_mesh(rank_, std::move(listener), addresses, secret, stop), *status_page_,
      on_alarm);
}

void Peers::open_windows(const std::vector<Offer>& offers, Deadline deadline) {
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_) continue;
    const Reach way = reach(rank_info(rank_), rank_info(peer));
    if (!way.possible)
      throw Error(Fault::usage, text("rank %d and rank %d cannot reach each other: %s", rank_, peer,
                                     way.why.c_str()));
    windows_[index(peer)] = transport_->open(peer, offers[index(peer)].handle, deadline);
  }
}

SendEnd Peers::ring_send_end() {
  return {*windows_[index(right())], window_->cell(WindowPlan::kRingCreditCell), plan_.ring_place(),
          plan_.ring};
}

ReceiveEnd Peers::ring_receive_end() {
  return {*window_, *windows_[index(left())], WindowPlan::kRingCreditCell, plan_.ring_place(),
          plan_.ring};
}

SendEnd Peers::pair_send_end(Use use, int peer) {
  return {*windows_[index(peer)], window_->cell(plan_.pair_credit_cell(use, peer)),
          plan_.pair_place(use, rank_), plan_.pair};
}

ReceiveEnd Peers::pair_receive_end(Use use, int peer) {
  return {*window_, *windows_[index(peer)], plan_.pair_credit_cell(use, rank_),
          plan_.pair_place(use, peer), plan_.pair};
}

bool Peers::may_expose() const { return size_ > 1 && control_->alarms_at_once(); }

const StatusPage* Peers::status_page_of(int peer) const {
  return peer == rank_ ? status_page_.get() : control_->status_page_of(peer);
}

int Peers::alarm_origin() const {
  return static_cast<int>(window_->cell(WindowPlan::kAlarmCell).acquire().sequence) - 1;
}

Error Peers::alarm_cause() const {
  const int origin = alarm_origin();
  const StatusPage* status_page = status_page_of(origin);
  if (status_page == nullptr || status_page->state() != RankState::broken)
    return Error(Fault::system, text("rank %d reported an error", origin));
  return status_page->cause();
}

void Peers::break_world(const Error& cause) {
  status_page_->set_broken(cause);
  if (alarmed())
    control_->pass_on_alarm(alarm_origin());
  else
    control_->raise_alarm();
}

std::optional<int> Peers::find_dead() const {
  for (int peer = 0; peer < size_; ++peer)
    if (peer != rank_ && control_->has_died(peer)) return peer;
  return std::nullopt;
}

Presence Peers::presence(int peer) const {
  return peer == rank_ ? Presence::runs : control_->presence(peer);
}

std::string Peers::who(int peer) const {
  return text("rank %d (pid %d on %s)", peer, rank_info(peer).pid, rank_info(peer).host.data());
}

}  // namespace ringside
