// The communicator: checks a call, notes it on the board, and lets the host lane run the
// algorithm's text.
#include "comm/communicator.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "comm/channel.h"
#include "comm/host_lane.h"
#include "comm/mesh.h"
#include "comm/one_shot.h"
#include "comm/peers.h"
#include "comm/ring.h"
#include "comm/waiter.h"

namespace ringside {
namespace {

const std::byte* bytes(const void* memory) { return static_cast<const std::byte*>(memory); }
std::byte* bytes(void* memory) { return static_cast<std::byte*>(memory); }

bool overlap(const std::byte* a, std::size_t a_bytes, const std::byte* b, std::size_t b_bytes) {
  const auto at = [](const std::byte* p) { return reinterpret_cast<std::uintptr_t>(p); };
  return at(a) < at(b) + b_bytes && at(b) < at(a) + a_bytes;
}

// A call in which each rank has one part of `count` elements in a whole of size() parts.
struct Part {
  Chunks chunks;
  std::size_t own_first;  // this rank's first element in the whole
  std::size_t bytes;      // of a part
  std::size_t whole_bytes;
  std::size_t own_offset_bytes;
};

// Whether a call's pieces must fit the slots of pairs, which may be smaller than the ring's.
bool over_pairs(Kind kind) {
  return kind == Kind::send_recv || kind == Kind::reduce || kind == Kind::gather ||
         kind == Kind::scatter || kind == Kind::all_to_all;
}

}  // namespace

struct Communicator::Impl {
  Impl(Bootstrap& bootstrap, const Options& chosen)
      : options(chosen),
        peers(bootstrap, options),
        ring{peers.rank(), peers.size()},
        waiter(peers, options),
        scratch(options.slot_bytes) {
    if (peers.size() > 1) {
      edges.right.emplace(peers.ring_send_end());
      edges.left.emplace(peers.ring_receive_end());
    }
    edges.right_rank = peers.right();
    edges.left_rank = peers.left();
    open_pairs(Use::mesh, edges);
    open_pairs(Use::messages, messages);
  }

  void open_pairs(Use use, Edges& into) {
    for (int peer = 0; peer < peers.size(); ++peer) {
      const bool self = peer == peers.rank();
      into.to.push_back(self ? std::nullopt : std::optional(peers.pair_send_end(use, peer)));
      into.from.push_back(self ? std::nullopt : std::optional(peers.pair_receive_end(use, peer)));
    }
  }

  // The frame around every call: refuse it if the world is broken, note it, run it, and if it
  // fails, tell everyone. `steps` is a slice's, for the sentences; `body` runs an algorithm on the
  // lane.
  template <class Body>
  void run(HostCall& call, int steps, Edges& over, const Body& body) {
    if (cause)
      throw Error(cause->fault(),
                  text("the communicator is broken since an earlier call: %s", cause->what()));
    // send and recv are calls of two ranks, so only collectives are counted and chained alike on
    // all.
    const bool collective = call.what.kind != Kind::send_recv;
    if (collective) chain = chained(chain, fingerprint(call.what));
    call.fingerprint = collective ? chain : fingerprint(call.what);
    const Call entry{++number, collective ? ++collectives : 0, call.what, call.fingerprint};
    call.steps_per_slice = steps;
    peers.board().note(entry);
    try {
      waiter.enter(entry);
      HostLane lane(call, over, peers, waiter, scratch);
      body(lane);
    } catch (const Error& error) {
      fail(error);
      throw;
    } catch (const std::exception& error) {
      // Out of memory, say. Half a conversation has taken place, so this is everybody's end too.
      fail(Error(Fault::system, text("%s: %s", waiter.here().c_str(), error.what())));
      throw *cause;
    }
    peers.board().note_finished(number);
  }

  void fail(const Error& error) {
    cause.emplace(error);
    peers.break_world(error);
  }

  HostCall make_call(Operation what, const void* send, void* recv, Chunks chunks) const {
    const bool pair = over_pairs(what.kind);
    HostCall call{};
    call.what = what;
    call.input = bytes(send);
    call.output = bytes(recv);
    call.element_bytes = bytes_of(what.dtype);
    call.slice_count = (pair ? peers.pair_slot_bytes() : options.slot_bytes) / call.element_bytes;
    call.chunks = chunks;
    call.slices = slices_for(chunks.longest(), call.slice_count);
    return call;
  }

  Part part_of(std::size_t count, DType dtype) const {
    const auto n = static_cast<std::size_t>(peers.size());
    const Chunks chunks{n * count, peers.size()};
    const std::size_t own_first = chunks[peers.rank()].begin;
    const std::size_t bytes = count * bytes_of(dtype);
    return {chunks, own_first, bytes, n * bytes, own_first * bytes_of(dtype)};
  }

  // A pure function of what all ranks agree on, so all choose alike.
  std::size_t one_shot_most_bytes() const {
    if (peers.size() < 2 || options.algorithm == Algorithm::ring) return 0;
    if (options.algorithm == Algorithm::one_shot) return peers.pair_slot_bytes();
    return std::min(peers.pair_slot_bytes(), one_shot_pays_up_to(peers.size()));
  }

  void add_reduction(HostCall& call) const {
    if (static_cast<std::size_t>(call.what.reduction) >= kAllReductions.size())
      refuse(call.what.kind,
             text("there is no reduction number %d", static_cast<int>(call.what.reduction)));
    call.reduce = reduce_loop(call.what.dtype, call.what.reduction);
    if (call.what.reduction != Reduction::avg) return;
    call.divide = divide_loop(call.what.dtype);
    call.divisor = peers.size();
  }

  // --- what can be wrong with arguments ---
  [[noreturn]] void refuse(Kind kind, const std::string& why) const {
    throw Error(Fault::usage, text("rank %d: %s: %s", peers.rank(), name_of(kind), why.c_str()));
  }
  void check_buffer(Kind kind, const void* buffer, std::size_t count, DType dtype) const {
    if (static_cast<std::size_t>(dtype) >= kAllDTypes.size())
      refuse(kind, text("there is no type number %d", static_cast<int>(dtype)));
    if (buffer == nullptr && count > 0)
      refuse(kind, text("no buffer (null) for %zu elements", count));
    if (count > SIZE_MAX / 16 / bytes_of(dtype) / static_cast<std::size_t>(peers.size()))
      refuse(kind, text("%zu elements cannot be addressed", count));
  }
  void check_rank(Kind kind, const char* role, int rank) const {
    if (rank < 0 || rank >= peers.size())
      refuse(kind,
             text("%s %d does not exist; there are ranks 0 to %d", role, rank, peers.size() - 1));
  }
  void check_apart(Kind kind, const void* a, std::size_t a_bytes, const void* b,
                   std::size_t b_bytes) const {
    if (overlap(bytes(a), a_bytes, bytes(b), b_bytes))
      refuse(kind,
             "the buffers overlap, and not in the way that \"in place\" means (communicator.h)");
  }

  Options options;
  Peers peers;
  Ring ring;
  Waiter waiter;
  Scratch scratch;
  Edges edges;                    // for collectives
  Edges messages;                 // for send and recv
  std::uint64_t number = 0;       // of calls
  std::uint32_t collectives = 0;  // among them
  std::uint32_t chain = 0;        // of their fingerprints
  std::optional<Error> cause;
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
  Impl& me = *impl_;
  const Kind kind = Kind::all_reduce;
  me.check_buffer(kind, send, count, dtype);
  me.check_buffer(kind, recv, count, dtype);
  const std::size_t total_bytes = count * bytes_of(dtype);
  if (send != recv) me.check_apart(kind, send, total_bytes, recv, total_bytes);
  HostCall call =
      me.make_call({kind, dtype, reduction, 0, count}, send, recv, Chunks{count, size()});
  me.add_reduction(call);
  const bool one_shot = total_bytes <= me.one_shot_most_bytes();
  me.run(call, 2 * me.ring.steps(), me.edges, [&](HostLane& lane) {
    if (one_shot)
      all_reduce_one_shot(lane, me.ring);
    else
      ringside::all_reduce(lane, me.ring);
  });
}

void Communicator::reduce_scatter(const void* send, void* recv, std::size_t recv_count, DType dtype,
                                  Reduction reduction) {
  Impl& me = *impl_;
  const Kind kind = Kind::reduce_scatter;
  me.check_buffer(kind, send, recv_count, dtype);
  me.check_buffer(kind, recv, recv_count, dtype);
  const Part part = me.part_of(recv_count, dtype);
  if (part.bytes > 0 && bytes(recv) != bytes(send) + part.own_offset_bytes)
    me.check_apart(kind, send, part.whole_bytes, recv, part.bytes);
  HostCall call = me.make_call({kind, dtype, reduction, 0, recv_count}, send, recv, part.chunks);
  call.output_first = part.own_first;
  me.add_reduction(call);
  me.run(call, me.ring.steps(), me.edges,
         [&](HostLane& lane) { ringside::reduce_scatter(lane, me.ring); });
}

void Communicator::all_gather(const void* send, void* recv, std::size_t send_count, DType dtype) {
  Impl& me = *impl_;
  const Kind kind = Kind::all_gather;
  me.check_buffer(kind, send, send_count, dtype);
  me.check_buffer(kind, recv, send_count, dtype);
  const Part part = me.part_of(send_count, dtype);
  if (part.bytes > 0 && bytes(send) != bytes(recv) + part.own_offset_bytes)
    me.check_apart(kind, send, part.bytes, recv, part.whole_bytes);
  HostCall call =
      me.make_call({kind, dtype, Reduction::sum, 0, send_count}, send, recv, part.chunks);
  call.input_first = part.own_first;
  me.run(call, me.ring.steps(), me.edges,
         [&](HostLane& lane) { ringside::all_gather(lane, me.ring); });
}

void Communicator::broadcast(void* buffer, std::size_t count, DType dtype, int root) {
  Impl& me = *impl_;
  const Kind kind = Kind::broadcast;
  me.check_buffer(kind, buffer, count, dtype);
  me.check_rank(kind, "root", root);
  HostCall call =
      me.make_call({kind, dtype, Reduction::sum, root, count}, buffer, buffer, Chunks{count, 1});
  const bool passes_on = me.ring.right() != root;
  me.run(call, rank() != root && passes_on ? 2 : 1, me.edges,
         [&](HostLane& lane) { ringside::broadcast(lane, me.ring, root); });
}

void Communicator::barrier() {
  Impl& me = *impl_;
  HostCall call = me.make_call({}, nullptr, nullptr, Chunks{0, size()});
  me.run(call, me.ring.steps(), me.edges,
         [&](HostLane& lane) { ringside::barrier(lane, me.ring); });
}

void Communicator::reduce(const void* send, void* recv, std::size_t count, DType dtype,
                          Reduction reduction, int root) {
  Impl& me = *impl_;
  const Kind kind = Kind::reduce;
  const bool is_root = rank() == root;
  me.check_rank(kind, "root", root);
  me.check_buffer(kind, send, count, dtype);
  if (is_root) me.check_buffer(kind, recv, count, dtype);
  const std::size_t total_bytes = count * bytes_of(dtype);
  if (is_root && send != recv) me.check_apart(kind, send, total_bytes, recv, total_bytes);
  HostCall call =
      me.make_call({kind, dtype, reduction, root, count}, send, recv, Chunks{count, size()});
  me.add_reduction(call);
  me.run(call, me.ring.steps() + (is_root ? me.ring.steps() : 1), me.edges,
         [&](HostLane& lane) { ringside::reduce(lane, me.ring, root); });
}

void Communicator::gather(const void* send, void* recv, std::size_t send_count, DType dtype,
                          int root) {
  Impl& me = *impl_;
  const Kind kind = Kind::gather;
  const bool is_root = rank() == root;
  me.check_rank(kind, "root", root);
  me.check_buffer(kind, send, send_count, dtype);
  if (is_root) me.check_buffer(kind, recv, send_count, dtype);
  const Part part = me.part_of(send_count, dtype);
  if (is_root && part.bytes > 0 && bytes(send) != bytes(recv) + part.own_offset_bytes)
    me.check_apart(kind, send, part.bytes, recv, part.whole_bytes);
  HostCall call =
      me.make_call({kind, dtype, Reduction::sum, root, send_count}, send, recv, part.chunks);
  call.input_first = part.own_first;
  me.run(call, is_root ? me.ring.steps() : 1, me.edges,
         [&](HostLane& lane) { ringside::gather(lane, me.ring, root); });
}

void Communicator::scatter(const void* send, void* recv, std::size_t recv_count, DType dtype,
                           int root) {
  Impl& me = *impl_;
  const Kind kind = Kind::scatter;
  const bool is_root = rank() == root;
  me.check_rank(kind, "root", root);
  me.check_buffer(kind, recv, recv_count, dtype);
  if (is_root) me.check_buffer(kind, send, recv_count, dtype);
  const Part part = me.part_of(recv_count, dtype);
  if (is_root && part.bytes > 0 && bytes(recv) != bytes(send) + part.own_offset_bytes)
    me.check_apart(kind, recv, part.bytes, send, part.whole_bytes);
  HostCall call =
      me.make_call({kind, dtype, Reduction::sum, root, recv_count}, send, recv, part.chunks);
  call.output_first = part.own_first;
  me.run(call, is_root ? me.ring.steps() : 1, me.edges,
         [&](HostLane& lane) { ringside::scatter(lane, me.ring, root); });
}

void Communicator::all_to_all(const void* send, void* recv, std::size_t count, DType dtype) {
  Impl& me = *impl_;
  const Kind kind = Kind::all_to_all;
  me.check_buffer(kind, send, count, dtype);
  me.check_buffer(kind, recv, count, dtype);
  const Part part = me.part_of(count, dtype);
  me.check_apart(kind, send, part.whole_bytes, recv, part.whole_bytes);
  HostCall call = me.make_call({kind, dtype, Reduction::sum, 0, count}, send, recv, part.chunks);
  me.run(call, me.ring.steps(), me.edges,
         [&](HostLane& lane) { ringside::all_to_all(lane, me.ring); });
}

void Communicator::send(const void* buffer, std::size_t count, DType dtype, int peer) {
  Impl& me = *impl_;
  const Kind kind = Kind::send_recv;
  me.check_buffer(kind, buffer, count, dtype);
  me.check_rank(kind, "rank", peer);
  if (peer == rank()) me.refuse(kind, "a rank cannot send to itself");
  // The lane only reads what it sends; its output pointer is not used.
  HostCall call =
      me.make_call({kind, dtype, Reduction::sum, rank(), count}, buffer, nullptr, Chunks{count, 1});
  me.run(call, 1, me.messages, [&](HostLane& lane) {
    for (std::size_t slice = 0; slice < lane.slices(); ++slice)
      lane.send_to(peer, {Place::input, 0}, slice);
  });
}

void Communicator::recv(void* buffer, std::size_t count, DType dtype, int peer) {
  Impl& me = *impl_;
  const Kind kind = Kind::send_recv;
  me.check_buffer(kind, buffer, count, dtype);
  me.check_rank(kind, "rank", peer);
  if (peer == rank()) me.refuse(kind, "a rank cannot receive from itself");
  HostCall call =
      me.make_call({kind, dtype, Reduction::sum, peer, count}, nullptr, buffer, Chunks{count, 1});
  me.run(call, 1, me.messages, [&](HostLane& lane) {
    for (std::size_t slice = 0; slice < lane.slices(); ++slice)
      lane.receive_from(peer, {Place::output, 0}, slice);
  });
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

std::size_t Communicator::one_shot_most_bytes() const { return impl_->one_shot_most_bytes(); }

std::optional<std::string> Communicator::broken() const {
  if (!impl_->cause) return std::nullopt;
  return impl_->cause->what();
}

}  // namespace ringside
