// The flight recorder: what every rank has called lately, written to files when something is wrong.
//
// When ranks take different turns in their programs, the sentence that ends the job names the call
// in which that came out. How they got there is in the calls before it. Every rank's status page
// holds its last 1,024 (status page.h), at no cost beyond the status page's; this file writes them
// down, as JSON:
//
//   - when a call fails (Communicator breaks)
//   - on SIGUSR1 (flight_signal.h), for a job that seems to hang
//   - by Communicator::write_flight(), at any time
//
// into the folder that RINGSIDE_FLIGHT names; unless it is set, no file is ever written by itself.
// `tools/flight FOLDER` lays the records of all ranks side by side and names the first call in
// which they differ.
//
// A rank that was killed, or is stopped, or never comes back to its communicator, writes nothing.
// But its status page is mapped by its peers. So whoever writes its own record also writes those of
// the others that it can read, unless theirs have been written just now. One living rank is enough.
#pragma once

#include <string>

#include "comm/peers/peers.h"

namespace ringside {

// A rank's record as a JSON object. `why`: "error", "signal", "asked".
std::string flight_json(const Peers& peers, int rank, const char* why);

// "flight-HOST-PID-K-rank2.json": the K-th communicator that rank 0's process PID on HOST made.
std::string flight_name(const Peers& peers, int rank);

// Writes this rank's record into `folder`, and the others' as told above; each file is whole or not
// there. Returns what went wrong, as a sentence, or nothing. Does not throw: it is called when
// things go wrong already.
std::string write_flight(const Peers& peers, const std::string& folder, const char* why) noexcept;

}  // namespace ringside
