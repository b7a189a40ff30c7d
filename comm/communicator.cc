// The communicator: lets plans be carried out, here or on its engine, and notes how they end.
#include "comm/communicator.h"

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <utility>

#include "comm/allocations.h"
#include "comm/engine.h"
#include "comm/flight_record.h"
#include "comm/flight_signal.h"
#include "comm/host_lane.h"
#include "comm/messages.h"
#include "comm/peers.h"
#include "comm/plan.h"
#include "comm/ring.h"
#include "comm/split.h"
#include "comm/trace.h"
#include "comm/waiter.h"

namespace ringside {

struct Communicator::Impl {
  Impl(Bootstrap& bootstrap, const Options& chosen)
      : options(chosen),
        peers(bootstrap, options),
        ring{peers.rank(), peers.size()},
        planner{peers.rank(),
                peers.size(),
                options.slot_bytes,
                peers.pair_slot_bytes(),
                options.algorithm,
                options.stream_from_bytes,
                peers.may_lend() ? options.direct_from_bytes : SIZE_MAX},
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
    if (!options.flight_folder.empty()) on_signal.emplace(peers, options.flight_folder);
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
    if (!engine || engine->idle())
      carry_out(job);
    else
      later(std::forward<Job>(job)).wait();
  }

  template <class Job>
  Work later(Job job) {
    if (!engine) engine = std::make_unique<Engine>();
    return engine->submit([this, job]() { carry_out(job); });
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
      throw;
    } catch (const std::exception& error) {
      // Out of memory, say. Half a conversation has taken place, so this is everybody's end too.
      const Error sentence(Fault::system, text("%s: %s", waiter.here().c_str(), error.what()));
      fail(sentence);
      throw sentence;
    }
  }

  // send and recv are calls of two ranks, so only collectives are counted and chained alike on all.
  void run(Plan plan) {
    if (options.on_call) options.on_call(number + 1, plan.call.what);
    chain = chained(chain, fingerprint(plan.call.what));
    plan.call.fingerprint = chain;
    const Call entry{++number, ++collectives, plan.call.what, chain, coarse_now_ms()};
    waiter.enter(entry);  // first: a rank that comes when all is over has not entered the call
    peers.board().note(entry);
    if (plan.call.may_lend()) find_lendable(plan.call);
    HostLane lane(plan.call, edges, peers, waiter, scratch);
    if (options.trace == nullptr) [[likely]] {
      plan.algorithm.on_host(lane, ring, plan.call.what);
      lane.settle();
    } else {
      trace(lane, plan);
    }
    peers.board().note_finished(number);
  }

  void trace(HostLane& lane, const Plan& plan) {
    TraceScope span(*options.trace, TracedCall{number, plan.call.what, plan.algorithm.name});
    TraceLane traced(lane, plan.call, ring, *options.trace);
    plan.algorithm.on_trace(traced, ring, plan.call.what);
    lane.settle();
    span.done();
  }

  void run(const Message& message) { run(std::span(&message, 1)); }
  void run(std::span<const Message> messages) {
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
    const MessageId id =
        it.is_send
            ? message_id(Road::messages, own, it.peer, into.next_sent(Road::messages, it.peer))
            : message_id(Road::messages, it.peer, own, into.next_received(Road::messages, it.peer));
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
  std::unique_ptr<Engine> engine;  // last, so that it ends first
};

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
  impl_->now(plan_all_reduce(impl_->planner, send, recv, count, dtype, reduction));
}
Work Communicator::all_reduce_async(const void* send, void* recv, std::size_t count, DType dtype,
                                    Reduction reduction) {
  return impl_->later(plan_all_reduce(impl_->planner, send, recv, count, dtype, reduction));
}

void Communicator::reduce_scatter(const void* send, void* recv, std::size_t recv_count, DType dtype,
                                  Reduction reduction) {
  impl_->now(plan_reduce_scatter(impl_->planner, send, recv, recv_count, dtype, reduction));
}
Work Communicator::reduce_scatter_async(const void* send, void* recv, std::size_t recv_count,
                                        DType dtype, Reduction reduction) {
  return impl_->later(
      plan_reduce_scatter(impl_->planner, send, recv, recv_count, dtype, reduction));
}

void Communicator::all_gather(const void* send, void* recv, std::size_t send_count, DType dtype) {
  impl_->now(plan_all_gather(impl_->planner, send, recv, send_count, dtype));
}
Work Communicator::all_gather_async(const void* send, void* recv, std::size_t send_count,
                                    DType dtype) {
  return impl_->later(plan_all_gather(impl_->planner, send, recv, send_count, dtype));
}

void Communicator::reduce_scatter_v(const void* send, void* recv,
                                    std::span<const std::size_t> counts, DType dtype,
                                    Reduction reduction) {
  impl_->now(plan_reduce_scatter_v(impl_->planner, send, recv, counts, dtype, reduction));
}
Work Communicator::reduce_scatter_v_async(const void* send, void* recv,
                                          std::span<const std::size_t> counts, DType dtype,
                                          Reduction reduction) {
  return impl_->later(plan_reduce_scatter_v(impl_->planner, send, recv, counts, dtype, reduction));
}

void Communicator::all_gather_v(const void* send, void* recv, std::span<const std::size_t> counts,
                                DType dtype) {
  impl_->now(plan_all_gather_v(impl_->planner, send, recv, counts, dtype));
}
Work Communicator::all_gather_v_async(const void* send, void* recv,
                                      std::span<const std::size_t> counts, DType dtype) {
  return impl_->later(plan_all_gather_v(impl_->planner, send, recv, counts, dtype));
}

void Communicator::broadcast(void* buffer, std::size_t count, DType dtype, int root) {
  impl_->now(plan_broadcast(impl_->planner, buffer, count, dtype, root));
}
Work Communicator::broadcast_async(void* buffer, std::size_t count, DType dtype, int root) {
  return impl_->later(plan_broadcast(impl_->planner, buffer, count, dtype, root));
}

void Communicator::reduce(const void* send, void* recv, std::size_t count, DType dtype,
                          Reduction reduction, int root) {
  impl_->now(plan_reduce(impl_->planner, send, recv, count, dtype, reduction, root));
}
Work Communicator::reduce_async(const void* send, void* recv, std::size_t count, DType dtype,
                                Reduction reduction, int root) {
  return impl_->later(plan_reduce(impl_->planner, send, recv, count, dtype, reduction, root));
}

void Communicator::gather(const void* send, void* recv, std::size_t send_count, DType dtype,
                          int root) {
  impl_->now(plan_gather(impl_->planner, send, recv, send_count, dtype, root));
}
Work Communicator::gather_async(const void* send, void* recv, std::size_t send_count, DType dtype,
                                int root) {
  return impl_->later(plan_gather(impl_->planner, send, recv, send_count, dtype, root));
}

void Communicator::scatter(const void* send, void* recv, std::size_t recv_count, DType dtype,
                           int root) {
  impl_->now(plan_scatter(impl_->planner, send, recv, recv_count, dtype, root));
}
Work Communicator::scatter_async(const void* send, void* recv, std::size_t recv_count, DType dtype,
                                 int root) {
  return impl_->later(plan_scatter(impl_->planner, send, recv, recv_count, dtype, root));
}

void Communicator::all_to_all(const void* send, void* recv, std::size_t count, DType dtype) {
  impl_->now(plan_all_to_all(impl_->planner, send, recv, count, dtype));
}
Work Communicator::all_to_all_async(const void* send, void* recv, std::size_t count, DType dtype) {
  return impl_->later(plan_all_to_all(impl_->planner, send, recv, count, dtype));
}

void Communicator::barrier() { impl_->now(plan_barrier(impl_->planner)); }
Work Communicator::barrier_async() { return impl_->later(plan_barrier(impl_->planner)); }

void Communicator::exchange(const std::vector<Message>& messages) {
  impl_->now(impl_->checked(messages));
}
Work Communicator::exchange_async(const std::vector<Message>& messages) {
  return impl_->later(impl_->checked(messages));
}

void Communicator::send(const void* buffer, std::size_t count, DType dtype, int peer) {
  impl_->now(impl_->checked(Message::to(peer, buffer, count, dtype)));
}
Work Communicator::send_async(const void* buffer, std::size_t count, DType dtype, int peer) {
  return impl_->later(impl_->checked(Message::to(peer, buffer, count, dtype)));
}

void Communicator::recv(void* buffer, std::size_t count, DType dtype, int peer) {
  impl_->now(impl_->checked(Message::from(peer, buffer, count, dtype)));
}
Work Communicator::recv_async(void* buffer, std::size_t count, DType dtype, int peer) {
  return impl_->later(impl_->checked(Message::from(peer, buffer, count, dtype)));
}

std::optional<Communicator> Communicator::split(int color, int key) {
  struct Choice {
    int color;
    int key;
  };
  const Choice mine{color, key};
  std::vector<Choice> all(static_cast<std::size_t>(size()));
  all_gather(&mine, all.data(), sizeof mine, DType::u8);
  if (color < 0) return std::nullopt;
  std::vector<std::pair<int, int>> members;  // key, rank
  for (int rank = 0; rank < size(); ++rank) {
    const Choice& it = all[static_cast<std::size_t>(rank)];
    if (it.color == color) members.emplace_back(it.key, rank);
  }
  std::sort(members.begin(), members.end());
  std::vector<int> ranks;
  for (const auto& member : members) ranks.push_back(member.second);
  SplitBootstrap bootstrap(*this, std::move(ranks));
  Options inherited = impl_->options;
  inherited.on_call = nullptr;
  inherited.on_messages = nullptr;
  inherited.trace = nullptr;
  return Communicator(bootstrap, inherited);
}

void Communicator::abort(const std::string& reason) {
  impl_->fail(Error(Fault::aborted, text("rank %d has aborted: %s", rank(), reason.c_str())));
}

void Communicator::write_flight(const std::string& folder) const {
  const std::string problem = ringside::write_flight(impl_->peers, folder, "asked");
  if (!problem.empty()) throw Error(Fault::system, text("rank %d: %s", rank(), problem.c_str()));
}

std::vector<RankInfo> Communicator::ranks() const {
  std::vector<RankInfo> infos;
  for (int rank = 0; rank < size(); ++rank) {
    const Identity& it = impl_->peers.identity(rank);
    infos.push_back({rank, it.host.data(), it.pid, "cpu"});
  }
  return infos;
}

std::vector<Edge> Communicator::ring_edges() const {
  std::vector<Edge> edges;
  for (int from = 0; from < size() && size() > 1; ++from) {
    const int to = Ring{from, size()}.right();
    Reach way = reach(impl_->peers.identity(from), impl_->peers.identity(to));
    edges.push_back({from, to, std::move(way.transport), std::move(way.why)});
  }
  return edges;
}

std::size_t Communicator::one_shot_most_bytes() const {
  return ringside::one_shot_most_bytes(impl_->planner);
}
std::size_t Communicator::lend_from_bytes() const { return impl_->planner.lend_from_bytes; }

std::optional<std::string> Communicator::broken() const {
  const std::optional<Error> cause = impl_->first_cause();
  if (!cause) return std::nullopt;
  return cause->what();
}

}  // namespace ringside
