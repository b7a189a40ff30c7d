// bench: every operation, measured; against other libraries, and against what the machine can do.
//
// What it does, in order, is tools/report/bench.cc; how a row is measured, tools/measure/measure.h;
// what the lower bound is, tools/limits/lower_bound.h. docs/08-measuring.md explains why.
#include <cstdio>

#include "tools/report/bench.h"
#include "tools/report/trace_file.h"

int main(int argc, char** argv) {
  using namespace ringside;
  using namespace ringside::tools;
  return run_measuring_tool(
      "bench", Tool::bench, argc, argv,
      [](Bootstrap& bootstrap, const Arguments& arguments, const Options& options) {
        return run_bench(bootstrap, arguments, options, stdout);
      });
}
