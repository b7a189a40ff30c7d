// The bench from the inside: whether it would notice a wrong result, and by which rule a baseline
// is right. What it prints as a program is tested in bench_cli.cc.
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "tests/support/test.h"
#include "tests/tools/bench.h"
#include "tools/measure/measure.h"
#include "tools/measure/pin.h"
#include "tools/support/buffers.h"
#include "tools/support/command_line.h"
#include "tools/support/faulty_transport.h"
#include "tools/support/oracle.h"

namespace ringside {
namespace {

using test::BenchResult;
using test::contains;
using tools::Arguments;

// Turns the sign of the last number in every put that is large enough to be a row's data. (A change
// in its lowest bit would be rounded away by most sums.)
class SpoiledPut : public PeerWindowAround {
 public:
  using PeerWindowAround::PeerWindowAround;
  static constexpr std::size_t kLeastBytes = 512;

  void put(std::size_t offset_bytes, const void* source, std::size_t bytes) override {
    PeerWindowAround::put(offset_bytes, source, bytes);
    if (bytes < kLeastBytes) return;
    const std::byte spoiled = static_cast<const std::byte*>(source)[bytes - 1] ^ std::byte{0x80};
    PeerWindowAround::put(offset_bytes + bytes - 1, &spoiled, 1);
  }
};

// ringside, but one element of each rank's result is changed after the call.
class SpoilsOne : public tools::Ringside {
 public:
  SpoilsOne(Communicator& comm, bool exact) : Ringside(comm), exact_(exact) {}
  void call(const Operation& what, tools::Sides at) override {
    Ringside::call(what, at);
    at.recv[bytes_of(what.dtype) - 1] ^= std::byte{0x40};  // in the exponent of a float
  }
  bool has_our_bits() const override { return exact_; }

 private:
  bool exact_;
};

BenchResult bench_with(const Arguments& arguments, const Options::Decorate& decorate) {
  Options options;
  options.decorate = decorate;
  return test::bench_with_threads(2, arguments, options);
}

}  // namespace

RINGSIDE_TEST(bench_mutants, spoiled_messages_are_counted_and_end_in_status_1) {
  for (const Kind kind :
       {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather, Kind::broadcast, Kind::all_to_all,
        Kind::send_recv, Kind::reduce_scatter_v, Kind::all_gather_v}) {
    const Arguments arguments = test::few_calls(kind, 4096);
    const BenchResult good = bench_with(arguments, unmapped());
    CHECK_EQ(good.status, 0);
    CHECK(contains(good.words, "# Out of bounds values : 0 OK"));
    const BenchResult bad = bench_with(arguments, decorate_with<SpoiledPut>());
    CHECK_MSG(bad.status == 1, "%s: status %d", tools::row_name(kind), bad.status);
    CHECK_MSG(contains(bad.words, " FAILED") && !contains(bad.words, "0 OK"), "%s",
              bad.words.c_str());
  }
}

RINGSIDE_TEST(bench_mutants, a_wrong_element_is_counted_once_on_each_rank) {
  for (const Kind kind : {Kind::all_reduce, Kind::all_gather, Kind::scatter, Kind::send_recv})
    for (const bool exact : {true, false})
      run_as_threads(3, [&](Bootstrap& bootstrap) {
        Communicator comm(bootstrap, Options{});
        tools::Buffers buffers(6000);
        tools::Ringside right(comm);
        SpoilsOne wrong(comm, exact);
        const Operation what =
            tools::operation_of(kind, DType::f32, Reduction::sum, 6000, comm.size());
        CHECK_EQ(tools::check_once(comm, right, buffers, what, false), 0u);
        CHECK_EQ(tools::check_once(comm, wrong, buffers, what, false), 3u);
      });
}

// On either memory a right result is seen as right, and a wrong one as wrong.
RINGSIDE_TEST(bench_mutants, a_wrong_element_is_counted_on_either_memory) {
  for (const tools::Memory memory : tools::kAllMemory)
    for (const Kind kind : {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather})
      run_as_threads(2, [&](Bootstrap& bootstrap) {
        Communicator comm(bootstrap, Options{});
        tools::Buffers buffers(100'000, memory);
        tools::Ringside right(comm);
        SpoilsOne wrong(comm, true);
        const Operation what =
            tools::operation_of(kind, DType::f32, Reduction::sum, 100'000, comm.size());
        for (const bool in_place : {false, true})
          CHECK_EQ(tools::check_once(comm, right, buffers, what, in_place), 0u);
        CHECK_EQ(tools::check_once(comm, wrong, buffers, what, false), 2u);
      });
}

RINGSIDE_TEST(bench_mutants, what_a_call_does_not_write_is_wrong) {
  struct DoesNothing : tools::Library {
    const char* name() const override { return "nothing"; }
    void call(const Operation&, tools::Sides) override {}
  };
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, Options{});
    tools::Buffers buffers(4096);
    DoesNothing nothing;
    for (const Kind kind : {Kind::all_reduce, Kind::all_gather, Kind::send_recv}) {
      const Operation what = tools::operation_of(kind, DType::i32, Reduction::sum, 4096, 2);
      CHECK_EQ(tools::check_once(comm, nothing, buffers, what, false),
               2 * tools::output_count(what, 0, 2));
    }
  });
}

// A baseline adds in an order of its own: right within n − 1 roundings, and not beyond.
RINGSIDE_TEST(bench, another_order_of_additions_is_right_and_little_more_is_wrong) {
  constexpr int kRanks = 5;
  constexpr std::size_t kCount = 2000;
  const Operation what{Kind::all_reduce, DType::f32, Reduction::sum, 0, kCount};
  std::vector<float> sum(kCount, 0.0f), input(kCount), magnitudes(kCount, 0.0f);
  for (int rank = kRanks - 1; rank >= 0; --rank) {  // from the last to the first
    tools::fill_input(input.data(), kCount, what.dtype, what.reduction, rank);
    for (std::size_t i = 0; i < kCount; ++i) sum[i] += input[i];
    for (std::size_t i = 0; i < kCount; ++i) magnitudes[i] += std::abs(input[i]);
  }
  CHECK(tools::count_wrong(sum.data(), what, 0, kRanks) > 0);
  CHECK_EQ(tools::count_beyond_rounding(sum.data(), what, 0, kRanks), 0u);
  // Twice the bound away, everywhere.
  for (std::size_t i = 0; i < kCount; ++i) sum[i] += magnitudes[i] * 2 * (kRanks - 1) * 0x1p-24f;
  CHECK_EQ(tools::count_beyond_rounding(sum.data(), what, 0, kRanks), kCount);
}

RINGSIDE_TEST(bench, integers_maxima_and_moved_bytes_have_no_rounding) {
  constexpr int kRanks = 2;
  constexpr std::size_t kCount = 100;
  const auto last_bit_matters = [&](const Operation& what) {
    std::vector<std::byte> output(kCount * 8);
    const auto right = [&] {
      return tools::count_beyond_rounding(output.data(), what, 0, kRanks) == 0;
    };
    // Found by asking: what comes from the left of rank 0 is rank 1's input.
    tools::fill_input(output.data(), kCount, what.dtype, Reduction::sum, 1);
    const bool before = right();
    output[0] ^= std::byte{1};
    return before && !right();
  };
  CHECK(last_bit_matters({Kind::send_recv, DType::f32, Reduction::sum, 0, kCount}));
  CHECK(last_bit_matters({Kind::send_recv, DType::i64, Reduction::sum, 0, kCount}));
  CHECK(last_bit_matters({Kind::broadcast, DType::f64, Reduction::sum, 1, kCount}));

  std::vector<float> a(kCount), b(kCount);
  const Operation maximum{Kind::all_reduce, DType::f32, Reduction::max, 0, kCount};
  tools::fill_input(a.data(), kCount, DType::f32, Reduction::max, 0);
  tools::fill_input(b.data(), kCount, DType::f32, Reduction::max, 1);
  for (std::size_t i = 0; i < kCount; ++i) a[i] = std::max(a[i], b[i]);
  CHECK_EQ(tools::count_beyond_rounding(a.data(), maximum, 0, kRanks), 0u);
  a[7] = std::nextafter(a[7], 100.0f);
  CHECK_EQ(tools::count_beyond_rounding(a.data(), maximum, 0, kRanks), 1u);
}

// Each rank looks at where it may run: before, while it is bound, and afterwards.
RINGSIDE_TEST(bench,
              ranks_are_bound_to_cores_of_their_own_for_a_while_and_only_if_there_are_enough) {
  const auto allowed = [] {
    cpu_set_t cores;
    ::sched_getaffinity(0, sizeof cores, &cores);
    return cores;
  };
  const int cores = [&] {
    const cpu_set_t here = allowed();
    return CPU_COUNT(&here);
  }();
  for (const int ranks : {1, std::min(cores, 4), cores + 1}) {
    std::vector<cpu_set_t> bound(static_cast<std::size_t>(ranks));
    run_as_threads(ranks, [&](Bootstrap& bootstrap) {
      Communicator comm(bootstrap, Options{});
      const cpu_set_t before = allowed();
      {
        const tools::CoreBinding binding(comm);
        CHECK_EQ(binding.own_cores(), ranks <= cores);
        bound[static_cast<std::size_t>(bootstrap.rank())] = allowed();
      }
      const cpu_set_t after = allowed();
      CHECK(CPU_EQUAL(&before, &after));
    });
    cpu_set_t together;
    CPU_ZERO(&together);
    for (const cpu_set_t& it : bound) {
      CHECK_EQ(CPU_COUNT(&it), ranks <= cores ? 1 : cores);
      CPU_OR(&together, &together, &it);
    }
    CHECK_EQ(CPU_COUNT(&together), std::min(ranks, cores));
  }
}

RINGSIDE_TEST(bench, buffers_are_zero_and_apart_whatever_memory_they_are_of) {
  for (const tools::Memory memory : tools::kAllMemory)
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{4096}, std::size_t{100'001}}) {
      tools::Buffers buffers(bytes, memory);
      const auto all_are = [&](std::byte* at, std::byte value) {
        return std::all_of(at, at + bytes, [&](std::byte it) { return it == value; });
      };
      CHECK(all_are(buffers.first(), std::byte{0}) && all_are(buffers.second(), std::byte{0}));
      std::fill_n(buffers.first(), bytes, std::byte{0xff});
      CHECK(all_are(buffers.first(), std::byte{0xff}) && all_are(buffers.second(), std::byte{0}));
    }
}

RINGSIDE_TEST(bench, memory_is_known_by_its_names_alone) {
  for (const tools::Memory memory : tools::kAllMemory)
    CHECK(tools::read_one("--memory", tools::name_of(memory), tools::kAllMemory) == memory);
  for (const char* name : {"", "an", "Any", "allocated", "malloc"}) {
    try {
      tools::read_one("--memory", name, tools::kAllMemory);
      CHECK_MSG(false, "'%s' is taken", name);
    } catch (const Error& error) {
      CHECK(error.fault() == Fault::usage);
    }
  }
}

RINGSIDE_TEST(bench, quartiles_are_values_of_the_series) {
  const tools::Quartiles of_five = tools::quartiles_of({5, 1, 4, 2, 3});
  CHECK_EQ(of_five.low, 2.0);
  CHECK_EQ(of_five.median, 3.0);
  CHECK_EQ(of_five.high, 4.0);
  const tools::Quartiles of_one = tools::quartiles_of({7});
  CHECK(of_one.low == 7 && of_one.median == 7 && of_one.high == 7);
  CHECK_EQ(tools::quartiles_of({}).median, 0.0);
}

// 1'000'000 is the largest -n. Above 4 KiB there are as many samples as calls.
RINGSIDE_TEST(bench, calls_are_spread_evenly_over_the_samples) {
  for (const auto& [calls, samples] :
       {std::pair{1'000'000, 1'000'000}, {1'000'000, 51}, {50'000, 49'999}, {7, 7}, {100, 51}}) {
    std::int64_t sum = 0;
    int fewest = calls, most = 0;
    for (int sample = 0; sample < samples; ++sample) {
      const int batch = tools::calls_of_sample(calls, sample, samples);
      sum += batch;
      fewest = std::min(fewest, batch);
      most = std::max(most, batch);
    }
    CHECK_EQ(sum, calls);
    CHECK_EQ(fewest, calls / samples);
    CHECK(most <= fewest + 1);
  }
}

// Every element belongs to one rank, also where ranks outnumber elements.
RINGSIDE_TEST(bench, ragged_counts_add_up) {
  CHECK(tools::ragged_counts(10, 4) == (std::vector<std::size_t>{1, 2, 3, 4}));
  for (const int size : {1, 2, 3, 7, 64})
    for (const std::size_t count :
         {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{999}, SIZE_MAX / 16}) {
      const std::vector<std::size_t> counts = tools::ragged_counts(count, size);
      CHECK_EQ(counts.size(), static_cast<std::size_t>(size));
      CHECK_EQ(std::accumulate(counts.begin(), counts.end(), std::size_t{0}), count);
      CHECK(counts.back() >= counts.front());
    }
}

}  // namespace ringside
