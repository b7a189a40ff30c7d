// The control channel of ranks that share no memory: a connection between each two of them
// (connect.h), and on each rank a service thread, which sleeps until one of them has
// something to say.
//
//      rank 2                                          rank 0
//      a call waits ─▶ copy of rank 0's status page          a call computes, or user code loops
//            │ old? wake                                     │ notes
//            ▼                                               ▼
//      service thread ── question 7 ──────────▶ service thread ─ reads ─▶ status page
//            │   ▲                                           │
//            │   └──────────────── status 7 ─────────────────┘
//            ▼ fills in
//      copy of rank 0's status page
//
// A copy is a Status page like any other, and is read as one; it is written by the service thread
// alone, and status pages are made to be read while they are written. (So a rank holds a whole
// Status page for each peer, of which only the calls reported are ever filled in.)
//
// What comes unasked: a status when a call has failed (then the service thread sets this rank's own
// alarm cell, where its calls look), and a last one, the farewell. A connection that ends without
// one is a death: the kernel closes it at once, whatever kills the process. If even the kernel is
// gone, keepalive notices (link.h).
//
// What it does not see: a process that was forked by a rank, and holds its descriptors, keeps the
// connection open after the rank's death. Such a rank does not answer, and is named as silent at
// the deadline. (Programs that a rank starts by exec hold nothing.)
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "comm/control/control.h"
#include "comm/control/link.h"

namespace ringside {

class SocketControl : public Control {
 public:
  // Called by the service thread when a peer's status page says that it is broken: the first time
  // only, after the copy says so too.
  using OnAlarm = std::function<void(int origin)>;

  // `connections`: by rank, from connect_mesh. `own`: this rank's status page; it outlives this
  // object. Throws Error{system}.
  SocketControl(std::vector<UniqueFd> connections, const StatusPage& own, OnAlarm on_alarm);
  // Says farewell, and waits at most kFarewell for the peers to receive it.
  ~SocketControl() override;

  const StatusPage* status_page_of(int peer) override;
  bool has_died(int peer) override;
  Presence presence(int peer) override;
  void refresh() override;
  void raise_alarm() override;

 private:
  // One peer. What is not said to be somebody's alone is guarded by mutex_.
  struct Peer {
    ControlLink link;                            // the service thread's
    StatusPage copy;                             // written by the service thread, read by all
    std::optional<std::int64_t> clock_ahead_ms;  // the service thread's
    bool open = false;
    bool died = false;
    bool wanted = false;  // a question is to be asked
    std::uint64_t asked = 0, answered = 0;
    std::int64_t asked_ms = 0;
  };

  Peer& at(int peer) { return *peers_[static_cast<std::size_t>(peer)]; }
  bool want(Peer& peer);
  void wake();

  // --- the service thread ---
  void serve();
  void look_around(int timeout_ms);
  void receive_from(int rank, Peer& peer);
  bool take(int rank, Peer& peer);
  void hang_up(Peer& peer, bool died);
  void ask_what_is_wanted();
  void report_to_all(bool farewell);
  void part();

  const StatusPage& own_;
  const OnAlarm on_alarm_;
  std::vector<std::unique_ptr<Peer>> peers_;  // by rank; this rank's own has no connection
  UniqueFd wake_;                             // an eventfd
  bool alarmed_ = false;                      // the service thread's

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  bool alarm_wanted_ = false, alarm_sent_ = false;
  std::thread thread_;  // last: it uses all of the above
};

// How old a copy may be before a rank that waits has a newer one asked for.
inline constexpr std::chrono::milliseconds kCopyLasts{30};
inline constexpr std::chrono::milliseconds kFarewell{100};

}  // namespace ringside
