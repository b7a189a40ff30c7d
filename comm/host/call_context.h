// What a rank is doing, for whoever must say so: the call that it is in, and with that every reason
// for which going on with it may make no sense.
//
//     an alarm          another rank's call has failed, or another thread of this one has aborted
//     left              the awaited rank has destroyed its communicator
//     different         the awaited rank is in another call than this one
//     stopped           this process was told to end by a signal
//     dead              some rank's process is gone
//     late              the deadline has passed
//
// Each is one Error with one sentence, which begins with the rank and its call. The waiter asks at
// growing intervals (waiter.h); the executors ask about each message that arrives.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "comm/options.h"
#include "comm/peers/peers.h"
#include "comm/transport/channel.h"
#include "comm/util/function_ref.h"

namespace ringside {

// `where` makes the words of a sentence for the place in the call ("waiting in step 2 of 6 for
// chunk 5 from rank 2"); it is called only when something is wrong.
using Where = FunctionRef<std::string()>;
// Whether what is waited for has come. A message may have come just before its sender went, so it
// is asked once more before anything is thrown.
using Ready = FunctionRef<bool()>;

class CallContext {
 public:
  CallContext(Peers& peers, const Options& options)
      : peers_(peers), interrupted_(options.interrupted) {}

  // A call begins: from now on sentences are about it. Throws if another rank has raised the alarm,
  // or this process was told to stop.
  void enter(const Call& call);

  // "rank 3, in all_reduce #41 (f32 × 1048576, sum)"
  std::string here() const;

  // --- of a message that has arrived ---

  // Looked at first: whether its sender means the same call. Throws Error{mismatch, protocol}.
  void check_flag(const ReceiveEnd& end, int from_rank, std::uint32_t fingerprint,
                  Where where) const;

  // A message of another call was found elsewhere: throws what check_flag would.
  [[noreturn]] void throw_mismatched_message(int from_rank, std::uint32_t theirs,
                                             Where where) const;

  // Where it can be read; null if it is exposed and its owner has not answered yet. If it cannot be
  // had because a rank has died, or has failed and given its memory back, that is what the Error
  // says.
  const std::byte* read(const ReceiveEnd& end, std::size_t bytes, Where where) {
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

  // --- while waiting: each returns if that still makes sense, and throws its sentence if not ---

  void check_alarm();
  // An alarm, and what the awaited rank's status page and this process's signals say.
  void check(int peer, Ready ready, Where where);
  void check_dead(Ready ready, Where where);
  [[noreturn]] void throw_late(double waited_s, double timeout_s, Where where);
  // The warning about a straggler, if this rank is the one to report it.
  std::optional<std::string> warning(double waited_s, Where where) const;

 private:
  const std::byte* read_zero_copy(const ReceiveEnd& end, std::size_t bytes, Where where);
  // Throws if a rank has failed or is dead: for what has gone wrong and may be explained by that. A
  // process that is killed closes its sockets some time before it is known to have ended, so it
  // takes a moment to find out.
  void check_alive(Where where);
  void check_stopped(Where where);
  void check_left(int peer, Ready ready, Where where);
  void check_different(int peer, Ready ready);
  [[noreturn]] void throw_different(int peer, const std::optional<Call>& theirs) const;
  std::string what_differs(int peer, const Call& theirs) const;
  [[noreturn]] void throw_dead(int peer, Where where);

  Peers& peers_;
  const std::atomic<int>* interrupted_;
  Call call_{};
  std::optional<Clock::time_point> stopping_since_;
};

}  // namespace ringside
