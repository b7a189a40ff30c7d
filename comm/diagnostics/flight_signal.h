// SIGUSR1: "what are you doing?" A process that was asked writes the flight records of its
// communicators (flight_record.h) and goes on.
//
// It must answer while its ranks wait, compute, or are stuck: so a thread does it, which sleeps
// until the signal comes. A signal handler may do very little; this one makes a descriptor
// readable. Both are there only while a communicator is that has a folder to write to
// (RINGSIDE_FLIGHT), and only if the program has no handler for SIGUSR1 of its own, which could
// call Communicator::write_flight() instead.
#pragma once

#include <string>

#include "comm/peers/peers.h"

namespace ringside {

// While it lives, the signal writes the record of this rank too.
class FlightOnSignal {
 public:
  FlightOnSignal(const Peers& peers, const std::string& folder);
  ~FlightOnSignal();
  FlightOnSignal(const FlightOnSignal&) = delete;
  FlightOnSignal& operator=(const FlightOnSignal&) = delete;

 private:
  const Peers& peers_;
};

}  // namespace ringside
