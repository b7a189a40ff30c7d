// What a communicator is made of: it counts calls, lets them be carried out on the host or on a
// device, now or by the work queue, and notes how they end. Below it the public face: arguments
// become plans.
#include "comm/communicator.h"

#include <atomic>
#include <cstdio>
#include <functional>
#include <mutex>
#include <utility>

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

namespace ringside {

struct Communicator::Impl {
  Impl(Bootstrap& bootstrap, const Options& chosen)
      : options(chosen),
        peers(bootstrap, options, options.device || has_current_device()),
        self{peers.rank(), peers.size()},
        context(peers, options),
        waiter(peers, context, options),
        host(peers, options, waiter),
        device(DeviceCalls::open(bootstrap, peers, options)) {
    if (!options.flight_folder.empty()) on_signal.emplace(peers, options.flight_folder);
  }

  // Calls under way end first: they use what is below.
  ~Impl() {
    work_queue.reset();
    if (device) device->drain();
  }

  // With nothing under way a blocking call runs on the caller's thread: handing it over and waking
  // up again costs more than a small collective. Otherwise it takes its turn.
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

  // The frame around every call: refused if the communicator is broken; if it fails, all ranks hear
  // of it.
  template <class Job>
  void carry_out(const Job& job) {
    if (const std::optional<Error> earlier = first_cause())
      throw_error(earlier->fault(), "the communicator is broken since an earlier call: %s",
                  earlier->what());
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
    if (work_queue && !work_queue->idle())
      work_queue->submit([] {}).wait();  // it counts calls, too
    if (device && stream != nullptr) device->check_stream(stream);
    Work work;
    carry_out([&](Impl& it) { work = it.enqueue_or_run(plan, stream); });
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

  void run(const std::function<void(Impl&)>& job) { job(*this); }

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

// --- the public face ---

Communicator::Communicator(Bootstrap& bootstrap, const Options& options) {
  impl_ = std::make_unique<Impl>(bootstrap, options);
}
Communicator::~Communicator() = default;
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;

int Communicator::rank() const { return impl_->peers.rank(); }
int Communicator::size() const { return impl_->peers.size(); }
const Options& Communicator::options() const { return impl_->options; }

void Communicator::all_reduce(const void* send, void* recv, std::size_t count, DType dtype,
                              Reduction reduction) {
  impl_->now(impl_->plan({Kind::all_reduce, dtype, reduction, 0, count}, send, recv));
}
Work Communicator::all_reduce_async(const void* send, void* recv, std::size_t count, DType dtype,
                                    Reduction reduction) {
  return impl_->later(impl_->plan({Kind::all_reduce, dtype, reduction, 0, count}, send, recv));
}

void Communicator::reduce_scatter(const void* send, void* recv, std::size_t recv_count, DType dtype,
                                  Reduction reduction) {
  impl_->now(impl_->plan({Kind::reduce_scatter, dtype, reduction, 0, recv_count}, send, recv));
}
Work Communicator::reduce_scatter_async(const void* send, void* recv, std::size_t recv_count,
                                        DType dtype, Reduction reduction) {
  return impl_->later(
      impl_->plan({Kind::reduce_scatter, dtype, reduction, 0, recv_count}, send, recv));
}

void Communicator::all_gather(const void* send, void* recv, std::size_t send_count, DType dtype) {
  impl_->now(impl_->plan({Kind::all_gather, dtype, Reduction::sum, 0, send_count}, send, recv));
}
Work Communicator::all_gather_async(const void* send, void* recv, std::size_t send_count,
                                    DType dtype) {
  return impl_->later(
      impl_->plan({Kind::all_gather, dtype, Reduction::sum, 0, send_count}, send, recv));
}

void Communicator::reduce_scatter_v(const void* send, void* recv,
                                    std::span<const std::size_t> counts, DType dtype,
                                    Reduction reduction) {
  impl_->now(impl_->plan({Kind::reduce_scatter_v, dtype, reduction}, send, recv, counts));
}
Work Communicator::reduce_scatter_v_async(const void* send, void* recv,
                                          std::span<const std::size_t> counts, DType dtype,
                                          Reduction reduction) {
  return impl_->later(impl_->plan({Kind::reduce_scatter_v, dtype, reduction}, send, recv, counts));
}

void Communicator::all_gather_v(const void* send, void* recv, std::span<const std::size_t> counts,
                                DType dtype) {
  impl_->now(impl_->plan({Kind::all_gather_v, dtype}, send, recv, counts));
}
Work Communicator::all_gather_v_async(const void* send, void* recv,
                                      std::span<const std::size_t> counts, DType dtype) {
  return impl_->later(impl_->plan({Kind::all_gather_v, dtype}, send, recv, counts));
}

void Communicator::broadcast(void* buffer, std::size_t count, DType dtype, int root) {
  impl_->now(impl_->plan({Kind::broadcast, dtype, Reduction::sum, root, count}, buffer, buffer));
}
Work Communicator::broadcast_async(void* buffer, std::size_t count, DType dtype, int root) {
  return impl_->later(
      impl_->plan({Kind::broadcast, dtype, Reduction::sum, root, count}, buffer, buffer));
}

void Communicator::reduce(const void* send, void* recv, std::size_t count, DType dtype,
                          Reduction reduction, int root) {
  impl_->now(impl_->plan({Kind::reduce, dtype, reduction, root, count}, send, recv));
}
Work Communicator::reduce_async(const void* send, void* recv, std::size_t count, DType dtype,
                                Reduction reduction, int root) {
  return impl_->later(impl_->plan({Kind::reduce, dtype, reduction, root, count}, send, recv));
}

void Communicator::gather(const void* send, void* recv, std::size_t send_count, DType dtype,
                          int root) {
  impl_->now(impl_->plan({Kind::gather, dtype, Reduction::sum, root, send_count}, send, recv));
}
Work Communicator::gather_async(const void* send, void* recv, std::size_t send_count, DType dtype,
                                int root) {
  return impl_->later(
      impl_->plan({Kind::gather, dtype, Reduction::sum, root, send_count}, send, recv));
}

void Communicator::scatter(const void* send, void* recv, std::size_t recv_count, DType dtype,
                           int root) {
  impl_->now(impl_->plan({Kind::scatter, dtype, Reduction::sum, root, recv_count}, send, recv));
}
Work Communicator::scatter_async(const void* send, void* recv, std::size_t recv_count, DType dtype,
                                 int root) {
  return impl_->later(
      impl_->plan({Kind::scatter, dtype, Reduction::sum, root, recv_count}, send, recv));
}

void Communicator::all_to_all(const void* send, void* recv, std::size_t count, DType dtype) {
  impl_->now(impl_->plan({Kind::all_to_all, dtype, Reduction::sum, 0, count}, send, recv));
}
Work Communicator::all_to_all_async(const void* send, void* recv, std::size_t count, DType dtype) {
  return impl_->later(impl_->plan({Kind::all_to_all, dtype, Reduction::sum, 0, count}, send, recv));
}

Work Communicator::all_reduce_on(void* stream, const void* send, void* recv, std::size_t count,
                                 DType dtype, Reduction reduction) {
  return impl_->enqueue(impl_->plan({Kind::all_reduce, dtype, reduction, 0, count}, send, recv),
                        stream);
}
Work Communicator::reduce_scatter_on(void* stream, const void* send, void* recv,
                                     std::size_t recv_count, DType dtype, Reduction reduction) {
  return impl_->enqueue(
      impl_->plan({Kind::reduce_scatter, dtype, reduction, 0, recv_count}, send, recv), stream);
}
Work Communicator::all_gather_on(void* stream, const void* send, void* recv, std::size_t send_count,
                                 DType dtype) {
  return impl_->enqueue(
      impl_->plan({Kind::all_gather, dtype, Reduction::sum, 0, send_count}, send, recv), stream);
}
Work Communicator::broadcast_on(void* stream, void* buffer, std::size_t count, DType dtype,
                                int root) {
  return impl_->enqueue(
      impl_->plan({Kind::broadcast, dtype, Reduction::sum, root, count}, buffer, buffer), stream);
}

void Communicator::barrier() { impl_->now(impl_->plan({}, nullptr, nullptr)); }
Work Communicator::barrier_async() { return impl_->later(impl_->plan({}, nullptr, nullptr)); }

void Communicator::exchange(const std::vector<Message>& messages) {
  impl_->now(checked(impl_->self, messages));
}
Work Communicator::exchange_async(const std::vector<Message>& messages) {
  return impl_->later(checked(impl_->self, messages));
}

void Communicator::send(const void* buffer, std::size_t count, DType dtype, int peer) {
  impl_->now(checked(impl_->self, Message::to(peer, buffer, count, dtype)));
}
Work Communicator::send_async(const void* buffer, std::size_t count, DType dtype, int peer) {
  return impl_->later(checked(impl_->self, Message::to(peer, buffer, count, dtype)));
}

void Communicator::recv(void* buffer, std::size_t count, DType dtype, int peer) {
  impl_->now(checked(impl_->self, Message::from(peer, buffer, count, dtype)));
}
Work Communicator::recv_async(void* buffer, std::size_t count, DType dtype, int peer) {
  return impl_->later(checked(impl_->self, Message::from(peer, buffer, count, dtype)));
}

void Communicator::abort(const std::string& reason) {
  impl_->fail(Error(Fault::aborted, text("rank %d has aborted: %s", rank(), reason.c_str())));
}

void Communicator::write_flight(const std::string& folder) const {
  const std::string problem = ringside::write_flight(impl_->peers, folder, "asked");
  if (!problem.empty()) throw_error(Fault::system, "rank %d: %s", rank(), problem.c_str());
}

std::vector<RankInfo> Communicator::ranks() const {
  std::vector<RankInfo> infos;
  for (int rank = 0; rank < size(); ++rank) {
    const PeerInfo& it = impl_->peers.rank_info(rank);
    infos.push_back(
        {rank, it.host.data(), it.pid, impl_->device ? impl_->device->name_of(rank) : "cpu"});
  }
  return infos;
}

std::vector<Edge> Communicator::ring_edges() const {
  std::vector<Edge> edges;
  for (int from = 0; from < size() && size() > 1; ++from) {
    const int to = Ring{from, size()}.right().rank;
    Way way = impl_->peers.way(from, to);
    edges.push_back({from, to, way.transport, std::move(way.why)});
  }
  return edges;
}

std::size_t Communicator::one_shot_most_bytes() const {
  return ringside::one_shot_most_bytes(impl_->host.settings());
}
std::size_t Communicator::zero_copy_from_bytes() const {
  return impl_->host.settings().zero_copy_from_bytes;
}
ExecutorInUse Communicator::device_executor() const {
  if (!impl_->device) return {"host", "not every rank has made a device current"};
  return impl_->device->executor();
}
ExecutorInUse Communicator::device_executor_for(const Operation& what) const {
  ExecutorInUse it = impl_->device ? impl_->device->executor_for(what) : device_executor();
  if (it.algorithm == Algorithm::automatic)
    it.algorithm = choose_algorithm(impl_->host.settings(), what);
  return it;
}

std::optional<std::string> Communicator::broken() const {
  const std::optional<Error> cause = impl_->first_cause();
  if (!cause) return std::nullopt;
  return cause->what();
}

}  // namespace ringside
