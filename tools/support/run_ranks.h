// How a tool comes to its ranks, and how it ends when a rank fails.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "comm/bootstrap/bootstrap.h"
#include "comm/communicator.h"
#include "comm/error.h"
#include "tools/support/command_line.h"
#include "tools/support/fault_injection.h"

namespace ringside::tools {

// Runs `body` once on each rank and returns the program's exit status.
//   threads > 0: ranks are threads. Otherwise, with RANK and WORLD_SIZE in the environment (from
//   tools/launch or torchrun), or under mpirun, this process is one rank. Otherwise: 4 threads.
// A rank whose body throws prints its sentence and makes the program exit with 1, or with 2 for
// Fault::usage. SIGTERM and SIGINT end waits with a sentence, since mpirun sends SIGTERM to all
// when one rank dies; then, but for mpirun's ranks, the program dies of the signal, so that a
// shell's loop ends too. If nobody reads what rank 0 prints (launch | head), all end quietly.
int run_ranks(const char* tool, int threads, const std::function<int(Bootstrap&)>& body);

// What run_ranks does with each rank: what `body` throws becomes a sentence on stderr and a status.
int run_guarded(const char* tool, int rank, const std::function<int()>& body);

// The same for a sentence that all ranks agree on (a bad option): only rank 0 prints it. Returns 2.
int refuse(const char* tool, const std::string& sentence);

// Prints once, from rank 0. Returns 0, or 1 with a sentence if the words could not be written.
int print_once(const char* tool, const std::string& words);

// The main() of a tool whose ranks all do `body` with its options: reads them with `parse`, or says
// why not; prints `help` where that is asked for.
template <class Parse, class Help, class Body>
int run_tool(const char* tool, const Parse& parse, const Help& help, const Body& body) {
  decltype(parse()) options;
  try {
    options = parse();
  } catch (const Error& error) {
    return refuse(tool, error.what());
  }
  if (options.request != Request::none)
    return print_once(tool, answer(options.request, tool, help));
  return run_ranks(tool, options.threads,
                   [&](Bootstrap& bootstrap) { return body(bootstrap, options); });
}

// The options from the environment, with the flag that SIGTERM and SIGINT set.
Options tool_options();
// The same, with a fault where one is asked for. Throws Error{usage} where it cannot be had.
Options tool_options(const Bootstrap& bootstrap, const std::optional<Injection>& fault);

}  // namespace ringside::tools
