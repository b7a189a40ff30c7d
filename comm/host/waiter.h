// How a rank waits for a peer, and what ends the wait when the peer does not come.
//
//     spin      look again and again: the usual wait is shorter than a system call
//     yield     let somebody else run, who may be the one that is waited for
//     nap       sleep for a bounded moment; nobody needs to wake us, so signalling costs no
//               system call
//
// Before each look it drives the transports that move nothing by themselves (transport.h).
//
// From the second stage on the waiter also asks, at growing intervals, whether waiting still makes
// sense (call_context.h). A death is noticed within about 20 ms. After RINGSIDE_WARN seconds a
// warning names the straggler, and the wait goes on.
#pragma once

#include <functional>
#include <string>

#include "comm/host/call_context.h"
#include "comm/options.h"
#include "comm/peers/peers.h"
#include "comm/util/function_ref.h"

namespace ringside {

class Waiter {
 public:
  // Whether waits are noted on the rank's status page. One thread may do that, the one whose calls
  // use the channels; so it is also the one that drives transports.
  enum class Notes { on_status_page, none };
  Waiter(Peers& peers, CallContext& call, const Options& options,
         Notes notes = Notes::on_status_page);

  // Returns once ready() is true. `peer` is the rank that is waited for; `where` makes the words
  // for a sentence ("step 2 of 6, for chunk 5 from rank 2"), and is called only when something is
  // wrong. `position` is for the status page (WaitNote).
  template <class IsReady, class Words>
  void wait(int peer, const IsReady& ready, const Words& where, std::uint64_t position = 0) {
    for (int i = 0; i < spins_; ++i) {
      if (is_ready(ready)) return;
      if (trace_ != nullptr) [[unlikely]]
        return wait_traced(peer, ready, where, position);
      relax();
    }
    wait_patiently(peer, ready, where, position);
  }

  // What this rank is doing.
  CallContext& call() { return call_; }

  // The end of a call: what it has put and signalled must leave this rank before it returns.
  void send_all() {
    if (drives_) [[unlikely]]
      drive_until_sent();
  }

 private:
  static void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // One look.
  template <class IsReady>
  bool is_ready(const IsReady& ready) {
    if (drives_) [[unlikely]]
      peers_.drive();
    return ready();
  }

  void drive_until_sent();
  // The same stages, noted in the trace: for whoever was not ready at once.
  void wait_traced(int peer, Ready ready, Where where, std::uint64_t position);
  void wait_patiently(int peer, Ready ready, Where where, std::uint64_t position);

  Peers& peers_;
  CallContext& call_;
  double timeout_s_;
  double warn_s_;
  std::function<void(const std::string&)> on_warning_;
  Trace* trace_;
  Notes notes_;
  bool drives_;
  int spins_;
};

}  // namespace ringside
