// The lower bound of tools/limits/lower_bound.h: the numbers of its table by hand, and what must
// hold of them whatever the machine is.
#include <cmath>
#include <vector>

#include "tests/support/test.h"
#include "tools/limits/lower_bound.h"
#include "tools/support/call.h"

namespace ringside {
namespace {

using tools::LeastWork;
using tools::lower_bound_of;
using tools::lower_bound_us;
using tools::MachineProbe;

constexpr std::size_t kMiB = std::size_t{1} << 20;
// 100 ns a flag; 10 bytes copied a ns, 5 reduced, at any size.
MachineProbe flat_machine() { return {100, 0, {{4096, 10.0}}, {{4096, 5.0}}}; }

bool same(const LeastWork& a, const LeastWork& b) {
  return a.flags == b.flags && a.reduced_bytes == b.reduced_bytes &&
         a.copied_bytes == b.copied_bytes;
}

bool about(double a, double b) { return std::fabs(a - b) <= 1e-9 * std::fabs(b); }

}  // namespace

RINGSIDE_TEST(lower_bound, least_work_is_that_of_the_table) {
  constexpr std::size_t s = 4 * kMiB;
  struct Line {
    Kind kind;
    std::vector<LeastWork> ways;
  };
  const Line of_four[] = {
      {Kind::all_reduce, {{1, 3 * s, 0}, {2, 3 * kMiB, 3 * kMiB}}},
      {Kind::reduce, {{1, 3 * s, 0}, {2, 3 * kMiB, 3 * kMiB}}},
      {Kind::reduce_scatter, {{1, 3 * kMiB, 0}}},
      {Kind::all_gather, {{1, 0, 3 * kMiB}}},
      {Kind::gather, {{1, 0, 3 * kMiB}}},
      {Kind::all_to_all, {{1, 0, 3 * kMiB}}},
      {Kind::scatter, {{1, 0, kMiB}}},
      {Kind::broadcast, {{1, 0, s}}},
      {Kind::send_recv, {{1, 0, s}}},
      {Kind::barrier, {{1, 0, 0}}},
      // Ten shares: the last rank has four of them, the first one.
      {Kind::reduce_scatter_v, {{1, 3 * (s - 2'516'582), 0}}},
      {Kind::all_gather_v, {{1, 0, s - 419'430}}},
  };
  CHECK_EQ(std::size(of_four), tools::kMeasuredKinds.size());
  for (const Line& line : of_four) {
    const std::vector<LeastWork> ways = tools::least_work(line.kind, 4, s);
    CHECK_EQ(ways.size(), line.ways.size());
    for (std::size_t i = 0; i < ways.size() && i < line.ways.size(); ++i)
      CHECK_MSG(same(ways[i], line.ways[i]), "%s, way %zu: %d flags, %zu reduced, %zu copied",
                tools::row_name(line.kind), i, ways[i].flags, ways[i].reduced_bytes,
                ways[i].copied_bytes);
  }
}

RINGSIDE_TEST(lower_bound, lower_bound_adds_flags_reductions_and_copies_at_their_rates) {
  // 2·100 ns + 5000/5 ns + 20000/10 ns
  CHECK(about(lower_bound_us({2, 5000, 20000}, flat_machine()), 3.2));
  CHECK_EQ(lower_bound_us({0, 0, 0}, flat_machine()), 0.0);
  CHECK(about(lower_bound_us({3, 0, 0}, flat_machine()), 0.3));
}

RINGSIDE_TEST(lower_bound, small_all_reduces_save_a_flag_and_large_ones_save_bytes) {
  const MachineProbe machine = flat_machine();
  CHECK_EQ(lower_bound_of(Kind::all_reduce, 4, 8, machine).work.flags, 1);
  CHECK_EQ(lower_bound_of(Kind::all_reduce, 4, kMiB, machine).work.flags, 2);
  // 300 ns more of bytes is what the second flag costs on this machine, at about 266 bytes.
  CHECK_EQ(lower_bound_of(Kind::all_reduce, 4, 256, machine).work.flags, 1);
  CHECK_EQ(lower_bound_of(Kind::all_reduce, 4, 280, machine).work.flags, 2);
}

RINGSIDE_TEST(lower_bound, one_rank_needs_no_flag_and_nothing_is_divided_by_zero) {
  MachineProbe machine = flat_machine();
  machine.flag_ns = 0;
  for (const Kind kind : tools::kMeasuredKinds)
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{8}, kMiB}) {
      const tools::LowerBound lower_bound = lower_bound_of(kind, 1, bytes, machine);
      CHECK_EQ(lower_bound.work.flags, 0);
      CHECK(std::isfinite(lower_bound.time_us) && lower_bound.time_us >= 0);
    }
  CHECK_EQ(lower_bound_of(Kind::broadcast, 1, kMiB, machine).time_us, 0.0);
  CHECK(about(lower_bound_of(Kind::all_reduce, 1, 10000, machine).time_us, 1.0));
}

RINGSIDE_TEST(lower_bound, more_bytes_never_take_less_time) {
  for (const Kind kind : tools::kMeasuredKinds)
    for (const int ranks : {1, 2, 3, 8}) {
      double before = 0;
      for (std::size_t bytes = 0; bytes <= kMiB; bytes += 4096 * 7) {
        const double now = lower_bound_of(kind, ranks, bytes, flat_machine()).time_us;
        CHECK_MSG(now >= before, "%s of %zu bytes on %d ranks: %g after %g us",
                  tools::row_name(kind), bytes, ranks, now, before);
        before = now;
      }
    }
}

}  // namespace ringside
