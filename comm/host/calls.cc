// Choosing, running, tracing; and opening the channels for it.
#include "comm/host/calls.h"

#include <utility>

#include "comm/algorithms/run.h"
#include "comm/diagnostics/trace.h"
#include "comm/host/traced_executor.h"
#include "comm/transport/shm/allocations.h"

namespace ringside {

HostCalls::HostCalls(Peers& peers, const Options& options, Waiter& waiter)
    : peers_(peers),
      options_(options),
      waiter_(waiter),
      settings_(settings_from({peers.rank(), peers.size()}, options, peers.pair_slot_bytes(),
                              peers.may_expose() ? options.zero_copy_from_bytes : SIZE_MAX)),
      scratch_(options.slot_bytes) {
  if (peers.size() > 1) {
    edges_.right.emplace(peers.ring_send_end());
    edges_.left.emplace(peers.ring_receive_end());
  }
  edges_.right_rank = peers.right();
  edges_.left_rank = peers.left();
  open_pairs(Use::mesh, edges_);
  open_pairs(Use::messages, message_edges_);
}

void HostCalls::open_pairs(Use use, Edges& into) {
  for (int peer = 0; peer < peers_.size(); ++peer) {
    const bool self = peer == peers_.rank();
    into.to.push_back(self ? std::nullopt : std::optional(peers_.pair_send_end(use, peer)));
    into.from.push_back(self ? std::nullopt : std::optional(peers_.pair_receive_end(use, peer)));
  }
}

void HostCalls::carry_out(const Plan& plan, const Call& entry) {
  const HostChoice choice = choose(settings_, plan);
  HostCall call{choice, plan, entry.fingerprint};
  if (call.may_expose()) find_exposable(call);
  HostExecutor executor(call, edges_, peers_, waiter_, scratch_);
  if (options_.trace == nullptr) [[likely]] {
    run_algorithm(call.plan.what.kind, call.algorithm, executor, settings_.self,
                  call.plan.what.root);
    executor.wait_reads();
  } else {
    trace(executor, call, entry.number);
  }
  peers_.status_page().note_finished(entry.number);
}

void HostCalls::trace(HostExecutor& executor, const HostCall& call, std::uint64_t number) {
  TraceScope span(*options_.trace, TracedCall{number, call.plan.what, name_of(call.algorithm)});
  TracedExecutor traced(executor, call, settings_.self, *options_.trace);
  run_algorithm(call.plan.what.kind, call.algorithm, traced, settings_.self, call.plan.what.root);
  executor.wait_reads();
  span.done();
}

void HostCalls::exchange(std::span<const Message> messages, std::uint64_t first_number) {
  MessageBatch batch(messages, first_number, message_edges_, peers_, waiter_, settings_,
                     transfers_);
  if (options_.trace == nullptr || messages.empty())
    batch.run();
  else
    trace(batch, messages, first_number);
}

void HostCalls::trace(MessageBatch& batch, std::span<const Message> messages,
                      std::uint64_t first_number) {
  TracedBatch what{.first_number = first_number, .peer = messages[0].peer};
  for (const Message& it : messages) {
    ++(it.is_send ? what.sends : what.receives);
    (it.is_send ? what.sent_bytes : what.received_bytes) += it.count * bytes_of(it.dtype);
  }
  TraceScope span(*options_.trace, what);
  for (const Message& it : messages)
    if (it.is_send) note_message(it);
  batch.run();
  for (const Message& it : messages)
    if (!it.is_send) note_message(it);
  span.done();
}

// Messages of one direction between two ranks stay in order, whatever the batch is made of.
void HostCalls::note_message(const Message& it) const {
  Trace& trace = *options_.trace;
  const Connection messages = Connection::messages;
  const int own = peers_.rank();
  const MessageId id =
      it.is_send ? message_id(messages, own, it.peer, trace.next_sent(messages, it.peer))
                 : message_id(messages, it.peer, own, trace.next_received(messages, it.peer));
  const std::int64_t now_ns = Trace::now_ns();
  trace.note({now_ns, now_ns, TracedMessage{it.is_send, id}, false});
}

}  // namespace ringside
