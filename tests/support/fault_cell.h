// One cell of the fault matrix: which fault, in which algorithm, on which rank, at which step; the
// run of it with ranks as threads; and what every rank must have said.
//
//     op 1   an all_reduce            before the fault
//     op 2   the algorithm            the fault
//     op 3   a barrier, and a 4th     ranks that had nothing to wait for in op 2 hear of it
#pragma once

#include <string>
#include <vector>

#include "comm/fault_injection.h"
#include "tests/support/endings.h"

namespace ringside::test {

struct FaultyCall {
  const char* name;  // as in sentences: "all_reduce"
  Algorithm algorithm;
  void (*make)(Communicator& comm, std::vector<float>& send, std::vector<float>& recv);
};
const std::vector<FaultyCall>& faulty_calls();

struct FaultCell {
  const FaultyCall* call = nullptr;
  int ranks = 2;
  Injection fault;  // op is kFaultyOp where it is to happen
  ControlChoice control = ControlChoice::automatic;
};
inline constexpr std::uint64_t kFaultyOp = 2;

std::string describe(const FaultCell& cell);

// How many messages each rank sends in the call: the steps that there are.
std::vector<int> messages_of(const FaultyCall& call, int ranks);

// Runs it. A rank that ends well has an Ending that has not failed.
std::vector<Ending> run_cell(const FaultCell& cell, double timeout_s);

// What is wrong with what the ranks said, or nothing: each has failed with the right kind of error,
// in a sentence that names the rank at fault, no other one, and its call.
std::string judge(const FaultCell& cell, const std::vector<Ending>& endings);

}  // namespace ringside::test
