// Drawing steps. What is drawn often is what programs do often, and where mistakes like to hide:
// counts of zero and one, and close to the sizes at which something changes.
#include "tools/fuzz/random_program.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "comm/algorithms/chunks.h"
#include "comm/communicator.h"
#include "comm/error.h"
#include "tools/support/call.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

constexpr std::size_t kMostGroups = 8;  // alive at a time, besides the world

constexpr std::array kCollectives = {
    Kind::all_reduce, Kind::reduce_scatter,   Kind::all_gather,   Kind::broadcast,
    Kind::barrier,    Kind::reduce,           Kind::gather,       Kind::scatter,
    Kind::all_to_all, Kind::reduce_scatter_v, Kind::all_gather_v, Kind::all_reduce,
};

std::size_t index(int i) { return static_cast<std::size_t>(i); }

// The groups that a split of `parent` makes, in the order of their colours' first ranks.
std::vector<Group> made_by(const Step& step, int first_number) {
  std::vector<Group> made;
  std::vector<int> seen;
  for (const int color : step.colors) {
    if (color < 0 || std::find(seen.begin(), seen.end(), color) != seen.end()) continue;
    seen.push_back(color);
    std::vector<int> ranks;
    for (int rank = 0; rank < step.group.size(); ++rank)
      if (step.colors[index(rank)] == color) ranks.push_back(rank);
    std::stable_sort(ranks.begin(), ranks.end(),
                     [&](int a, int b) { return step.keys[index(a)] < step.keys[index(b)]; });
    Group group{first_number + static_cast<int>(made.size()), {}};
    for (const int rank : ranks) group.members.push_back(step.group.members[index(rank)]);
    made.push_back(group);
  }
  return made;
}

}  // namespace

Shape shape_of(const Step& step, int member) {
  const Operation& what = step.operation;
  const OperationTraits& it = traits(what.kind);
  const std::size_t size = index(step.group.size());
  Range own{0, what.count};
  if (in_parts(what.kind)) own.begin = index(member) * what.count;
  if (is_ragged(what.kind)) own = Chunks(step.counts)[member];
  const std::size_t whole = in_parts(what.kind) ? what.count * size : what.count;
  const bool on_root = member == what.root;
  return {length_of(it.input, on_root, whole, own.count),
          length_of(it.output, on_root, whole, own.count), own.begin};
}

std::string describe(const Step& step) {
  std::string words;
  if (step.what == Step::What::collective) words = ringside::describe(step.operation);
  if (step.what == Step::What::messages) words = text("%zu messages", step.letters.size());
  if (step.what == Step::What::split) words = "split";
  if (step.what == Step::What::destroy) words = "end";
  if (step.in_place) words += ", in place";
  if (step.async) words += ", asynchronous";
  words += ", of " + count_words(step.group.members.size(), "rank") + " (";
  for (const int member : step.group.members) words += text("%d ", member);
  words.back() = ')';
  return words;
}

RandomProgram::RandomProgram(std::uint64_t seed, int ranks, std::size_t bytes_max,
                             std::vector<std::size_t> sizes_bytes)
    : random_(seed), bytes_max_(bytes_max), sizes_bytes_(std::move(sizes_bytes)) {
  Group world;
  world.members.resize(index(ranks));
  std::iota(world.members.begin(), world.members.end(), 0);
  groups_.emplace(0, world);
}

Step RandomProgram::next() {
  if (at_end_of_round()) groups_.erase(std::next(groups_.begin()), groups_.end());
  Step step;
  step.number = ++number_;
  step.group = any_group();
  step.async = chance(50);
  const int what = below(100);
  if (what < 4 && groups_.size() <= kMostGroups) {
    draw_split(step);
  } else if (what < 7 && step.group.number != 0) {
    step.what = Step::What::destroy;
    step.async = false;
    groups_.erase(step.group.number);
  } else if (what < 25) {
    draw_messages(step);
  } else {
    draw_collective(step);
  }
  return step;
}

const Group& RandomProgram::any_group() {
  if (chance(40)) return groups_.at(0);
  return std::next(groups_.begin(), below(static_cast<int>(groups_.size())))->second;
}

DType RandomProgram::any_dtype() { return kAllDTypes[below(kAllDTypes.size())]; }

std::size_t RandomProgram::any_bytes() {
  const int what = below(100);
  std::size_t bytes = 0;
  if (what < 8) return 0;
  if (what < 45)
    bytes = below(std::uint64_t{200});
  else if (what < 70)
    bytes = below(std::uint64_t{8} << 10);
  else if (what < 95)
    bytes = sizes_bytes_[below(sizes_bytes_.size())] + below(std::uint64_t{48});
  else
    bytes = below(bytes_max_ + 1);
  // Just below the threshold is as interesting as just above it.
  if (what >= 70 && what < 95) bytes = bytes > 24 ? bytes - 24 : bytes;
  return std::min(bytes, bytes_max_);
}

void RandomProgram::draw_collective(Step& step) {
  Operation& it = step.operation;
  it.kind = kCollectives[below(kCollectives.size())];
  it.dtype = any_dtype();
  const std::uint64_t reduction = below(kAllReductions.size());
  const int root = below(step.group.size());
  const std::size_t total = any_bytes() / bytes_of(it.dtype);
  step.in_place = chance(35) && it.kind != Kind::all_to_all && it.kind != Kind::barrier;
  if (has_reduction(it.kind)) it.reduction = kAllReductions[reduction];
  if (has_root(it.kind)) it.root = root;
  if (is_ragged(it.kind)) {
    draw_counts(step, total);
    it.layout = layout_of(step.counts);
    it.count = std::accumulate(step.counts.begin(), step.counts.end(), std::size_t{0});
  } else if (it.kind != Kind::barrier) {
    it.count = in_parts(it.kind) ? total / index(step.group.size()) : total;
    // Of small counts the division would leave nothing.
    if (total > 0 && it.count == 0) it.count = 1;
  }
}

// Very different ones: none for a third of the ranks, and sometimes all for one.
void RandomProgram::draw_counts(Step& step, std::size_t total) {
  const bool all_for_one = chance(10);
  const int one = below(step.group.size());
  for (int rank = 0; rank < step.group.size(); ++rank) {
    const std::size_t most = total * 2 / index(step.group.size());
    std::size_t count = chance(30) ? 0 : below(std::uint64_t{most} + 1);
    if (all_for_one) count = rank == one ? total : 0;
    step.counts.push_back(count);
  }
}

void RandomProgram::draw_messages(Step& step) {
  step.what = Step::What::messages;
  const int size = step.group.size();
  const bool alone = chance(50);
  const int letters = alone ? 1 : below(2 * size + 1);
  for (int i = 0; i < letters && size > 1; ++i) {
    const int from = below(size);
    const int to = (from + 1 + below(size - 1)) % size;
    const DType dtype = any_dtype();
    const std::size_t bytes = alone ? any_bytes() : any_bytes() / 4;
    step.letters.push_back({from, to, bytes / bytes_of(dtype), dtype});
  }
}

void RandomProgram::draw_split(Step& step) {
  step.what = Step::What::split;
  step.async = false;
  const int size = step.group.size();
  const int colors = below(5), keys = below(4), parts = 1 + below(3),
            base = chance(10) ? 1 << 30 : 0;
  for (int rank = 0; rank < size; ++rank) {
    int color = 0;  // colors 0: all in one group
    if (colors == 1) color = rank % parts;
    if (colors == 2) color = rank * parts / size;
    if (colors >= 3) color = below(parts);
    step.colors.push_back(colors == 4 && chance(30) ? kNoColor : base + color);
    int key = 0;  // keys 0: the order of the ranks stays
    if (keys == 1) key = -rank;
    if (keys >= 2) key = below(5) - 2;
    step.keys.push_back(key);
  }
  step.made = made_by(step, groups_made_);
  for (const Group& group : step.made) groups_.emplace(group.number, group);
  groups_made_ += static_cast<int>(step.made.size());
}

}  // namespace ringside::tools
