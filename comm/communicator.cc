// The public face: arguments become plans, and plans go to the core.
#include "comm/communicator.h"

#include <atomic>
#include <utility>

#include "comm/core.h"

namespace ringside {

struct Communicator::Impl : CommunicatorCore {
  using CommunicatorCore::CommunicatorCore;
  Impl* left_before = nullptr;
};

Communicator::Communicator(Bootstrap& bootstrap, const Options& options) {
  const FloatMode own_mode;  // deadlines are floating-point numbers, too
  impl_.reset(new Impl(bootstrap, options));
}
// A group inherits the options, but not what belongs to one communicator alone.
Communicator::Communicator(Bootstrap& bootstrap, const Communicator& parent,
                           std::vector<PeerInfo> members) {
  const FloatMode own_mode;
  Options inherited = parent.options();
  inherited.on_call = nullptr;
  inherited.on_messages = nullptr;
  inherited.trace = nullptr;
  impl_.reset(
      new Impl(bootstrap, inherited, Peers::Group{parent.impl_->peers, std::move(members)}));
}
const PeerInfo& Communicator::peer_info(int rank) const { return impl_->peers.rank_info(rank); }

// In a forked child it is left as it is, and where a leak checker finds it.
void Communicator::End::operator()(Impl* impl) const noexcept {
  static std::atomic<Impl*> latest{nullptr};
  if (impl->maker.is_this_process())
    delete impl;
  else
    impl->left_before = latest.exchange(impl);
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

void Communicator::gather_for_split(const void* mine, void* all, std::size_t bytes) {
  impl_->now(
      impl_->plan({Kind::all_gather, DType::u8, Reduction::sum, kOfSplit, bytes}, mine, all));
}

void Communicator::abort(const std::string& reason) {
  impl_->check_process();
  impl_->fail(Error(Fault::aborted,
                    text("%s has aborted: %s", impl_->peers.name(rank()).c_str(), reason.c_str())));
}

void Communicator::write_flight(const std::string& folder) const {
  impl_->check_process();
  const std::string problem = ringside::write_flight(impl_->peers, folder, "asked");
  if (!problem.empty()) throw_error(Fault::system, "rank %d: %s", rank(), problem.c_str());
}

std::vector<RankInfo> Communicator::ranks() const {
  std::vector<RankInfo> infos;
  for (int rank = 0; rank < size(); ++rank) {
    const PeerInfo& it = impl_->peers.rank_info(rank);
    infos.push_back({rank, it.host.data(), it.pid,
                     impl_->device ? impl_->device->name_of(rank) : "cpu", it.world_rank});
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

std::vector<StoreFinding> Communicator::stores_to_the_right() const {
  if (size() == 1) return {};
  PeerWindow& window = impl_->peers.window_of(impl_->peers.right());
  const auto of = [](const char* what, const StoreChooser& chooser, std::size_t bytes) {
    const StoreChooser::Finding it = chooser.finding(bytes);
    return StoreFinding{what, it.streaming, it.cached_ns, it.past_ns};
  };
  return {of("puts of 4K", window.puts(), StoreChooser::kLeastBytes),
          of("puts of 16K", window.puts(), StoreChooser::kLargeBytes),
          of("results of 4K", window.results(), StoreChooser::kLeastBytes),
          of("results of 16K", window.results(), StoreChooser::kLargeBytes)};
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
  if (!impl_->maker.is_this_process()) return impl_->maker.refusal("the communicator");
  const std::optional<Error> cause = impl_->first_cause();
  if (!cause) return std::nullopt;
  return cause->what();
}

}  // namespace ringside
