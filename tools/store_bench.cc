// store_bench: what a store costs where another core has just read, and a load where another core
// has just stored. docs/08-measuring.md tells the story; comm/transport/stores.h draws the
// consequence.
//
// Two threads, each on a core of its own, and two blocks of memory. In turns: one copies into the
// other's block, the other copies that out again. At once: both do both, as two ranks of a ring.
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "comm/error.h"
#include "comm/transport/signal.h"
#include "comm/util/deadline.h"
#include "comm/util/json.h"
#include "kernels/loops.h"
#include "tools/limits/core_distance.h"
#include "tools/support/command_line.h"
#include "tools/support/run_ranks.h"

namespace {

using namespace ringside;
using namespace ringside::tools;

constexpr const char* kTool = "store_bench";

struct Arguments {
  std::size_t begin_bytes = 1024, end_bytes = 1 << 20;
  bool json = false;
  Request request = Request::none;
};

std::vector<OptionRow> options_of(Arguments& it) {
  return {
      {"-b, --minbytes", "SIZE", "first size of a block (1K)", to_bytes(it.begin_bytes)},
      {"-e, --maxbytes", "SIZE", "last size, four times as much each (1M)", to_bytes(it.end_bytes)},
      {"--json", "", "one JSON object, for machines", to_true(it.json)},
      help_row(it.request),
      version_row(it.request)};
}

std::string help() {
  Arguments unused;
  return "store_bench: what a store costs where another core has just read.\n\n"
         "  ./tools/store_bench            two threads, each on a core of its own\n\n"
         "Where two cores share a cache, stores through it are the fastest; where they do not, "
         "each\nline must first be taken away from the other core, and stores past the caches are "
         "ten\ntimes as fast. Medians; a virtual machine's cores may move while it runs.\n\n" +
         options_help(options_of(unused));
}

// In µs.
struct Row {
  std::size_t bytes;
  std::array<double, 2> load, store, exchange;  // through the caches, past them
};

double median(std::vector<double>& times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

// What one thread has; the other one's is its mirror image.
class Side {
 public:
  Side(int number, std::size_t most_bytes)
      : number_(number), block_(most_bytes), own_(most_bytes) {}

  void meet(Side& other) {
    ++sequence_;
    other.seen_.store(sequence_, std::memory_order_release);
    for (int looks = 1; ahead(seen_.load(std::memory_order_acquire), sequence_) < 0; ++looks)
      if (looks % 10'000 == 0) std::this_thread::yield();
  }

  // Both go at once, so that each has the other's flag after one flag's time.
  double flag_ns(Side& other) {
    constexpr int kMeetings = 5000;
    for (int i = 0; i < kMeetings; ++i) meet(other);
    const double us = time_us([&] {
      for (int i = 0; i < kMeetings; ++i) meet(other);
    });
    return us * 1e3 / kMeetings;
  }

  Row measure(Side& other, std::size_t bytes) {
    Row row{bytes, {}, {}, {}};
    for (const std::size_t way : {0u, 1u}) {
      const auto store = way == 0 ? copy_bytes : copy_bytes_streaming;
      const std::size_t samples = std::clamp<std::size_t>((8 << 20) / bytes, 20, 500);
      std::vector<double> loads, stores, both;
      for (std::size_t i = 0; i < samples; ++i) {
        for (const int turn : {0, 1}) {
          if (turn == number_) stores.push_back(time_us([&] { put(other, store, bytes); }));
          meet(other);
          if (turn != number_) loads.push_back(time_us([&] { take(bytes); }));
          meet(other);
        }
        both.push_back(time_us([&] {
          put(other, store, bytes);
          meet(other);
          take(bytes);
        }));
        meet(other);
      }
      row.load[way] = median(loads), row.store[way] = median(stores),
      row.exchange[way] = median(both);
    }
    return row;
  }

 private:
  template <class Action>
  static double time_us(const Action& action) {
    const auto start = Clock::now();
    action();
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  }
  void put(Side& other, void (*store)(void*, const void*, std::size_t), std::size_t bytes) {
    store(other.block_.data(), own_.data(), bytes);
    drained_.exchange(1);  // returns when the stores before it have left this core
  }
  void take(std::size_t bytes) { copy_bytes(own_.data(), block_.data(), bytes); }

  int number_;
  std::uint32_t sequence_ = 0;
  alignas(2 * kLineBytes) std::atomic<std::uint32_t> seen_{0};
  alignas(2 * kLineBytes) std::atomic<int> drained_{0};
  std::vector<std::byte> block_;  // where the other one stores
  std::vector<std::byte> own_;
};

// The cores on which this process may run.
std::vector<int> cores() {
  cpu_set_t set;
  std::vector<int> all;
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    for (int core = 0; core < CPU_SETSIZE; ++core)
      if (CPU_ISSET(core, &set)) all.push_back(core);
  return all;
}

void bind_to(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

std::string table_row(const Row& row) {
  const auto gbs = [&](double us) { return static_cast<double>(row.bytes) / us / 1e3; };
  return text("%9zu %11.1f %15.1f %8.1f %15.2f %8.2f\n", row.bytes, gbs(row.load[0]),
              gbs(row.store[0]), gbs(row.store[1]), row.exchange[0], row.exchange[1]);
}

std::string table_head(double flag_ns) {
  return text("# flag latency %.0f ns: %s\n", flag_ns, core_distance(flag_ns).words) +
         "#           load what   store where it has read     both at once, there and back\n"
         "#    size   it stored    through     past caches      through   past caches\n"
         "#     (B)      (GB/s)     (GB/s)     (GB/s)              (us)     (us)\n";
}

std::string json_of(double flag_ns, const std::vector<Row>& rows) {
  JsonWriter json(2);
  json.object().field("tool", kTool, "flag_ns", flag_ns, "cores", core_distance(flag_ns).name);
  json.array("rows");
  for (const Row& it : rows)
    json.object()
        .field("bytes", it.bytes, "load_us", it.load[0], "store_cached_us", it.store[0],
               "store_streaming_us", it.store[1], "exchange_cached_us", it.exchange[0],
               "exchange_streaming_us", it.exchange[1])
        .end();
  return json.end().end().text();
}

int run(const Arguments& arguments) {
  const std::vector<int> there = cores();
  if (there.size() < 2) {
    std::fprintf(stderr, "%s: two cores are needed, and this process may use one\n", kTool);
    return 1;
  }
  std::array<Side, 2> sides{Side(0, arguments.end_bytes), Side(1, arguments.end_bytes)};
  double flag_ns = 0;
  std::vector<Row> rows;
  const auto play = [&](std::size_t me) {
    bind_to(there[me]);
    const double flag = sides[me].flag_ns(sides[1 - me]);
    if (me == 0) flag_ns = flag;
    if (me == 0 && !arguments.json) std::fputs(table_head(flag).c_str(), stdout);
    for (std::size_t bytes = arguments.begin_bytes; bytes <= arguments.end_bytes; bytes *= 4) {
      const Row row = sides[me].measure(sides[1 - me], bytes);
      if (me != 0) continue;
      rows.push_back(row);
      if (!arguments.json) std::fputs(table_row(row).c_str(), stdout);
    }
  };
  std::thread other(play, 1);
  play(0);
  other.join();
  return print_once(kTool, arguments.json ? json_of(flag_ns, rows) : "");
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  try {
    read_options(argc, argv, options_of(arguments));
    if (arguments.request != Request::none)
      return print_once(kTool, answer(arguments.request, kTool, help));
    if (arguments.begin_bytes < 64 || arguments.begin_bytes > arguments.end_bytes ||
        arguments.end_bytes > std::size_t{1} << 30)
      throw Error(Fault::usage, "sizes run from -b to -e, at least 64 and at most 1G");
    return run(arguments);
  } catch (const Error& error) {
    return refuse(kTool, error.what());
  }
}
