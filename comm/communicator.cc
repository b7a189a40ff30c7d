// The public face: arguments become plans, and plans are carried out (communicator_impl.h).
#include "comm/communicator.h"

#include <utility>

#include "comm/communicator_impl.h"
#include "comm/split.h"

namespace ringside {

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

Work Communicator::all_reduce_on(void* stream, const void* send, void* recv, std::size_t count,
                                 DType dtype, Reduction reduction) {
  return impl_->enqueue(plan_all_reduce(impl_->planner, send, recv, count, dtype, reduction),
                        stream);
}
Work Communicator::reduce_scatter_on(void* stream, const void* send, void* recv,
                                     std::size_t recv_count, DType dtype, Reduction reduction) {
  return impl_->enqueue(
      plan_reduce_scatter(impl_->planner, send, recv, recv_count, dtype, reduction), stream);
}
Work Communicator::all_gather_on(void* stream, const void* send, void* recv, std::size_t send_count,
                                 DType dtype) {
  return impl_->enqueue(plan_all_gather(impl_->planner, send, recv, send_count, dtype), stream);
}
Work Communicator::broadcast_on(void* stream, void* buffer, std::size_t count, DType dtype,
                                int root) {
  return impl_->enqueue(plan_broadcast(impl_->planner, buffer, count, dtype, root), stream);
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
  std::vector<int> ranks = group_of(*this, color, key);
  if (ranks.empty()) return std::nullopt;
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
  return ringside::one_shot_most_bytes(impl_->planner);
}
ExecutorInUse Communicator::device_executor() const {
  if (!impl_->device) return {"host", "not every rank has made a device current"};
  return impl_->device->executor();
}
ExecutorInUse Communicator::device_executor_for(Plan& plan) const {
  return impl_->device ? impl_->device->way(plan) : device_executor();
}
std::size_t Communicator::zero_copy_from_bytes() const {
  return impl_->planner.zero_copy_from_bytes;
}

std::optional<std::string> Communicator::broken() const {
  const std::optional<Error> cause = impl_->first_cause();
  if (!cause) return std::nullopt;
  return cause->what();
}

}  // namespace ringside
