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

// Proves it, and returns the proof for a closer look.
inline Proof check_holds(Context& t, Kind kind, const std::vector<Program>& programs,
                         std::size_t slices, const ProofRules& rules) {
  const Proof proof = prove(programs, kind, slices, rules);
  CHECK_MSG(
      proof.holds,
      "%s of %zu ranks, groups of %d, %zu slices, %d slots, %s%s%s, turns %d, seed %llu, root "
      "%d: %s",
      name_of(kind), programs.size(), rules.group_ranks, slices, rules.slots,
      rules.in_place ? "in place" : "out of place", rules.exposes ? ", exposes" : "",
      rules.in_order ? ", in order" : "", static_cast<int>(rules.turns),
      static_cast<unsigned long long>(rules.seed), rules.root, proof.why.c_str());
  return proof;
}

// The same rules whoever runs first.
inline std::vector<ProofRules> in_every_order(ProofRules rules) {
  std::vector<ProofRules> all;
  for (const Turns turns : {Turns::round_robin, Turns::eager, Turns::eager_down}) {
    rules.turns = turns;
    all.push_back(rules);
  }
  rules.turns = Turns::random;
  for (const std::uint64_t seed : {1, 2, 3}) {
    rules.seed = seed;
    all.push_back(rules);
  }
  return all;
}

// A mutant's: refuted, and by this sentence.
inline void check_violation(Context& t, const Proof& proof, const std::string& sentence) {
  CHECK(!proof.holds);
  CHECK_EQ(proof.why, sentence);
}

// Of four ranks that all send first: where a message has nowhere to wait, and where slots are full.
inline constexpr const char* kNobodyReceives =
    "deadlock: rank 0 waits for rank 1 to receive, rank 1 waits for rank 2 to receive, "
    "rank 2 waits for rank 3 to receive, and rank 3 waits for rank 0 to receive";
inline constexpr const char* kNoRoom =
    "deadlock: rank 0 waits for rank 1 to make room, rank 1 waits for rank 2 to make room, "
    "rank 2 waits for rank 3 to make room, and rank 3 waits for rank 0 to make room";

}  // namespace ringside::test
