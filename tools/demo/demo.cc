// Values before and after each collective, in rank order, and the comparison of bits.
#include "tools/demo/demo.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "comm/error.h"
#include "tools/support/command_line.h"
#include "tools/support/oracle.h"

namespace ringside::tools {
namespace {

constexpr std::size_t kTextBytes = 160;
constexpr int kMostValues = 8;
constexpr std::size_t kMostRanks = 8;

// "[0 1 2 3]", or "[0 1 2 3 4 5 6 … 63]" if it is long.
std::string list(const std::vector<float>& values) {
  std::string words;
  const std::size_t count = values.size();
  for (std::size_t i = 0; i < count; ++i) {
    if (i == kMostValues - 1 && count > kMostValues) {
      words += " …";
      i = count - 1;
    }
    words += (words.empty() ? "" : " ") + text("%g", static_cast<double>(values[i]));
  }
  return "[" + words + "]";
}

// Every rank's line, in rank order, on rank 0: gathered by the library itself, so nothing
// interleaves.
std::string lines_in_order(Communicator& comm, const std::string& mine) {
  std::vector<char> line(kTextBytes, '\0');
  std::memcpy(line.data(), mine.data(), std::min(mine.size(), kTextBytes - 1));
  const auto n = static_cast<std::size_t>(comm.size());
  std::vector<char> all(n * kTextBytes);
  comm.all_gather(line.data(), all.data(), kTextBytes, DType::u8);
  if (comm.rank() != 0) return "";
  std::string words;
  for (std::size_t rank = 0; rank < n && rank < kMostRanks; ++rank)
    words += std::string(all.data() + rank * kTextBytes) + "\n";
  if (n > kMostRanks) words += text("    … and %zu more\n", n - kMostRanks);
  return words;
}

// 0 + 1 + … + (n−1), plus n times `base`: what adding base + rank over all ranks gives.
float sum_of_ranks(float base, int size) {
  return base * static_cast<float>(size) + static_cast<float>(size * (size - 1) / 2);
}

struct Stage {
  const char* title;
  std::vector<float> before;
  std::vector<float> after;
  std::vector<float> expected;
};

void show(Communicator& comm, Demo& demo, const Stage& stage) {
  const std::string mine = text("    rank %-3d before ", comm.rank()) +
                           padded(list(stage.before), 24) + " after " + list(stage.after);
  const std::string lines = lines_in_order(comm, mine);
  if (comm.rank() == 0) demo.words += text("  %s\n", stage.title) + lines;
  std::int32_t wrong = stage.after == stage.expected ? 0 : 1;
  comm.all_reduce(&wrong, &wrong, 1, DType::i32, Reduction::sum);
  demo.right = demo.right && wrong == 0;
}

}  // namespace

Demo run_demo(Communicator& comm) {
  const auto n = static_cast<std::size_t>(comm.size());
  const auto rank = static_cast<float>(comm.rank());
  Demo demo;

  Stage all{"all-reduce (sum)", {0 + rank, 1 + rank, 2 + rank, 3 + rank}, {}, {}};
  all.after = all.before;
  comm.all_reduce(all.after.data(), all.after.data(), 4, DType::f32, Reduction::sum);
  for (int i = 0; i < 4; ++i)
    all.expected.push_back(sum_of_ranks(static_cast<float>(i), comm.size()));
  show(comm, demo, all);

  Stage scatter{
      "reduce-scatter (sum)", std::vector<float>(n), {-1}, {sum_of_ranks(rank, comm.size())}};
  for (std::size_t i = 0; i < n; ++i) scatter.before[i] = static_cast<float>(i) + rank;
  comm.reduce_scatter(scatter.before.data(), scatter.after.data(), 1, DType::f32, Reduction::sum);
  show(comm, demo, scatter);

  Stage gather{
      "all-gather of what reduce-scatter gave", scatter.after, std::vector<float>(n, -1), {}};
  comm.all_gather(gather.before.data(), gather.after.data(), 1, DType::f32);
  for (std::size_t i = 0; i < n; ++i)
    gather.expected.push_back(sum_of_ranks(static_cast<float>(i), comm.size()));
  show(comm, demo, gather);
  return demo;
}

Halves compare_all_reduce(Communicator& comm) {
  constexpr std::size_t kPart =
      4099;  // elements a rank: odd, so that slices do not end where chunks do
  const auto n = static_cast<std::size_t>(comm.size());
  const std::size_t count = kPart * n;
  std::vector<std::byte> input(count * 8), whole(count * 8), part(kPart * 8), joined(count * 8);
  Halves result;
  result.types = static_cast<int>(kAllDTypes.size());
  result.reductions = static_cast<int>(kAllReductions.size());
  std::int64_t different = 0;
  for (const DType dtype : kAllDTypes)
    for (const Reduction reduction : kAllReductions) {
      fill_input(input.data(), count, dtype, reduction, comm.rank());
      comm.all_reduce(input.data(), whole.data(), count, dtype, reduction);
      comm.reduce_scatter(input.data(), part.data(), kPart, dtype, reduction);
      comm.all_gather(part.data(), joined.data(), kPart, dtype);
      const std::size_t bytes = bytes_of(dtype);
      for (std::size_t i = 0; i < count; ++i)
        different +=
            std::memcmp(whole.data() + i * bytes, joined.data() + i * bytes, bytes) == 0 ? 0 : 1;
      result.elements += count;
    }
  comm.all_reduce(&different, &different, 1, DType::i64, Reduction::sum);
  result.different = static_cast<std::size_t>(different);
  return result;
}

}  // namespace ringside::tools
