// Calls that the host carries out: collectives and batches of messages, on the thread that asks,
// and noted in the trace where there is one. It stands between the communicator, which counts calls
// and breaks, and the executors; device/calls.h is its like for GPUs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/host/choice.h"
#include "comm/host/executor.h"
#include "comm/host/plan.h"
#include "comm/host/send_recv.h"
#include "comm/host/waiter.h"
#include "comm/message.h"
#include "comm/options.h"
#include "comm/peers/peers.h"

namespace ringside {

class HostCalls {
 public:
  // All three must live longer.
  HostCalls(Peers& peers, const Options& options, Waiter& waiter);

  const HostSettings& settings() const { return settings_; }

  // Each returns when the call has ended, and throws what goes wrong. A collective has been entered
  // already, as the call `entry`; a batch's messages are the calls from `first_number` on.
  void carry_out(const Plan& plan, const Call& entry);
  void exchange(std::span<const Message> messages, std::uint64_t first_number);

 private:
  void open_pairs(Use use, Edges& into);
  void trace(HostExecutor& executor, const HostCall& call, std::uint64_t number);
  void trace(MessageBatch& batch, std::span<const Message> messages, std::uint64_t first_number);
  void note_message(const Message& it) const;

  Peers& peers_;
  const Options& options_;
  Waiter& waiter_;
  HostSettings settings_;
  Scratch scratch_;
  Edges edges_;                      // for collectives
  Edges message_edges_;              // for send and recv
  std::vector<Transfer> transfers_;  // of the batch that is under way
};

}  // namespace ringside
