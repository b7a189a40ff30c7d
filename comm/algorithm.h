// The algorithms by name: what Options::algorithm takes, and what tables and sentences say.
//
// Only an all_reduce has a choice. Its algorithms add in the same order, so that no choice changes
// a bit; but for hierarchical, which has an order of its own and is never taken unless it was asked
// for. How each works stands in its file. comm/algorithms/operation.h says which one every other
// operation has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ringside {

enum class Algorithm : std::uint8_t {
  automatic,
  ring,
  one_shot,
  two_shot,
  hierarchical,
  chain,
  mesh,
  ring_and_mesh,
};

// How an algorithm is chosen in RINGSIDE_ALGORITHM.
enum class Chosen : std::uint8_t { never, by_name, with_groups };

struct AlgorithmTraits {
  Algorithm algorithm;
  const char* name;
  Chosen chosen;
  bool ring_only;    // every message goes to the right neighbour
  const char* file;  // below comm/algorithms
};

// In the order of the enum.
inline constexpr std::array kAlgorithms = {
    AlgorithmTraits{Algorithm::automatic, "auto", Chosen::by_name, false, ""},
    AlgorithmTraits{Algorithm::ring, "ring", Chosen::by_name, true, "ring.h"},
    AlgorithmTraits{Algorithm::one_shot, "one-shot", Chosen::by_name, false, "one_shot.h"},
    AlgorithmTraits{Algorithm::two_shot, "two-shot", Chosen::by_name, false, "two_shot.h"},
    AlgorithmTraits{Algorithm::hierarchical, "hierarchical", Chosen::with_groups, false,
                    "hierarchical.h"},
    AlgorithmTraits{Algorithm::chain, "chain", Chosen::never, true, "ring.h"},
    AlgorithmTraits{Algorithm::mesh, "mesh", Chosen::never, false, "mesh.h"},
    AlgorithmTraits{Algorithm::ring_and_mesh, "ring and mesh", Chosen::never, false, "mesh.h"},
};
constexpr const AlgorithmTraits& traits(Algorithm algorithm) {
  return kAlgorithms[static_cast<std::size_t>(algorithm)];
}
static_assert([] {
  for (std::size_t i = 0; i < kAlgorithms.size(); ++i)
    if (static_cast<std::size_t>(kAlgorithms[i].algorithm) != i) return false;
  return true;
}());

constexpr const char* name_of(Algorithm algorithm) { return traits(algorithm).name; }

}  // namespace ringside
