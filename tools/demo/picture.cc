// Drawing an all-reduce: the algorithm's own text runs on the recorder of each rank, and the
// picture follows the words. So it cannot show anything else than what is run.
#include "tools/demo/demo.h"

#include <vector>

#include "comm/algorithms/program.h"
#include "comm/algorithms/ring.h"
#include "comm/error.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

// held[rank][chunk]: how many contributions the newest value there holds.
using Held = std::vector<std::vector<int>>;

constexpr int kLabelWidth = 20;

// One line. `received[rank]` is the chunk to be marked, or −1.
std::string line(const std::string& label, const Held& held, const std::vector<int>& received) {
  std::string words = padded(label, kLabelWidth);
  for (std::size_t rank = 0; rank < held.size(); ++rank) {
    for (std::size_t chunk = 0; chunk < held.size(); ++chunk) {
      const bool fresh = received[rank] == static_cast<int>(chunk);
      words += text(fresh ? "[%d]" : " %d ", held[rank][chunk]);
    }
    words += "   ";
  }
  return words.substr(0, words.find_last_not_of(' ') + 1) + "\n";
}

std::string head(int size) {
  std::string ranks = padded("", kLabelWidth);
  std::string chunks = padded("  chunk", kLabelWidth);
  for (int rank = 0; rank < size; ++rank) {
    ranks += padded(text(" rank %d", rank), static_cast<std::size_t>(3 * size + 3));
    for (int chunk = 0; chunk < size; ++chunk) chunks += text(" %d ", chunk);
    chunks += "   ";
  }
  return ranks.substr(0, ranks.find_last_not_of(' ') + 1) + "\n" +
         chunks.substr(0, chunks.find_last_not_of(' ') + 1) + "\n";
}

}  // namespace

std::string draw_all_reduce(int size) {
  const std::vector<Program> programs =
      record_all(size, 1, [](Recorder& executor, const Ring& ring) { all_reduce(executor, ring); });

  const auto n = static_cast<std::size_t>(size);
  Held held(n, std::vector<int>(n, 1));
  std::string picture = head(size) + line("  start", held, std::vector<int>(n, -1));
  int reduce_step = 0;
  int gather_step = 0;
  for (std::size_t word = 0; word < programs[0].size(); ++word) {
    const bool reduces = programs[0][word].primitive == Primitive::exchange_reduce;
    if (!reduces && programs[0][word].primitive != Primitive::exchange) continue;
    const Held before = held;
    std::vector<int> received(n);
    for (std::size_t rank = 0; rank < n; ++rank) {
      const int chunk = programs[rank][word].receive->chunk;
      const std::size_t left = (rank + n - 1) % n;
      received[rank] = chunk;
      held[rank][static_cast<std::size_t>(chunk)] =
          before[left][static_cast<std::size_t>(chunk)] + (reduces ? 1 : 0);
    }
    picture += line(reduces ? text("  reduce-scatter %d", ++reduce_step)
                            : text("  all-gather     %d", ++gather_step),
                    held, received);
  }
  return picture;
}

}  // namespace ringside::tools
