// A program that nobody wrote: steps drawn from a seed, the same on every rank.
//
// Each rank draws the whole program and carries out its own part, so the ranks need not tell each
// other what comes next. A program is safe, whatever comes out (comm/communicator.h, "Threads"):
// all ranks of a communicator take its steps in one order, and blocking ones on different
// communicators too. So the rank that is behind all others never waits for one that is not there
// yet. A longer program begins with the shorter one of the same seed.
//
// Steps come in rounds of kRound. At the end of a round every communicator but the world's goes:
// then a program holds nothing but what it had at the end of the round before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "comm/algorithms/operation.h"

namespace ringside::tools {

// Ranks that share a communicator, as the world numbers them, in the communicator's order.
struct Group {
  int number = 0;  // 0 is the world; never given twice
  std::vector<int> members;
  int size() const { return static_cast<int>(members.size()); }
};

// One message of a batch, between two ranks of a group.
struct Letter {
  int from;
  int to;
  std::size_t count;
  DType dtype;
};

struct Step {
  enum class What { collective, messages, split, destroy };

  std::uint64_t number = 0;  // from 1
  What what = What::collective;
  Group group;  // whose step this is
  bool async = false;

  Operation operation;              // collective; its root as the group numbers it
  std::vector<std::size_t> counts;  // where each rank has one of its own
  bool in_place = false;

  std::vector<Letter> letters;  // messages; none is a call too

  std::vector<int> colors, keys;  // split: of each rank of the group
  std::vector<Group> made;        // and what comes of it
};

// What rank `member` of the step's group reads and writes in a collective, in elements; where its
// part begins in the whole.
struct Shape {
  std::size_t input = 0;
  std::size_t output = 0;
  std::size_t own_first = 0;
};
Shape shape_of(const Step& step, int member);

// "broadcast (f32 × 12, root 2), in place, of 3 ranks (5 0 2)"
std::string describe(const Step& step);

class RandomProgram {
 public:
  static constexpr std::uint64_t kRound = 100;

  // `sizes_bytes`: where algorithms change; counts near them are drawn more often than others.
  RandomProgram(std::uint64_t seed, int ranks, std::size_t bytes_max,
                std::vector<std::size_t> sizes_bytes);

  Step next();

  // Whether the step that was drawn last ends a round.
  bool at_end_of_round() const { return number_ % kRound == 0; }

 private:
  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  int below(int end) { return static_cast<int>(random_() % static_cast<std::uint64_t>(end)); }
  bool chance(int percent) { return below(100) < percent; }

  const Group& any_group();
  std::size_t any_bytes();
  DType any_dtype();
  void draw_collective(Step& step);
  void draw_counts(Step& step, std::size_t total);
  void draw_messages(Step& step);
  void draw_split(Step& step);

  std::mt19937_64 random_;  // the same numbers on every machine, unlike <random>'s distributions
  const std::size_t bytes_max_;
  const std::vector<std::size_t> sizes_bytes_;
  std::uint64_t number_ = 0;
  int groups_made_ = 1;
  std::map<int, Group> groups_;
};

}  // namespace ringside::tools
