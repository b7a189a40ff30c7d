// The ranks of a communicator and what connects them: windows, opened by the others; a status page
// and an alarm; and the control channel (control.h), by which ranks learn what a peer does and
// whether it is still there.
//
// Each pair of ranks has its transport (routes.h), so a rank has a window of its own for each
// transport in use, and each peer opens the one of their pair:
//
//     my window over shm    ◀── PeerWindow of rank 1     status page, alarm; their channels' slots
//     my window over …      ◀── PeerWindows of 2 and 3   their channels' slots
//
// All have the same layout (window_layout.h). The status page and the alarm are in the first one.
//
// Collectives run on the *ring* channels (from the left, to the right) and, where a rank talks to
// others than its neighbours, on the *mesh*: a channel for each ordered pair of ranks. send and
// recv have pairs of their own, so that a message that nobody has received yet never stands in
// front of a collective.
//
// The alarm: a rank on which a call fails writes the cause on its status page, and the control
// channel sets every peer's alarm cell. A call looks at the alarm when it starts and whenever it
// waits, so one failure ends all ranks' calls.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/bootstrap/bootstrap.h"
#include "comm/bootstrap/identity.h"
#include "comm/control/control.h"
#include "comm/control/status.h"
#include "comm/options.h"
#include "comm/peers/routes.h"
#include "comm/peers/window_layout.h"
#include "comm/transport/channel.h"
#include "comm/transport/transport.h"
#include "comm/util/secret.h"
#include "comm/util/tcp_socket.h"

namespace ringside {

// How a rank tells the others whether a step of the set-up succeeded.
struct Outcome {
  bool failed = false;
  Fault fault = Fault::system;
  char sentence[500] = {};
};

struct Offer {
  Outcome outcome;
  std::array<WindowHandle, kMostRoutes> handles;  // by row of the table, of transports in use
  TcpAddress control;  // where the rank listens for control connections, if there are to be any
};

class Peers {
 public:
  // What some ranks of another communicator know of each other before they meet.
  struct Group {
    const Peers& parent;
    std::vector<PeerInfo> members;  // by rank in the group
  };

  // Collective: finds out who is there, makes this rank's windows and opens the others'. Either
  // every rank gets its Peers or every rank throws. Throws Error{usage, system, timeout}.
  Peers(Bootstrap& bootstrap, const Options& options, bool has_device = false);
  // The same for a group: what its ranks could find out again is taken from the parent, and what
  // they would set up again is shared with it (Transport::for_group). The parent may end first.
  Peers(Bootstrap& bootstrap, const Options& options, Group group);
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int right() const { return (rank_ + 1) % size_; }
  int left() const { return (rank_ + size_ - 1) % size_; }
  const PeerInfo& rank_info(int peer) const { return everyone_[index(peer)]; }
  bool more_ranks_than_cpus() const { return oversubscribed(everyone_, rank_); }

  // How two ranks reach each other.
  Way way(int a, int b) const { return way_between(*routes_, rank_info(a), rank_info(b)); }

  // The channels' ends; not for this rank itself.
  SendEnd ring_send_end();
  ReceiveEnd ring_receive_end();
  SendEnd pair_send_end(Use use, int peer);
  ReceiveEnd pair_receive_end(Use use, int peer);

  PeerWindow& window_of(int peer) { return *windows_[index(peer)]; }

  // May this rank expose memory (transport.h)? Only where an alarm is seen before what follows it.
  bool may_expose() const;

  std::size_t pair_slot_bytes() const { return layout_.pair.slot_bytes; }

  // Driven transports (transport.h), if there are any, on the rank's own thread.
  bool is_driven() const { return !driven_.empty(); }
  void drive() {
    for (Transport* it : driven_) it->progress();
  }
  // Of the peer's window: all_sent(), and all_received().
  bool all_sent_to(int peer) const { return windows_[index(peer)]->all_sent(); }
  bool all_received_from(int peer) const { return windows_[index(peer)]->all_received(); }

  StatusPage& status_page() { return *status_page_; }
  // This rank's own, or what the control channel has of the peer's. Null where that is nothing.
  const StatusPage* status_page_of(int peer) const;

  // --- when something is wrong ---
  bool alarmed() const { return home_->cell(WindowLayout::kAlarmCell).acquire().sequence != 0; }
  // What the rank that raised the alarm wrote down. Only when alarmed().
  Error alarm_cause() const;
  // Writes the cause on this rank's status page and alarms every peer, unless it learnt of it from
  // an alarm itself.
  void break_world(const Error& cause);
  // A rank whose process is gone without having left properly, or none.
  std::optional<int> find_dead() const;
  // As new as can be had; they may take some 100 ms to come.
  void refresh_status_pages() const { control_->refresh(); }
  // After refresh_status_pages().
  Presence presence(int peer) const;
  // In a group that was split off each rank has two numbers, and sentences say both.
  std::string name(int peer) const;  // "rank 2", "rank 2 (world rank 5)"
  std::string who(int peer) const;  // "rank 2 (pid 4711 on host)", "rank 2 (world rank 5, pid …)"

 private:
  int alarm_origin() const;
  std::string in_world(int peer) const;
  static std::size_t index(int peer) { return static_cast<std::size_t>(peer); }
  struct Deadlines {
    explicit Deadlines(double timeout_s);
    Deadline start, outcomes;
  };
  void connect(Bootstrap& bootstrap, const Options& options, const Peers* parent,
               const Deadlines& deadlines);
  void choose_routes();
  void make_windows(const Options& options, const Peers* parent, Deadline deadline);
  Window& own_window(int peer) { return *own_[row_of_[index(peer)]].window; }
  void open_windows(const std::vector<Offer>& offers, double warn_s, const StopCondition& stop);
  void force_stores(StoreChoice choice);
  void make_control(const std::vector<Offer>& offers, UniqueFd listener, const StopCondition& stop);

  int rank_;
  int size_;
  WindowLayout layout_;
  std::vector<PeerInfo> everyone_;
  std::shared_ptr<const Routes> routes_;
  Secret secret_{};
  // This rank's end of each transport in use, by row of the table; null where one is not in use.
  struct Own {
    std::unique_ptr<Transport> transport;
    std::unique_ptr<Window> window;
  };
  std::array<Own, kMostRoutes> own_;
  std::vector<std::size_t> row_of_;  // by peer; for this rank itself the first row in use
  std::vector<Transport*> driven_;
  Window* home_ = nullptr;  // the window with the status page and the alarm
  std::vector<std::unique_ptr<PeerWindow>> windows_;  // null for this rank itself
  // In the window's memory. However this object ends, a start that fails included, the others are
  // to see that it has left.
  struct Leave {
    void operator()(StatusPage* status_page) const { status_page->set_left(); }
  };
  std::unique_ptr<StatusPage, Leave> status_page_;  // after the windows, so that it ends first
  std::unique_ptr<Control> control_;                // and this before it
};

}  // namespace ringside
