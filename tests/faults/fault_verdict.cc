// The words that each fault must lead to, and whether the ranks have said them.
#include <algorithm>

#include "comm/error.h"
#include "tests/faults/fault_cell.h"

namespace ringside::test {
namespace {

using What = Injection::What;

using Parts = std::vector<std::string>;

// What every sentence must be: of one kind, and in one of these ways, with all of its parts.
struct Wanted {
  Fault fault;
  std::vector<Parts> ways;
};

// Two ranks meet that mean different things. Either may notice, and some only in the next call.
std::vector<Parts> ways_of_other_op(int rank) {
  const std::string here = text("rank %d, in barrier #", rank);
  const std::string different = ": the ranks are doing different things";
  const std::string there = text("the ranks are doing different things; rank %d (pid ", rank);
  return {{here + "2" + different},
          {here + "3" + different, "barrier #2 here"},
          {there, " is in barrier #2"},
          {there, "barrier #2 there"}};
}

// What a lost message of send leads to. Its sender has gone on, and then it is reported as lost;
// or still waits to send more of it, and then there is a wait cycle.
std::vector<Parts> ways_of_a_lost_message(const FaultCell& cell) {
  const int sender = cell.fault.rank, receiver = cell.call->receiver(sender, cell.ranks);
  const std::string who = text("rank %d (pid ", sender);
  const std::string waits = text("waiting for rank %d to send slice", sender);
  const std::string receives = text("rank %d in send/recv #", receiver);
  const Parts stuck = {"in a cycle", text("rank %d in send/recv #", sender),
                       text("waiting for rank %d to make room for slice", receiver), receives,
                       waits};
  std::vector<Parts> ways = {
      stuck,
      {"a message of " + who,
       text(" to rank %d was lost: rank %d is in send/recv #", receiver, receiver), waits}};
  // The messages of an exchange are over together: until then none is known to have been sent.
  if (std::string(cell.call->shape) == "exchange")
    ways.push_back({"in a cycle", receives, waits, text("rank %d in send/recv #", sender)});
  return ways;
}

// What the call of the fault is called: messages have numbers that differ from rank to rank.
std::string faulty_call(const FaultCell& cell) {
  if (cell.call->receiver != nullptr) return text("%s #", cell.call->name);
  return text("%s #%d", cell.call->name, static_cast<int>(cell.fault.op));
}

Wanted wanted(const FaultCell& cell) {
  const int rank = cell.fault.rank;
  const std::string who = text("rank %d (pid ", rank);
  const std::string call = faulty_call(cell);
  const std::string no_start = text("rank %d could not start: cannot ", rank);
  switch (cell.fault.what) {
    case What::die:
      return {Fault::died, {{who, " has died; seen while "}}};
    case What::drop_signal:
      if (cell.call->receiver != nullptr) return {Fault::timeout, ways_of_a_lost_message(cell)};
      return {Fault::timeout, {{"a message of " + who, " was lost: rank ", " is in " + call}}};
    case What::corrupt_header:
      return {Fault::protocol, {{"a flag from " + who, " is damaged", "in " + call}}};
    case What::other_op:
      return {Fault::mismatch, ways_of_other_op(rank)};
    case What::refuse:
      return {Fault::system, {{no_start + "open the window of rank"}}};
    case What::no_memory:
      return {Fault::system, {{no_start + "allocate "}}};
    default:
      if (cell.fault.step > 0)
        return {Fault::timeout, {{"; " + who, "is alive, and it has been in " + call}}};
      return {Fault::timeout,
              {{"; " + who, "is alive, and it has not entered ",
                "last call was " + (cell.fault.op == kFaultyOp
                                        ? std::string("all_reduce #1 ")
                                        : text("%s #%d ", cell.call->name,
                                               static_cast<int>(cell.fault.op - 1)))}}};
  }
}

bool has(const std::string& sentence, const Wanted& wanted) {
  return std::any_of(wanted.ways.begin(), wanted.ways.end(), [&](const Parts& parts) {
    return std::all_of(parts.begin(), parts.end(),
                       [&](const std::string& part) { return contains(sentence, part); });
  });
}

}  // namespace

std::string judge(const FaultCell& cell, const std::vector<Ending>& endings) {
  const Wanted want = wanted(cell);
  std::string complaint;
  for (std::size_t rank = 0; rank < endings.size(); ++rank) {
    const Ending& it = endings[rank];
    if (cell.fault.what == What::die && static_cast<int>(rank) == cell.fault.rank) continue;
    if (it.failed && it.fault == want.fault && has(it.sentence, want)) continue;
    complaint += text("%s: rank %zu wanted %s with '%s', got %s: %s\n", describe(cell).c_str(),
                      rank, name_of(want.fault), want.ways[0][0].c_str(),
                      it.failed ? name_of(it.fault) : "nothing", it.sentence.c_str());
  }
  return complaint;
}

}  // namespace ringside::test
