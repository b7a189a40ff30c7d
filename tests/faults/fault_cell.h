// One cell of the fault matrix: which fault, in which algorithm, on which rank, at which step; the
// run of it; and what every rank must have said.
//
//     op 1   an all_reduce            before the fault
//     op 2   the algorithm            the fault
//     op 3   a barrier, and a 4th     ranks that had nothing to wait for in op 2 hear of it
//
// The algorithm may also be some ranks' messages, several calls on a rank: then the fault is in one
// of them, and the barriers come after.
//
// Ranks are threads here (run_cell). Deaths need processes: tests/programs/die_cells.cc.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/errors/endings.h"
#include "tools/support/fault_injection.h"

namespace ringside::test {

struct FaultyCall {
  const char* name;  // as in sentences: "all_reduce"
  Algorithm algorithm;
  void (*make)(Communicator& comm, float* send, float* recv);
  // Of messages: to whom a rank sends.
  int (*receiver)(int rank, int ranks) = nullptr;
  const char* shape = "";  // "chain"
};
const std::vector<FaultyCall>& faulty_calls();     // collectives
const std::vector<FaultyCall>& faulty_messages();  // send, recv, exchange

struct FaultCell {
  const FaultyCall* call = nullptr;
  int ranks = 2;
  Injection fault;  // op is from kFaultyOp on where it is to happen
  ControlChoice control = ControlChoice::automatic;
  bool exposes = false;  // buffers from allocate(), and all that does not fit a cell is exposed
};
inline constexpr std::uint64_t kFaultyOp = 2;

std::string describe(const FaultCell& cell);

// Where a fault can happen: the calls of each rank, and how many messages it sends in each.
struct Place {
  int rank;
  std::uint64_t op;
  int messages;
};
std::vector<Place> places_of(const FaultyCall& call, int ranks);

// The cells of one fault for 2 to `most_ranks` ranks: at each place from `first_step` to the last
// message; of a fault without steps step 0 only. With more than three ranks there are many, so a
// sample of the steps, unless RINGSIDE_TEST_EVERY_STEP=1 is in the environment.
std::vector<FaultCell> cells_of(Injection::What what, int first_step, bool has_steps,
                                const std::vector<FaultyCall>& calls, int most_ranks);

// Runs it. A rank that ends well has an Ending that has not failed.
std::vector<Ending> run_cell(const FaultCell& cell, double timeout_s);

// On a busy machine an innocent rank may not have run for as long as the deadline, and is then
// rightly named. So a cell that is not as it should be is tried once more with ten times the time;
// what is wrong about the library rather than the machine is wrong then too.
std::vector<Ending> patient_endings(const FaultCell& cell, double timeout_s);

// Does it for each cell, several side by side: most only wait for a deadline.
void for_each_cell(const std::vector<FaultCell>& cells,
                   const std::function<void(const FaultCell&)>& body);

// One rank's part. The communicator outlives it: what others see is the fault, and nobody's
// leaving, for as long as the caller wants.
Ending run_rank(const FaultCell& cell, Bootstrap& bootstrap, double timeout_s,
                std::optional<Communicator>& comm);

// What is wrong with what the ranks said, or nothing: each has failed with the right kind of error,
// in a sentence that names the rank at fault, no other one, and its call. A rank that died says
// nothing, and is not asked.
std::string judge(const FaultCell& cell, const std::vector<Ending>& endings);

}  // namespace ringside::test
