// What the tests of the prover share: recording an algorithm by the name of its claim, proving
// it in one line, and showing recorded words as text, so that two programs can be compared and a
// reader sees where they part.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "comm/algorithms/mesh.h"
#include "comm/algorithms/one_shot.h"
#include "comm/algorithms/program.h"
#include "comm/algorithms/ring.h"
#include "comm/algorithms/run.h"
#include "comm/algorithms/two_shot.h"
#include "comm/error.h"
#include "comm/verify/prove.h"
#include "tests/support/test.h"

namespace ringside::test {

inline constexpr Kind kSpecified[] = {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather,
                                      Kind::broadcast,  Kind::reduce,         Kind::gather,
                                      Kind::scatter,    Kind::all_to_all};

inline constexpr int kMostProvedRanks = kSanitized ? 12 : 64;

// The algorithm that runs, recorded for all ranks of a ring of `size`.
inline std::vector<Program> programs_of(Kind kind, int size, std::size_t slices, int root = 0) {
  return record_all(size, slices, [&](Recorder& executor, const Ring& ring) {
    run_algorithm(kind, traits(kind).algorithm, executor, ring, root);
  });
}

// The other algorithms of all_reduce.
inline std::vector<Program> one_shot_programs(int size) {
  return record_all(
      size, 1, [](Recorder& executor, const Ring& ring) { all_reduce_one_shot(executor, ring); });
}

inline std::vector<Program> two_shot_programs(int size, std::size_t slices) {
  return record_all(size, slices, [](Recorder& executor, const Ring& ring) {
    all_reduce_two_shot(executor, ring);
  });
}

// The real templates on another ring: `MutantRing{rank, size}` has Ring's members, one of them
// wrong.
template <class MutantRing, class Algorithm>
std::vector<Program> record_mutants(int size, std::size_t slices, const Algorithm& algorithm) {
  return record_all(size, slices, [&](Recorder& executor, const Ring& ring) {
    algorithm(executor, MutantRing{ring.rank, ring.size});
  });
}

// Like all_gather, but in two words: first all messages of a chunk out, then all of one in.
inline void send_then_receive(Recorder& executor, const Ring& ring) {
  for (std::size_t slice = 0; slice < executor.slices(); ++slice)
    executor.copy_input(ring.rank, slice);
  for (int step = 0; step < ring.steps(); ++step) {
    for (std::size_t slice = 0; slice < executor.slices(); ++slice)
      executor.send(ring.right(), {Place::output, ring.gather_send(step)}, slice);
    for (std::size_t slice = 0; slice < executor.slices(); ++slice)
      executor.receive(ring.left(), {Place::output, ring.gather_receive(step)}, slice);
  }
}

// "exchange_reduce: send input 2, receive partial 1; slice 0"
inline std::string show(const Step& step) {
  const char* const kPrimitives[] = {"exchange_reduce", "exchange",      "send",       "receive",
                                     "post_op",         "copy_input",    "send_input", "wait_input",
                                     "reduce_input",    "release_inputs"};
  const char* const kPlaces[] = {"input", "partial", "output", "scratch"};
  std::string line = kPrimitives[static_cast<int>(step.primitive)];
  line += ":";
  const auto is_named = [](Peer peer) {
    return peer.rank >= 0 && peer.connection == Connection::mesh;
  };
  if (is_named(step.to)) line += text(" to %d,", step.to.rank);
  if (is_named(step.from)) line += text(" from %d,", step.from.rank);
  if (step.send)
    line += text(" send %s %d,", kPlaces[static_cast<int>(step.send->place)], step.send->chunk);
  if (step.receive)
    line += text(" receive %s %d,", kPlaces[static_cast<int>(step.receive->place)],
                 step.receive->chunk);
  line.back() = ';';
  return line + text(" slice %zu", step.slice);
}

inline std::string show(const Program& program) {
  std::string lines;
  for (const Step& step : program) lines += show(step) + "\n";
  return lines;
}

}  // namespace ringside::test
