// The timeline in a file: the traces (comm/diagnostics/trace.h) of all ranks in one, for
// ui.perfetto.dev or chrome://tracing. A track is a rank; on it lie calls, in a call its steps, in
// a step the waits; arrows lead from where a message is sent to where it is received.
//
// The format is Chrome's Trace Event Format, as JSON. Every rank writes what it has itself, at its
// end, so that nothing has to be sent when something is wrong:
//
//     { …, "traceEvents": [        rank 0, before the communicator is made
//       …,                         each rank at its end, also by an error: over the bracket, under
//     ]}                           a lock (flock), and then the bracket again
//
// So what lies there is whole JSON, whoever has not come or never will.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "comm/bootstrap/bootstrap.h"
#include "comm/diagnostics/trace.h"
#include "comm/options.h"
#include "tools/measure/options.h"

namespace ringside::tools {

// Runs `body` with options that trace, and writes the file however it ends: after the sentence, if
// there is one. With an empty path it only runs it. Returns the rank's exit status (run_guarded,
// run_ranks.h): 1, with a sentence, also where the file cannot be written at the end. Where it
// cannot be made, all ranks' communicators refuse to start, with the sentence (Options::refused).
int run_traced(const char* tool, const std::string& path, int rank, const Options& options,
               const std::function<int(const Options&)>& body);

// The main() of a tool with the options of measure/options.h: `body` on each rank, with a fault, an
// executor and a trace where they are asked for.
int run_measuring_tool(
    const char* name, Tool tool, int argc, char** argv,
    const std::function<int(Bootstrap&, const Arguments&, const Options&)>& body);

// The parts. A file without events; an older one is overwritten. Throws Error{usage}.
void create_trace_file(const char* tool, const std::string& path);
// Adds a rank's events. Throws Error{system}.
void append_trace(const std::string& path, int rank, const Trace& trace);

// A rank's events, each on a line of its own and none after the last. Times are counted from
// `base_ns`.
std::string trace_events(int rank, const Trace& trace, std::int64_t base_ns);

}  // namespace ringside::tools
