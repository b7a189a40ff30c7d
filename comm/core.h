// What a communicator is made of: it counts calls, lets them be carried out on the host or on a
// device, now or by the work queue, and notes how they end.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "comm/device/calls.h"
#include "comm/device/device.h"
#include "comm/diagnostics/flight_record.h"
#include "comm/diagnostics/flight_signal.h"
#include "comm/host/calls.h"
#include "comm/host/plan.h"
#include "comm/host/send_recv.h"
#include "comm/host/waiter.h"
#include "comm/host/work_queue.h"
#include "comm/peers/peers.h"
#include "comm/util/float_mode.h"
#include "comm/util/process.h"

namespace ringside {

struct CommunicatorCore {
  CommunicatorCore(Bootstrap& bootstrap, const Options& chosen,
                   std::optional<Peers::Group> group = {})
      : options(chosen),
        peers(group ? Peers(bootstrap, options, *std::move(group))
                    : Peers(bootstrap, options, options.device || has_current_device())),
        self{peers.rank(), peers.size()},
        context(peers, options),
        waiter(peers, context, options),
        host(peers, options, waiter),
        device(DeviceCalls::open(bootstrap, peers, options)) {
    if (!options.flight_folder.empty()) on_signal.emplace(peers, options.flight_folder);
  }

  // Calls under way end first: they use what is below.
  ~CommunicatorCore() {
    work_queue.reset();
    if (device) device->drain();
  }

  // A forked child has the parent's sockets and shared memory, and none of its threads.
  void check_process() const { maker.check("the communicator"); }

  // With nothing under way a blocking call runs on the caller's thread: handing it over and waking
  // up again costs more than a small collective. Otherwise it takes its turn.
  template <class Job>
  void now(Job&& job) {
    check_process();
    if (!work_queue || work_queue->idle())
      carry_out(job);
    else
      later(std::forward<Job>(job)).wait();
  }

  template <class Job>
  Work later(Job job) {
    check_process();
    if (!work_queue) work_queue = std::make_unique<WorkQueue>();
    return work_queue->submit([this, job]() { carry_out(job); });
  }

  // The frame around every call: refused if the communicator is broken; if it fails, all ranks hear
  // of it.
  template <class Job>
  void carry_out(const Job& job) {
    if (const std::optional<Error> earlier = first_cause())
      throw_error(earlier->fault(), "the communicator is broken since an earlier call: %s",
                  earlier->what());
    const FloatMode own_mode;
    try {
      run(job);
    } catch (const Error& error) {
      fail(error);
      if (device) device->wait_for_end();
      throw;
    } catch (const std::exception& error) {
      // Out of memory, say. Half a conversation has taken place, so this is everybody's end too.
      const Error sentence(Fault::system, text("%s: %s", context.here().c_str(), error.what()));
      fail(sentence);
      if (device) device->wait_for_end();
      throw sentence;
    } catch (...) {
      fail(Error(Fault::aborted, text("%s: its thread was ended in the middle of the call "
                                      "(pthread_cancel, or a hook threw what is no std::exception)",
                                      context.here().c_str())));
      if (device) device->wait_for_end();
      throw;
    }
  }

  // send and recv are calls of two ranks, so only collectives are counted and chained alike on all.
  Call enter(const Plan& plan) {
    Call entry{++number, ++collectives, plan.what, 0, coarse_now_ms()};
    if (options.on_call) options.on_call(number, entry.what);  // what is said, not what is done
    entry.fingerprint = chain = chained(chain, fingerprint(entry.what));
    context.enter(entry);  // first: a rank that comes when all is over has not entered the call
    peers.status_page().note(entry);
    return entry;
  }

  void run(const Plan& plan) {
    if (device) [[unlikely]]
      return run_beside_device(plan);
    const Call entry = enter(plan);
    host.carry_out(plan, entry);
  }

  void run_beside_device(Plan plan) {
    const std::optional<DeviceChoice> choice = device->takes(plan);
    std::optional<Staging> staging;
    if (!choice) staging = device->stage(plan);
    const Call entry = enter(plan);
    if (!choice) {
      host.carry_out(plan, entry);
      if (staging) staging->write_back();
      return;
    }
    device->carry_out(plan, *choice, entry.fingerprint, waiter);
    peers.status_page().note_finished(number);
  }

  // A call on the caller's stream: enqueued here and now, and then watched.
  Work enqueue(const Plan& plan, void* stream) {
    check_process();
    if (work_queue && !work_queue->idle())
      work_queue->submit([] {}).wait();  // it counts calls, too
    if (device && stream != nullptr) device->check_stream(stream);
    Work work;
    carry_out([&](CommunicatorCore& it) { work = it.enqueue_or_run(plan, stream); });
    return work;
  }

  Work enqueue_or_run(Plan plan, void* stream) {
    if (device && stream != nullptr) {
      if (const std::optional<DeviceChoice> choice = device->takes(plan)) {
        const Call entry = enter(plan);
        peers.status_page().note_finished(number);  // as far as this thread is concerned
        return device->enqueue(plan, *choice, entry, stream,
                               [this](const Error& error) { fail(error); });
      }
      device->finish(stream, waiter);
    }
    run(std::move(plan));
    return {};
  }

  void run(const std::function<void(CommunicatorCore&)>& job) { job(*this); }

  void run(const Message& message) { run(std::span(&message, 1)); }
  void run(std::span<const Message> messages) {
    std::vector<Message> elsewhere;
    std::optional<Staging> staging;
    if (device) [[unlikely]] {
      elsewhere.assign(messages.begin(), messages.end());
      staging = device->stage(elsewhere);
      messages = elsewhere;
    }
    context.check_alarm();  // for an empty batch too
    if (options.on_messages) options.on_messages(number + 1, messages.size());
    const std::uint64_t first_number = number + 1;
    number += messages.size();
    host.exchange(messages, first_number);
    if (staging) staging->write_back();
  }

  Plan plan(Operation what, const void* send, void* recv, const RankCounts& counts = {}) const {
    if (what.kind == Kind::all_reduce) what.root = host.settings().group_ranks;
    return make_plan(self, what, send, recv, counts);
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

  const Maker maker{};
  Options options;
  Peers peers;
  Ring self;
  CallContext context;
  Waiter waiter;
  HostCalls host;
  std::uint64_t number = 0;       // of calls
  std::uint32_t collectives = 0;  // among them
  std::uint32_t chain = 0;        // of their fingerprints
  std::atomic<bool> broken{false};
  mutable std::mutex cause_mutex;  // the work queue fails, the caller asks
  std::optional<Error> cause;
  std::optional<FlightOnSignal> on_signal;
  std::unique_ptr<DeviceCalls> device;    // null where some rank has none
  std::unique_ptr<WorkQueue> work_queue;  // last, so that it ends first
};

}  // namespace ringside
