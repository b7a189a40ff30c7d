// The table of lower_bound.h, as code.
#include "tools/limits/lower_bound.h"

#include <algorithm>

#include "tools/support/call.h"

namespace ringside::tools {
namespace {

double moving_us(std::size_t bytes, const std::vector<Rate>& rates) {
  return bytes == 0 ? 0 : static_cast<double>(bytes) / rate_at(rates, bytes) / 1e3;
}

}  // namespace

std::vector<LeastWork> least_work(Kind kind, int size, std::size_t size_bytes) {
  const auto n = static_cast<std::size_t>(size);
  const std::size_t whole = size_bytes, part = size_bytes / n;
  if (kind == Kind::barrier) return {{size == 1 ? 0 : 1, 0, 0}};
  // A broadcast to oneself has nothing to do: there is one buffer.
  if (size == 1) return {{0, 0, kind == Kind::broadcast ? 0 : whole}};
  switch (kind) {
    case Kind::all_reduce:
    case Kind::reduce:
      return {{1, (n - 1) * whole, 0}, {2, (n - 1) * part, (n - 1) * part}};
    case Kind::reduce_scatter:
      return {{1, (n - 1) * part, 0}};
    case Kind::reduce_scatter_v:
      return {{1, (n - 1) * ragged_counts(whole, size).back(), 0}};
    case Kind::all_gather_v:
      return {{1, 0, whole - ragged_counts(whole, size).front()}};
    case Kind::scatter:
      return {{1, 0, part}};
    case Kind::all_gather:
    case Kind::gather:
    case Kind::all_to_all:
      return {{1, 0, (n - 1) * part}};
    default:
      return {{1, 0, whole}};
  }
}

double lower_bound_us(const LeastWork& work, const MachineProbe& probe) {
  return work.flags * probe.flag_ns / 1e3 + moving_us(work.reduced_bytes, probe.reduce) +
         moving_us(work.copied_bytes, probe.copy);
}

LowerBound lower_bound_of(Kind kind, int size, std::size_t size_bytes, const MachineProbe& probe) {
  std::vector<LowerBound> ways;
  for (const LeastWork& work : least_work(kind, size, size_bytes))
    ways.push_back({work, lower_bound_us(work, probe)});
  return *std::min_element(ways.begin(), ways.end(), [](const LowerBound& a, const LowerBound& b) {
    return a.time_us < b.time_us;
  });
}

}  // namespace ringside::tools
