// The bench run by threads, on memory of the host or of a GPU that the host plays.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "comm/bootstrap/threads.h"
#include "comm/error.h"
#include "tests/tools/host_gpu.h"
#include "tools/report/bench.h"

namespace ringside::test {

// As rank 0 has it.
struct BenchResult {
  int status = -1;
  std::string words;    // what was printed
  std::string refused;  // the Error with which it ended
};

inline BenchResult bench_with_threads(int ranks, const tools::Arguments& arguments,
                                      const Options& options,
                                      const std::function<HostGpuOptions(int rank)>& gpu_of = {},
                                      const tools::MakeFlag& flag = tools::flag_between) {
  char* words = nullptr;
  std::size_t bytes = 0;
  std::FILE* const out = ::open_memstream(&words, &bytes);
  BenchResult result;
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    const auto make = [&](int) -> std::shared_ptr<tools::Gpu> {
      return std::make_shared<HostGpu>(gpu_of ? gpu_of(bootstrap.rank()) : HostGpuOptions{});
    };
    try {
      const int status = tools::run_bench(bootstrap, arguments, options, out, make, flag);
      if (bootstrap.rank() == 0) result.status = status;
    } catch (const Error& error) {
      if (bootstrap.rank() == 0) result.refused = error.what();
    }
  });
  std::fclose(out);
  result.words = words;
  std::free(words);
  return result;
}

// No estimates: how often to call is agreed upon by a collective, which a test may have spoiled.
inline tools::Arguments few_calls(Kind kind, std::size_t bytes, int warmup = 0) {
  tools::Arguments arguments;
  arguments.kinds = {kind};
  arguments.begin_bytes = arguments.end_bytes = bytes;
  arguments.iterations = 3;
  arguments.warmup = warmup;
  return arguments;
}

}  // namespace ringside::test
