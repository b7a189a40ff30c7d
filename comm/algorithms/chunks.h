// How a buffer is cut: into one chunk a rank, and each chunk into slices.
//
//     count = 10 elements, 4 ranks:      0 1 2 │ 3 4 5 │ 6 7 │ 8 9
//                                        chunk 0  chunk 1  2     3
//
// Which chunk an element belongs to depends on (count, world size) alone, and so does the order in
// which its contributions are added. A *slice* is the part of a chunk that travels in one message.
// Slices are the outer loop of every algorithm and ring steps the inner one, so the size of a slot
// decides how many messages there are and never in which order anything is added.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace ringside {

struct Range {
  std::size_t begin = 0;
  std::size_t count = 0;
};

// Even: `count` elements in `parts` chunks whose lengths differ by at most one, the longer ones
// first. Ragged: of the lengths that the caller gives, for the operations whose names end in _v.
class Chunks {
 public:
  constexpr Chunks() = default;
  // Divides once: a small call asks for its chunks several times, and a division costs 5 ns.
  constexpr Chunks(std::size_t count, int parts)
      : total_(count),
        length_(count / static_cast<std::size_t>(parts)),
        longer_(count % static_cast<std::size_t>(parts)) {}
  // One count a chunk.
  constexpr explicit Chunks(std::span<const std::size_t> counts) : starts_{0} {
    for (const std::size_t count : counts) {
      starts_.push_back(starts_.back() + count);
      longest_ = std::max(longest_, count);
    }
    total_ = starts_.back();
  }

  constexpr Range operator[](int chunk) const {
    const auto c = static_cast<std::size_t>(chunk);
    if (!starts_.empty()) [[unlikely]]
      return {starts_[c], starts_[c + 1] - starts_[c]};
    return {c * length_ + std::min(c, longer_), length_ + (c < longer_ ? 1 : 0)};
  }
  constexpr std::size_t longest() const { return starts_.empty() ? (*this)[0].count : longest_; }
  constexpr std::size_t total() const { return total_; }

 private:
  std::size_t total_ = 0;
  std::size_t length_ = 0;
  std::size_t longer_ = 0;           // this many chunks have one element more
  std::vector<std::size_t> starts_;  // of ragged chunks, and the end of the last
  std::size_t longest_ = 0;
};

// The part of a chunk that its slice number `slice` covers, when a message holds `slice_count`
// elements.
constexpr Range slice_of(Range chunk, std::size_t slice, std::size_t slice_count) {
  const std::size_t begin = std::min(slice * slice_count, chunk.count);
  return {chunk.begin + begin, std::min(slice_count, chunk.count - begin)};
}

// At least one: a call without elements still sends its (empty) messages, so that ranks which call
// different things find out, and a barrier is an all-gather of nothing.
constexpr std::size_t slices_for(std::size_t longest_chunk, std::size_t slice_count) {
  return std::max<std::size_t>(1, (longest_chunk + slice_count - 1) / slice_count);
}

static_assert(Chunks{10, 4}[0].count == 3 && Chunks{10, 4}[2].begin == 6 &&
              Chunks{10, 4}[3].count == 2);
static_assert(Chunks{1, 3}[0].count == 1 && Chunks{1, 3}[1].count == 0);
constexpr std::size_t kRaggedExample[] = {3, 0, 5};
static_assert(Chunks{kRaggedExample}[1].begin == 3 && Chunks{kRaggedExample}[1].count == 0 &&
              Chunks{kRaggedExample}[2].count == 5 && Chunks{kRaggedExample}.longest() == 5);

}  // namespace ringside
