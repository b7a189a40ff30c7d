// What a communicator is made of: lets plans be carried out, here, on its engine or on a device,
// and notes how they end. comm/communicator.cc gives it the public face.
#pragma once

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "comm/algorithms/ring.h"
#include "comm/communicator.h"
#include "comm/device/calls.h"
#include "comm/device/device.h"
#include "comm/diagnostics/flight_record.h"
#include "comm/diagnostics/flight_signal.h"
#include "comm/diagnostics/trace.h"
#include "comm/host/executor.h"
#include "comm/host/plan.h"
#include "comm/host/send_recv.h"
#include "comm/host/waiter.h"
#include "comm/host/work_queue.h"
#include "comm/peers/peers.h"
#include "comm/transport/shm/allocations.h"

namespace ringside {

struct Communicator::Impl {
  Impl(Bootstrap& bootstrap, const Options& chosen)
      : options(chosen),
        peers(bootstrap, options, options.device || has_current_device()),
        ring{peers.rank(), peers.size()},
        planner{peers.rank(),
                peers.size(),
                options.slot_bytes,
                peers.pair_slot_bytes(),
                options.algorithm,
                options.stream_from_bytes,
                peers.may_expose() ? options.zero_copy_from_bytes : SIZE_MAX,
                options.group_ranks},
        waiter(peers, options),
        scratch(options.slot_bytes) {
    if (peers.size() > 1) {
      edges.right.emplace(peers.ring_send_end());
      edges.left.emplace(peers.ring_receive_end());
    }
    edges.right_rank = peers.right();
    edges.left_rank = peers.left();
    open_pairs(Use::mesh, edges);
    open_pairs(Use::messages, message_edges);
    device = DeviceCalls::open(bootstrap, peers, options);
    if (!options.flight_folder.empty()) on_signal.emplace(peers, options.flight_folder);
  }

  // Calls under way end first: they use what is below.
  ~Impl() {
    work_queue.reset();
    if (device) device->drain();
  }

  void open_pairs(Use use, Edges& into) {
    for (int peer = 0; peer < peers.size(); ++peer) {
      const bool self = peer == peers.rank();
      into.to.push_back(self ? std::nullopt : std::optional(peers.pair_send_end(use, peer)));
      into.from.push_back(self ? std::nullopt : std::optional(peers.pair_receive_end(use, peer)));
    }
  }

  // --- now, or later --- With nothing under way a blocking call runs on the caller's thread:
  // handing it over and waking up again costs more than a small collective. Otherwise it takes its
  // turn.
  template <class Job>
  void now(Job&& job) {
    if (!work_queue || work_queue->idle())
      carry_out(job);
    else
      later(std::forward<Job>(job)).wait();
  }

  template <class Job>
  Work later(Job job) {
    if (!work_queue) work_queue = std::make_unique<WorkQueue>();
    return work_queue->submit([this, job]() { carry_out(job); });
  }

  // --- the frame around every call: refused if the world is broken, told to all if it fails ---
  template <class Job>
  void carry_out(const Job& job) {
    if (const std::optional<Error> earlier = first_cause())
      throw Error(earlier->fault(),
                  text("the communicator is broken since an earlier call: %s", earlier->what()));
    try {
      run(job);
    } catch (const Error& error) {
      fail(error);
      if (device) device->wait_for_end();
      throw;
    } catch (const std::exception& error) {
      // Out of memory, say. Half a conversation has taken place, so this is everybody's end too.
      const Error sentence(Fault::system, text("%s: %s", waiter.here().c_str(), error.what()));
      fail(sentence);
      if (device) device->wait_for_end();
      throw sentence;
    }
  }

  // send and recv are calls of two ranks, so only collectives are counted and chained alike on all.
  Call enter(Plan& plan) {
    if (options.on_call) options.on_call(number + 1, plan.call.what);
    chain = chained(chain, fingerprint(plan.call.what));
    plan.call.fingerprint = chain;
    const Call entry{++number, ++collectives, plan.call.what, chain, coarse_now_ms()};
    waiter.enter(entry);  // first: a rank that comes when all is over has not entered the call
    peers.status_page().note(entry);
    return entry;
  }

  void run(Plan plan) {
    if (device) [[unlikely]]
      return run_beside_device(plan);
    enter(plan);
    on_host(plan);
  }

  void run_beside_device(Plan& plan) {
    const bool takes = device->takes(plan);
    std::optional<Staging> staging;
    if (!takes) staging = device->stage(plan.call);
    enter(plan);
    if (!takes) {
      on_host(plan);
      if (staging) staging->write_back();
      return;
    }
    device->carry_out(plan, waiter);
    peers.status_page().note_finished(number);
  }

  // A call on the caller's stream: ordered here and now, and then watched.
  Work enqueue(Plan plan, void* stream) {
    if (work_queue && !work_queue->idle())
      work_queue->submit([] {}).wait();  // it counts calls, too
    if (device && stream != nullptr) device->check_stream(stream);
    Work work;
    carry_out([&](Impl& self) { work = self.order(plan, stream); });
    return work;
  }

  Work order(Plan& plan, void* stream) {
    if (device && stream != nullptr && device->takes(plan)) {
      const Call entry = enter(plan);
      peers.status_page().note_finished(number);  // as far as this thread is concerned
      return device->enqueue(plan, entry, stream, [this](const Error& error) { fail(error); });
    }
    if (device && stream != nullptr) device->finish(stream, waiter);
    run(plan);
    return {};
  }

  void run(const std::function<void(Impl&)>& job) { job(*this); }

  void on_host(Plan& plan) {
    if (plan.call.may_expose()) find_exposable(plan.call);
    HostExecutor executor(plan.call, edges, peers, waiter, scratch);
    if (options.trace == nullptr) [[likely]] {
      plan.algorithm.on_host(executor, ring, plan.call.what);
      executor.wait_reads();
    } else {
      trace(executor, plan);
    }
    peers.status_page().note_finished(number);
  }

  void trace(HostExecutor& executor, const Plan& plan) {
    TraceScope span(*options.trace, TracedCall{number, plan.call.what, plan.algorithm.name});
    TracedExecutor traced(executor, plan.call, ring, *options.trace);
    plan.algorithm.on_trace(traced, ring, plan.call.what);
    executor.wait_reads();
    span.done();
  }

  void run(const Message& message) { run(std::span(&message, 1)); }
  void run(std::span<const Message> messages) {
    std::vector<Message> elsewhere;
    std::optional<Staging> staging;
    if (device) [[unlikely]] {
      elsewhere.assign(messages.begin(), messages.end());
      staging = device->stage(elsewhere);
      messages = elsewhere;
    }
    exchange(messages);
    if (staging) staging->write_back();
  }

  void exchange(std::span<const Message> messages) {
    waiter.check_alarm();  // for an empty batch too
    if (options.on_messages) options.on_messages(number + 1, messages.size());
    MessageBatch batch(messages, number + 1, message_edges, peers, waiter, planner, transfers);
    number += messages.size();
    if (options.trace == nullptr || messages.empty())
      batch.run();
    else
      trace(batch, messages);
  }

  void trace(MessageBatch& batch, std::span<const Message> messages) {
    Trace& into = *options.trace;
    TracedBatch what{.first_number = number - messages.size() + 1, .peer = messages[0].peer};
    for (const Message& it : messages) {
      ++(it.is_send ? what.sends : what.receives);
      (it.is_send ? what.sent_bytes : what.received_bytes) += it.count * bytes_of(it.dtype);
    }
    TraceScope span(into, what);
    for (const Message& it : messages)
      if (it.is_send) note_message(into, it);
    batch.run();
    for (const Message& it : messages)
      if (!it.is_send) note_message(into, it);
    span.done();
  }

  // Messages of one direction between two ranks stay in order, whatever the batch is made of.
  void note_message(Trace& into, const Message& it) const {
    const int own = peers.rank();
    const MessageId id = it.is_send ? message_id(Connection::messages, own, it.peer,
                                                 into.next_sent(Connection::messages, it.peer))
                                    : message_id(Connection::messages, it.peer, own,
                                                 into.next_received(Connection::messages, it.peer));
    const std::int64_t now_ns = Trace::now_ns();
    into.note({now_ns, now_ns, TracedMessage{it.is_send, id}, false});
  }

  // Two threads may come here at once: one whose call fails, and one that aborts. The first one's
  // cause is the cause.
  void fail(const Error& error) {
    const std::lock_guard lock(cause_mutex);
    if (cause) return;
    cause.emplace(error);
    peers.break_world(error);
    broken.store(true, std::memory_order_release);
    if (device) device->break_off();
    if (options.flight_folder.empty()) return;
    const std::string problem = ringside::write_flight(peers, options.flight_folder, "error");
    if (!problem.empty()) std::fprintf(stderr, "ringside: %s\n", problem.c_str());
  }

  std::optional<Error> first_cause() const {
    if (!broken.load(std::memory_order_acquire)) return std::nullopt;
    const std::lock_guard lock(cause_mutex);
    return cause;
  }

  const Message& checked(const Message& it) const {
    check_buffer(planner, Kind::send_recv, it.buffer(), it.count, it.dtype);
    check_peer(planner, Kind::send_recv, "rank", it.peer);
    if (it.peer == peers.rank())
      refuse(planner, Kind::send_recv,
             it.is_send ? "a rank cannot send to itself" : "a rank cannot receive from itself");
    return it;
  }
  const std::vector<Message>& checked(const std::vector<Message>& messages) const {
    for (const Message& it : messages) checked(it);
    return messages;
  }

  Options options;
  Peers peers;
  Ring ring;
  Planner planner;
  Waiter waiter;
  Scratch scratch;
  Edges edges;                      // for collectives
  Edges message_edges;              // for send and recv
  std::vector<Transfer> transfers;  // of the batch that is under way
  std::uint64_t number = 0;         // of calls
  std::uint32_t collectives = 0;    // among them
  std::uint32_t chain = 0;          // of their fingerprints
  std::atomic<bool> broken{false};
  mutable std::mutex cause_mutex;  // the engine fails, the caller asks
  std::optional<Error> cause;
  std::optional<FlightOnSignal> on_signal;
  std::unique_ptr<DeviceCalls> device;    // null where some rank has none
  std::unique_ptr<WorkQueue> work_queue;  // last, so that it ends first
};

}  // namespace ringside
