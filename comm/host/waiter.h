// How a rank waits for a peer, and what ends the wait when the peer does not come.
//
//     spin      look again and again: the usual wait is shorter than a system call
//     yield     let somebody else run, who may be the one that is waited for
//     nap       sleep for a bounded moment; nobody needs to wake us, so signalling costs no
//               system call
//
// Before each look it drives the transports that move nothing by themselves (transport.h).
//
// From the second stage on the waiter also asks, at growing intervals, whether waiting makes sense:
// has an alarm been raised, was this process told to stop, has the awaited rank left, is a process
// dead, has the deadline passed? Each is one Error with one sentence. A death is noticed within
// about 20 ms. After RINGSIDE_WARN seconds a warning says who is late, and the wait goes on.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "comm/options.h"
#include "comm/peers/peers.h"
#include "comm/transport/channel.h"
#include "comm/util/function_ref.h"

namespace ringside {

class Waiter {
 public:
  // Whether waits are noted on the rank's status page. One thread may do that, the one whose calls
  // use the channels; so it is also the one that drives transports.
  enum class Notes { on_status_page, none };
  Waiter(Peers& peers, const Options& options, Notes notes = Notes::on_status_page);

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

  // A call begins: from now on sentences speak of it. Throws if another rank has raised the alarm,
  // or this process was told to stop.
  void enter(const Call& call);

  // Throws if another rank has raised the alarm, or another thread of this one has aborted.
  void check_alarm();

  // Where an arrived message can be read; null if it is exposed and its owner has not answered yet.
  // If it cannot be had because a rank has died, or has failed and given its memory back, that is
  // what the Error says.
  const std::byte* read(const ReceiveEnd& end, std::size_t bytes,
                        FunctionRef<std::string()> where) {
    if (!end.is_zero_copy()) [[likely]]
      return end.message(bytes);
    return read_zero_copy(end, bytes, where);
  }

  // What read() gave is not needed any more. A rank that has failed lets its caller write to what
  // it has exposed, but raises the alarm before. So while there was no alarm, what has been read
  // was what was meant; and nothing that was made of it may go on before that is known.
  void done_reading(ReceiveEnd& end) {
    if (end.is_zero_copy()) {
      read_before_what_follows();
      check_alarm();
    }
    end.release();
  }

  // The end of a call: what it has put and signalled must leave this rank before it returns.
  void send_all() {
    if (drives_) [[unlikely]]
      drive_until_sent();
  }

  // "rank 3, in all_reduce #41 (f32 × 1048576, sum)"
  std::string here() const;

  // The first thing that is looked at in a message that `end` has received: whether its sender
  // means the same call. Throws Error{mismatch, protocol} if not.
  void check_flag(const ReceiveEnd& end, int from_rank, std::uint32_t fingerprint,
                  FunctionRef<std::string()> where) const;

  // A message of another call was found elsewhere: throws what check_flag would.
  [[noreturn]] void throw_mismatched_message(int from_rank, std::uint32_t theirs,
                                             FunctionRef<std::string()> where) const;

 private:
  using Ready = FunctionRef<bool()>;
  using Where = FunctionRef<std::string()>;

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
  const std::byte* read_zero_copy(const ReceiveEnd& end, std::size_t bytes, Where where);
  // Throws if a rank has failed or is dead: for what has gone wrong and may be explained by that. A
  // process that is killed closes its sockets some time before it is known to have ended, so it
  // takes a moment to find out.
  void check_alive(Where where);
  void wait_patiently(int peer, Ready ready, Where where, std::uint64_t position);
  // Each returns if waiting still makes sense, and throws its sentence if not. A message may have
  // come just before its sender went, so ready() is asked once more before anything is thrown.
  void check_stopped(Where where);
  void check_left(int peer, Ready ready, Where where);
  void check_different(int peer, Ready ready);
  [[noreturn]] void throw_different(int peer, const std::optional<Call>& theirs) const;
  void check_dead(Ready ready, Where where);
  std::string what_differs(int peer, const Call& theirs) const;
  [[noreturn]] void throw_dead(int peer, Where where);
  [[noreturn]] void throw_late(double waited_s, Where where);
  void warn(double waited_s, Where where) const;

  Peers& peers_;
  double timeout_s_;
  double warn_s_;
  std::function<void(const std::string&)> on_warning_;
  const std::atomic<int>* interrupted_;
  Trace* trace_;
  Notes notes_;
  bool drives_;
  int spins_;
  Call call_{};
  std::optional<Clock::time_point> told_to_stop_;
};

}  // namespace ringside
