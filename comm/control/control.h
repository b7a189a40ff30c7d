// The control channel: how a rank learns about its peers when something is wrong, and they about
// it. No message of a collective goes this way; it is beside the data, and silent while all is
// well.
//
//     what                      shared (one host)               socket (anywhere)
//     a peer's status page      read where it is, through the   a copy: asked for, answered by the
//                               window that is mapped here      peer's service thread
//     its process has died      a pidfd of it becomes readable  its connection ends without a
//                                                               farewell
//     it is stopped             /proc says so                   it does not answer
//     it has left               its status page says so         its farewell
//     a call here has failed    the peers' alarm cells are set  the status page is sent to all; a
//                                                               peer's service thread sets its cell
//
// A call looks at one alarm cell, in its own window, whichever of the two is in use: the hot path
// does not know of this file. Which one it is, all ranks decide alike (agreed_control in
// peers/routes.h): shared where all memory is mapped, else socket.
//
// A farewell may be heard of before the last of the data has come: promise 7 of transport.h.
#pragma once

#include <chrono>

#include "comm/control/status.h"

namespace ringside {

// What a rank's process seems to do: it runs (whatever it runs), it is stopped by a signal or a
// debugger, or it has been asked and does not answer.
enum class Presence { runs, stopped, silent };

// How long Control::refresh() waits for answers.
inline constexpr std::chrono::milliseconds kAnswersWithin{200};

// May be used by several threads of the rank at a time. No function throws or blocks for longer
// than it says. `peer` is never this rank itself.
class Control {
 public:
  virtual ~Control() = default;
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // What the peer has written down: its status page itself, or the newest copy of it, for which a
  // newer one is then asked if it is old (the answer is not waited for). Null where it cannot be
  // seen.
  virtual const StatusPage* status_page_of(int peer) = 0;

  // Whether its process is gone (or cannot be reached any more), and it had not left in order.
  virtual bool has_died(int peer) = 0;

  // After refresh().
  virtual Presence presence(int peer) = 0;

  // Makes all status pages as new as they can be had. Waits for up to kAnswersWithin.
  virtual void refresh() = 0;

  // This rank's status page says that it is broken, and why: makes all peers see it. On return it
  // is on its way; waits for up to kAnswersWithin.
  virtual void raise_alarm() = 0;

  // Whether an alarm is in the peers' cells when raise_alarm() returns. Only then may ranks expose
  // memory (host/executor.cc): a call that has failed lets its caller write to what others still
  // read. A rank may also know of another's alarm before its peers do, and then passes it on.
  virtual bool alarms_at_once() const { return false; }
  virtual void pass_on_alarm(int /*origin*/) {}

 protected:
  Control() = default;
};

}  // namespace ringside
