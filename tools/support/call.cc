// The shapes of the operations, and ringside's side of the interface.
#include "tools/support/call.h"

#include "comm/peers/peers.h"

namespace ringside::tools {

std::vector<std::size_t> ragged_counts(std::size_t count, int size) {
  const auto n = static_cast<std::size_t>(size);
  // All ranks before r have r(r+1)/2 shares. Divided first, as the product might not fit.
  const std::size_t shares = n * (n + 1) / 2;
  const auto before = [&](std::size_t r) {
    const std::size_t own = r * (r + 1) / 2;
    return count / shares * own + count % shares * own / shares;
  };
  std::vector<std::size_t> counts;
  for (std::size_t r = 0; r < n; ++r) counts.push_back(before(r + 1) - before(r));
  return counts;
}

Range part_of_rank(const Operation& what, int rank, int size) {
  if (is_ragged(what.kind)) return Chunks(ragged_counts(what.count, size))[rank];
  return {static_cast<std::size_t>(rank) * what.count, what.count};
}

Operation operation_of(Kind kind, DType dtype, Reduction reduction, std::size_t size_bytes,
                       int size) {
  Operation what{kind, dtype, reduction, 0, size_bytes / bytes_of(dtype)};
  if (in_parts(kind)) what.count /= static_cast<std::size_t>(size);
  if (kind == Kind::barrier) what.count = 0;
  if (is_ragged(kind)) what.layout = layout_of(ragged_counts(what.count, size));
  return what;
}

std::size_t whole_count(const Operation& what, int size) {
  return what.count * (in_parts(what.kind) ? static_cast<std::size_t>(size) : 1);
}

namespace {

std::size_t count_of(Extent extent, const Operation& what, int rank, int size) {
  return length_of(extent, rank == what.root, whole_count(what, size),
                   part_of_rank(what, rank, size).count);
}

}  // namespace

std::size_t input_count(const Operation& what, int rank, int size) {
  return count_of(traits(what.kind).input, what, rank, size);
}
std::size_t output_count(const Operation& what, int rank, int size) {
  return count_of(traits(what.kind).output, what, rank, size);
}

Sides sides_of(Buffers& buffers, const Operation& what, bool in_place, int rank, int size) {
  if (what.kind == Kind::broadcast) return {buffers.first(), buffers.first()};
  if (!in_place) return {buffers.first(), buffers.second()};
  std::byte* const whole = buffers.first();
  std::byte* const own = whole + part_of_rank(what, rank, size).begin * bytes_of(what.dtype);
  const auto side = [&](Extent extent) { return extent == Extent::part ? own : whole; };
  return {side(traits(what.kind).input), side(traits(what.kind).output)};
}

Work make_call(Communicator& comm, const Operation& what, Sides at,
               std::span<const std::size_t> counts, bool at_once) {
  using Comm = Communicator;
  const auto [send, recv] = at;
  const auto [kind, dtype, reduction, root, count, layout, on_device] = what;
  (void)layout, (void)on_device;
  // The two ways of one call take the same arguments.
  const auto call = [&](auto blocking, auto returning, const auto&... arguments) {
    if (at_once) return (comm.*returning)(arguments...);
    (comm.*blocking)(arguments...);
    return Work();
  };
  switch (kind) {
    case Kind::all_reduce:
      return call(&Comm::all_reduce, &Comm::all_reduce_async, send, recv, count, dtype, reduction);
    case Kind::reduce_scatter:
      return call(&Comm::reduce_scatter, &Comm::reduce_scatter_async, send, recv, count, dtype,
                  reduction);
    case Kind::all_gather:
      return call(&Comm::all_gather, &Comm::all_gather_async, send, recv, count, dtype);
    case Kind::reduce_scatter_v:
      return call(&Comm::reduce_scatter_v, &Comm::reduce_scatter_v_async, send, recv, counts, dtype,
                  reduction);
    case Kind::all_gather_v:
      return call(&Comm::all_gather_v, &Comm::all_gather_v_async, send, recv, counts, dtype);
    case Kind::broadcast:
      return call(&Comm::broadcast, &Comm::broadcast_async, recv, count, dtype, root);
    case Kind::reduce:
      return call(&Comm::reduce, &Comm::reduce_async, send, recv, count, dtype, reduction, root);
    case Kind::gather:
      return call(&Comm::gather, &Comm::gather_async, send, recv, count, dtype, root);
    case Kind::scatter:
      return call(&Comm::scatter, &Comm::scatter_async, send, recv, count, dtype, root);
    case Kind::all_to_all:
      return call(&Comm::all_to_all, &Comm::all_to_all_async, send, recv, count, dtype);
    case Kind::send_recv: {
      const int size = comm.size(), right = (comm.rank() + 1) % size;
      const int left = (comm.rank() + size - 1) % size;
      return call(&Comm::exchange, &Comm::exchange_async,
                  std::vector{Message::to(right, send, count, dtype),
                              Message::from(left, recv, count, dtype)});
    }
    default:
      return call(&Comm::barrier, &Comm::barrier_async);
  }
}

Plan plan_of(const HostSettings& settings, Operation what, Sides at) {
  const Ring& self = settings.self;
  if (traits(what.kind).input == Extent::none || what.kind == Kind::send_recv)
    return make_plan(self, {}, nullptr, nullptr);
  const std::vector<std::size_t> counts =
      is_ragged(what.kind) ? ragged_counts(what.count, self.size) : std::vector<std::size_t>();
  if (what.kind == Kind::all_reduce) what.root = settings.group_ranks;
  return make_plan(self, what, what.kind == Kind::broadcast ? at.recv : at.send, at.recv, counts);
}

HostSettings settings_of(const Communicator& comm) {
  const Options& options = comm.options();
  const WindowLayout layout =
      WindowLayout::make(comm.size(), options.slot_bytes, options.slot_count);
  return settings_from({comm.rank(), comm.size()}, options, layout.pair.slot_bytes,
                       comm.zero_copy_from_bytes());
}

}  // namespace ringside::tools
