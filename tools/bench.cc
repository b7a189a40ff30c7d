// bench: every operation, measured; against other libraries, and against what the machine can do.
//
// What it does, in order, is tools/report/bench.cc; how a row is measured, tools/measure/measure.h;
// what the lower bound is, tools/limits/lower_bound.h. docs/08-measuring.md explains why.
#include <cstdio>

#include "comm/error.h"
#include "tools/measure/options.h"
#include "tools/report/bench.h"
#include "tools/report/trace_file.h"
#include "tools/support/run_ranks.h"

int main(int argc, char** argv) {
  using namespace ringside;
  using namespace ringside::tools;
  constexpr const char* kTool = "bench";
  Arguments arguments;
  try {
    arguments = parse_arguments(argc, argv, Tool::bench);
  } catch (const Error& error) {
    return refuse(kTool, error.what());
  }
  if (arguments.help) return print_once(kTool, help_text(Tool::bench));
  return run_ranks(kTool, arguments.threads, [&](Bootstrap& bootstrap) {
    const Options options = with_executor(tool_options(bootstrap, arguments.fault), arguments);
    return run_traced(kTool, arguments.trace, bootstrap.rank(), options, [&](const Options& all) {
      return run_bench(bootstrap, arguments, all, stdout);
    });
  });
}
