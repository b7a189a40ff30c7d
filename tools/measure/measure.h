// Measuring one row of a table: one operation, type, reduction and size, by one library or by
// several in turns.
//
// What is honest costs some care:
//
//   - The input changes before every call, by a store into each of its cache lines. A library that
//     maps its baselines' memory would otherwise find in its cache what it read the last time.
//   - Large calls are timed one by one, and the input is rewritten between them, outside the timed
//     region. Up to kBatchedBytes a clock and a meeting of all ranks would cost as much as the
//     call, so calls are timed in batches, and the few stores before each are inside, alike for
//     everybody. (Not in a GPU's memory, where such a store is an order of its own and takes as
//     long as the call: there the input changes before each batch. No cache that a kernel reads a
//     baseline's memory through outlives the kernel.)
//   - Libraries are compared in pairs of samples taken one right after the other, in alternating
//     order: when the machine is disturbed or the cores move, both sides of a pair feel it. Before
//     each sample the library makes a call that is not timed, as the other has had the caches.
//   - A call is over when the last rank has finished it. The time of a sample is the longest over
//     the ranks; the result is the median over samples.
//   - With --skew one rank comes late on purpose, each in turn, and the time is its own:
//     the others have been waiting for it, and from its call on the work can be done.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "comm/algorithms/operation.h"
#include "comm/communicator.h"
#include "tools/measure/options.h"
#include "tools/support/call.h"

namespace ringside::tools {

inline constexpr std::size_t kBatchedBytes = 4096;

// Where the values of several samples lie.
struct Quartiles {
  double low = 0, median = 0, high = 0;  // 25 %, 50 % and 75 % of them are below
};
Quartiles quartiles_of(std::vector<double> values);

// How many of `calls` are in sample number `sample` of `samples`: as equal as can be, at least one
// if there are as many calls as samples, and all of them together.
int calls_of_sample(int calls, int sample, int samples);

struct Timing {
  Quartiles spread_us;
  double time_us = 0;     // the median
  double algbw_gbs = 0;   // size / time; GB = 10⁹ bytes
  double busbw_gbs = 0;   // algbw × bus_factor
  std::size_t wrong = 0;  // elements, over all ranks
};

// A baseline's part in a row.
struct BaselineTiming {
  Library::Part part;  // what it did, or why it did nothing: then the rest is empty
  Timing timing;
  Quartiles
      ratio;  // of paired samples: the baseline's time / ringside's. Above 1 ringside is faster.
};

// What measuring one row gives; the table adds what explains it (tools/report/table.h: Row).
struct RowTiming {
  Operation what;
  std::size_t size_bytes = 0;  // of the whole buffer, of all parts where ranks have parts
  std::size_t samples = 0;     // of which times and ratios are medians
  Timing out_of_place;
  std::optional<Timing> in_place;
  std::optional<BaselineTiming> baseline;
};

// µs from then until now.
double us_since(std::chrono::steady_clock::time_point start);

// What each call pays for its notes to the other ranks, the status page and with it the flight
// recorder (comm/control/status.h): reading the coarse clock, noting the call, noting its end. The
// median of many batches, in this rank's own memory; nobody reads the status page meanwhile.
double status_cost_ns();

// Collective. `baseline` may be null; `in_place`: measure that too, where there is such a call.
RowTiming measure_row(Communicator& comm, Library* baseline, Buffers& buffers,
                      const Operation& what, const Arguments& arguments, bool in_place);

// `library` makes the call once on inputs from the oracle, into poisoned outputs. Returns the wrong
// elements of all ranks. Collective.
std::size_t check_once(Communicator& comm, Library& library, Buffers& buffers,
                       const Operation& what, bool in_place);

}  // namespace ringside::tools
