// Setting up the ranks' windows and their control channel; the map is in peers.h.
#include "comm/peers/peers.h"

#include <algorithm>
#include <cstdio>
#include <new>
#include <utility>

#include "comm/control/connect.h"
#include "comm/control/shared.h"
#include "comm/control/socket.h"
#include "comm/error.h"

namespace ringside {
namespace {

// So much longer than the deadline they wait for each other's outcomes: a rank whose deadline has
// passed is to say for whom it waited.
constexpr double kOutcomes_s = 5;

template <class Body>
void attempt(Outcome& outcome, const Body& body) {
  try {
    body();
    return;
  } catch (const Error& error) {
    // A limit is everybody's, and to be changed by whoever starts the ranks.
    const bool is_limit = dynamic_cast<const LimitError*>(&error) != nullptr;
    outcome.fault = is_limit ? Fault::usage : error.fault();
    std::snprintf(outcome.sentence, sizeof outcome.sentence, "%s", error.what());
  } catch (const std::exception& error) {
    std::snprintf(outcome.sentence, sizeof outcome.sentence, "%s", error.what());
  }
  outcome.failed = true;
}

// Where one rank fails others may wait for it in vain, and fail too: that is no cause.
bool is_consequence(Fault fault) {
  return fault == Fault::left || fault == Fault::died || fault == Fault::timeout;
}

// Throws, on all ranks alike, what the first rank says that failed for a reason of its own.
template <class Outcomes, class OutcomeOf>
void check_outcomes(const Peers& peers, const Outcomes& of_ranks, const OutcomeOf& outcome_of) {
  for (const bool causes_only : {true, false})
    for (std::size_t rank = 0; rank < of_ranks.size(); ++rank) {
      const Outcome& it = outcome_of(of_ranks[rank]);
      if (it.failed && !(causes_only && is_consequence(it.fault)))
        throw_error(it.fault, "%s could not start: %s", peers.name(static_cast<int>(rank)).c_str(),
                    it.sentence);
    }
}

}  // namespace

Peers::Deadlines::Deadlines(double timeout_s)
    : start(Deadline::after_seconds(timeout_s)),
      outcomes(Deadline::after_seconds(timeout_s > 0 ? timeout_s + kOutcomes_s : 0)) {}

Peers::Peers(Bootstrap& bootstrap, const Options& options, bool has_device)
    : rank_(bootstrap.rank()),
      size_(bootstrap.size()),
      routes_(options.routes ? options.routes : std::make_shared<const Routes>(all_routes())) {
  // Options that make no sense are refused by all ranks together, after the first meeting.
  PeerInfo me = my_peer_info(options, has_device);
  me.rank = rank_;
  me.world_rank = rank_;
  const double timeout_s = me.complaint[0] == '\0' ? options.timeout_s : Options{}.timeout_s;
  const Deadlines deadlines(timeout_s);
  everyone_ = bootstrap.all_gather(me, deadlines.start);
  check_agreement(everyone_);
  secret_ = bootstrap.all_gather(draw_secret(), deadlines.start)[0];
  connect(bootstrap, options, nullptr, deadlines);
}

Peers::Peers(Bootstrap& bootstrap, const Options& options, Group group)
    : rank_(bootstrap.rank()),
      size_(bootstrap.size()),
      everyone_(std::move(group.members)),
      routes_(group.parent.routes_),
      secret_(group.parent.secret_) {
  connect(bootstrap, options, &group.parent, Deadlines(options.timeout_s));
}

void Peers::connect(Bootstrap& bootstrap, const Options& options, const Peers* parent,
                    const Deadlines& deadlines) {
  choose_routes();
  layout_ = WindowLayout::make(size_, options.slot_bytes, options.slot_count);
  check_memory(everyone_, layout_.total_bytes() +
                              static_cast<std::size_t>(layout_.total_cells()) * sizeof(Cell));

  // Two things can fail on one rank alone: making its own windows, and opening the others'. After
  // each the ranks tell each other how it went, so they go on together or stop together, with the
  // words of a rank that failed for a reason of its own.
  const bool sockets = size_ > 1 && agreed_control(*routes_, everyone_) == ControlChoice::socket;
  UniqueFd listener;
  Offer mine;
  attempt(mine.outcome, [&] {
    make_windows(options, parent, deadlines.start);
    if (!sockets) return;
    listener = listen_on(resolve(control_host(everyone_, bootstrap), 0), text("rank %d", rank_));
    mine.control = local_address(listener.get());
  });
  for (std::size_t row = 0; row < own_.size(); ++row)
    if (own_[row].window) mine.handles[row] = own_[row].window->handle();
  // A rank that waited until the deadline must still be able to say so.
  const std::vector<Offer> offers = bootstrap.all_gather(mine, deadlines.outcomes);
  check_outcomes(*this, offers, [](const Offer& it) -> const Outcome& { return it.outcome; });

  Outcome opened;
  attempt(opened, [&] {
    Warning warning(options.warn_s, options.on_warning);
    const StopCondition stop{deadlines.start, options.interrupted, &warning};
    // First, and nothing that may fail on one rank alone before it: others wait for it.
    make_control(offers, std::move(listener), stop);
    open_windows(offers, options.warn_s, stop);
    force_stores(options.stores);
  });
  // Also the barrier after which every window has been opened by all, and its owner may come and
  // go.
  const std::vector<Outcome> outcomes = bootstrap.all_gather(opened, deadlines.outcomes);
  check_outcomes(*this, outcomes, [](const Outcome& it) -> const Outcome& { return it; });
}

// Throws what every rank throws, as all know the same.
void Peers::choose_routes() {
  if (routes_->size() > kMostRoutes)
    throw_error(Fault::usage, "there are more than %zu transports", kMostRoutes);
  row_of_.assign(index(size_), kMostRoutes);
  for (int a = 0; a < size_; ++a)
    for (int b = a + 1; b < size_; ++b) {
      const Way it = way(a, b);
      if (it.row < 0)
        throw_error(Fault::usage, "rank %d and rank %d cannot reach each other: %s", a, b,
                    it.why.c_str());
      if (a == rank_) row_of_[index(b)] = static_cast<std::size_t>(it.row);
      if (b == rank_) row_of_[index(a)] = static_cast<std::size_t>(it.row);
    }
  const std::size_t first = *std::min_element(row_of_.begin(), row_of_.end());
  row_of_[index(rank_)] = size_ == 1 ? 0 : first;
}

void Peers::make_windows(const Options& options, const Peers* parent, Deadline deadline) {
  for (std::size_t row = 0; row < routes_->size(); ++row) {
    if (std::find(row_of_.begin(), row_of_.end(), row) == row_of_.end()) continue;
    std::unique_ptr<Transport> transport;
    if (parent != nullptr && parent->own_[row].transport)
      transport = parent->own_[row].transport->for_group();
    if (!transport) transport = (*routes_)[row].make(secret_, everyone_);
    if (options.decorate) transport = options.decorate(std::move(transport));
    if (transport->is_driven()) driven_.push_back(transport.get());
    own_[row].window = transport->expose(layout_.total_bytes(), layout_.total_cells(), deadline);
    own_[row].transport = std::move(transport);
  }
  home_ = &own_window(rank_);
  status_page_.reset(new (home_->data()) StatusPage);
}

void Peers::make_control(const std::vector<Offer>& offers, UniqueFd listener,
                         const StopCondition& stop) {
  windows_.resize(index(size_));
  if (!listener) {
    control_ =
        std::make_unique<SharedControl>(rank_, everyone_, windows_, WindowLayout::kAlarmCell);
    return;
  }
  std::vector<TcpAddress> addresses;
  for (const Offer& offer : offers) addresses.push_back(offer.control);
  // What peers do elsewhere by a store into this rank's alarm cell is done here.
  const auto on_alarm = [this](int origin) {
    home_->cell(WindowLayout::kAlarmCell).release({static_cast<std::uint32_t>(origin) + 1, 1});
  };
  control_ = std::make_unique<SocketControl>(
      connect_mesh(rank_, std::move(listener), addresses, secret_, stop), *status_page_, on_alarm);
}

// Transports know no warnings: the first attempt ends where one is due, if it was not the deadline.
void Peers::open_windows(const std::vector<Offer>& offers, double warn_s,
                         const StopCondition& stop) {
  const Deadline warn_at = Deadline::after_seconds(warn_s);
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_) continue;
    const std::size_t row = row_of_[index(peer)];
    const auto open = [&](Deadline until) {
      windows_[index(peer)] =
          own_[row].transport->open(peer, offers[index(peer)].handles[row], until);
    };
    try {
      open(earlier(warn_at, stop.deadline));
    } catch (const Error& error) {
      if (error.fault() != Fault::timeout || stop.deadline.passed()) throw;
      mind_the_time(stop, [&] { return text("rank %d waited for rank %d's memory", rank_, peer); });
      open(stop.deadline);
    }
  }
}

void Peers::force_stores(StoreChoice choice) {
  if (choice == StoreChoice::automatic) return;
  for (const std::unique_ptr<PeerWindow>& it : windows_) {
    if (!it) continue;
    it->puts().force(choice == StoreChoice::streaming);
    it->results().force(choice == StoreChoice::streaming);
  }
}

SendEnd Peers::ring_send_end() {
  return {*windows_[index(right())], own_window(right()).cell(WindowLayout::kRingCreditCell),
          layout_.ring_place(), layout_.ring};
}

ReceiveEnd Peers::ring_receive_end() {
  return {own_window(left()), *windows_[index(left())], WindowLayout::kRingCreditCell,
          layout_.ring_place(), layout_.ring};
}

SendEnd Peers::pair_send_end(Use use, int peer) {
  return {*windows_[index(peer)], own_window(peer).cell(layout_.pair_credit_cell(use, peer)),
          layout_.pair_place(use, rank_), layout_.pair};
}

ReceiveEnd Peers::pair_receive_end(Use use, int peer) {
  return {own_window(peer), *windows_[index(peer)], layout_.pair_credit_cell(use, rank_),
          layout_.pair_place(use, peer), layout_.pair};
}

bool Peers::may_expose() const { return size_ > 1 && control_->alarms_at_once(); }

const StatusPage* Peers::status_page_of(int peer) const {
  return peer == rank_ ? status_page_.get() : control_->status_page_of(peer);
}

int Peers::alarm_origin() const {
  return static_cast<int>(home_->cell(WindowLayout::kAlarmCell).acquire().sequence - 1);
}

Error Peers::alarm_cause() const {
  const int origin = alarm_origin();
  if (origin < 0 || origin >= size_)
    return Error(Fault::protocol, "an alarm came from no rank that there is: memory is damaged");
  const StatusPage* status_page = status_page_of(origin);
  if (status_page == nullptr || status_page->state() != RankState::broken)
    return Error(Fault::system, name(origin) + " reported an error");
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

// Empty where the two numbers are the same on all ranks.
std::string Peers::in_world(int peer) const {
  const bool differ = std::any_of(everyone_.begin(), everyone_.end(),
                                  [](const PeerInfo& it) { return it.rank != it.world_rank; });
  return differ ? text("world rank %d", rank_info(peer).world_rank) : "";
}

std::string Peers::name(int peer) const {
  const std::string more = in_world(peer);
  return text("rank %d", peer) + (more.empty() ? "" : " (" + more + ")");
}

std::string Peers::who(int peer) const {
  const std::string more = in_world(peer);
  return text("rank %d (%s%spid %d on %s)", peer, more.c_str(), more.empty() ? "" : ", ",
              rank_info(peer).pid, rank_info(peer).host.data());
}

}  // namespace ringside
