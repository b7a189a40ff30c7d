// Timing and checking calls. Inside a timed region stand the calls and nothing else; every row is
// checked.
#include "tools/common/measure.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "tools/common/oracle.h"

namespace ringside::tools {
namespace {

using std::chrono::steady_clock;

constexpr double kRowTime_us = 20'000;
constexpr double kWarmupTime_us = 5'000;
constexpr int kBatches = 9;
constexpr int kMostIterations = 20'000;

// One call's memory: where it reads and where it writes.
struct Sides {
  const std::byte* send;
  std::byte* recv;
};

// Whether each rank has one part of a whole of size() parts, in or out.
bool in_parts(Kind kind) {
  return kind != Kind::all_reduce && kind != Kind::broadcast && kind != Kind::reduce;
}

std::size_t whole_count(const Operation& what, int size) {
  return what.count * (in_parts(what.kind) ? static_cast<std::size_t>(size) : 1);
}

// What a rank reads and writes, in elements; 0 where only the root does.
std::size_t input_count(const Operation& what, int rank, int size) {
  const Kind kind = what.kind;
  if ((kind == Kind::broadcast || kind == Kind::scatter) && rank != what.root) return 0;
  const bool whole =
      kind == Kind::reduce_scatter || kind == Kind::scatter || kind == Kind::all_to_all;
  return whole ? whole_count(what, size) : what.count;
}

std::size_t output_count(const Operation& what, int rank, int size) {
  const Kind kind = what.kind;
  if ((kind == Kind::reduce || kind == Kind::gather) && rank != what.root) return 0;
  const bool part = kind == Kind::reduce_scatter || kind == Kind::scatter;
  return part ? what.count : whole_count(what, size);
}

Sides sides(Buffers& buffers, const Operation& what, bool in_place, int rank) {
  const std::size_t part_bytes = what.count * bytes_of(what.dtype) * static_cast<std::size_t>(rank);
  if (what.kind == Kind::broadcast) return {buffers.first(), buffers.first()};
  if (!in_place) return {buffers.first(), buffers.second()};
  if (what.kind == Kind::reduce_scatter || what.kind == Kind::scatter)
    return {buffers.first(), buffers.first() + part_bytes};
  if (what.kind == Kind::all_gather || what.kind == Kind::gather)
    return {buffers.first() + part_bytes, buffers.first()};
  return {buffers.first(), buffers.first()};
}

void call_once(Communicator& comm, const Operation& what, Sides at) {
  switch (what.kind) {
    case Kind::all_reduce:
      return comm.all_reduce(at.send, at.recv, what.count, what.dtype, what.reduction);
    case Kind::reduce_scatter:
      return comm.reduce_scatter(at.send, at.recv, what.count, what.dtype, what.reduction);
    case Kind::all_gather:
      return comm.all_gather(at.send, at.recv, what.count, what.dtype);
    case Kind::reduce:
      return comm.reduce(at.send, at.recv, what.count, what.dtype, what.reduction, what.root);
    case Kind::gather:
      return comm.gather(at.send, at.recv, what.count, what.dtype, what.root);
    case Kind::scatter:
      return comm.scatter(at.send, at.recv, what.count, what.dtype, what.root);
    case Kind::all_to_all:
      return comm.all_to_all(at.send, at.recv, what.count, what.dtype);
    default:
      return comm.broadcast(at.recv, what.count, what.dtype, what.root);
  }
}

double time_batch_us(Communicator& comm, const Operation& what, Sides at, int calls) {
  comm.barrier();
  const auto start = steady_clock::now();
  for (int i = 0; i < calls; ++i) call_once(comm, what, at);
  const std::chrono::duration<double, std::micro> span = steady_clock::now() - start;
  return span.count() / calls;
}

// Ranks must make the same number of calls, so rank 0's estimate counts.
int agree(Communicator& comm, double wanted) {
  std::int64_t number =
      std::clamp<std::int64_t>(static_cast<std::int64_t>(wanted), 1, kMostIterations);
  comm.broadcast(&number, 1, DType::i64, 0);
  return static_cast<int>(number);
}

double mean_over_ranks(Communicator& comm, double value) {
  comm.all_reduce(&value, &value, 1, DType::f64, Reduction::avg);
  return value;
}

// The median over batches: one that the machine disturbed does not count.
double time_us(Communicator& comm, const Operation& what, Sides at, const Arguments& arguments) {
  int warmup = arguments.warmup;
  double estimate_us = 0;
  if (warmup != 0) estimate_us = time_batch_us(comm, what, at, 1);
  if (warmup < 0) warmup = agree(comm, kWarmupTime_us / std::max(estimate_us, 0.01));
  if (warmup > 1) estimate_us = time_batch_us(comm, what, at, warmup - 1);
  int calls = arguments.iterations;
  if (calls == 0)
    calls = agree(comm, estimate_us > 0 ? kRowTime_us / std::max(estimate_us, 0.01) : 1);
  const int batches = std::min(kBatches, calls);
  std::vector<double> times_us;
  for (int batch = 0; batch < batches; ++batch) {
    const int first = calls * batch / batches;
    const int last = calls * (batch + 1) / batches;
    times_us.push_back(time_batch_us(comm, what, at, last - first));
  }
  std::nth_element(times_us.begin(), times_us.begin() + batches / 2, times_us.end());
  return mean_over_ranks(comm, times_us[static_cast<std::size_t>(batches / 2)]);
}

void fill(Communicator& comm, const Operation& what, Sides at) {
  const bool reduces = has_reduction(what.kind);
  fill_input(const_cast<std::byte*>(at.send), input_count(what, comm.rank(), comm.size()),
             what.dtype, reduces ? what.reduction : Reduction::sum, comm.rank());
}

Timing measure_side(Communicator& comm, Buffers& buffers, const Operation& what,
                    std::size_t size_bytes, bool in_place, const Arguments& arguments) {
  const Sides at = sides(buffers, what, in_place, comm.rank());
  fill(comm, what, at);
  Timing timing;
  timing.time_us = time_us(comm, what, at, arguments);
  timing.algbw_gbs = static_cast<double>(size_bytes) / timing.time_us / 1e3;
  timing.busbw_gbs = timing.algbw_gbs * bus_factor(what.kind, comm.size());
  timing.wrong = check_once(comm, buffers, what, in_place);
  return timing;
}

}  // namespace

std::size_t check_once(Communicator& comm, Buffers& buffers, const Operation& what, bool in_place) {
  constexpr int kPoison = 0xa5;
  const Sides at = sides(buffers, what, in_place, comm.rank());
  std::memset(at.recv, kPoison,
              output_count(what, comm.rank(), comm.size()) * bytes_of(what.dtype));
  fill(comm, what, at);
  call_once(comm, what, at);
  std::int64_t wrong =
      static_cast<std::int64_t>(count_wrong(at.recv, what, comm.rank(), comm.size()));
  comm.all_reduce(&wrong, &wrong, 1, DType::i64, Reduction::sum);
  return static_cast<std::size_t>(wrong);
}

Row measure_row(Communicator& comm, Buffers& buffers, Kind kind, DType dtype, Reduction reduction,
                std::size_t size_bytes, const Arguments& arguments) {
  Row row;
  row.what = {kind, dtype, reduction, 0, size_bytes / bytes_of(dtype)};
  if (in_parts(kind)) row.what.count /= static_cast<std::size_t>(comm.size());
  row.size_bytes = whole_count(row.what, comm.size()) * bytes_of(dtype);
  row.out_of_place = measure_side(comm, buffers, row.what, row.size_bytes, false, arguments);
  if (kind != Kind::broadcast && kind != Kind::all_to_all)
    row.in_place = measure_side(comm, buffers, row.what, row.size_bytes, true, arguments);
  return row;
}

}  // namespace ringside::tools
