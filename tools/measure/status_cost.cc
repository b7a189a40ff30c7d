// The notes of a call, over and over, as the communicator makes them.
#include <chrono>
#include <memory>
#include <vector>

#include "comm/control/status.h"
#include "tools/measure/measure.h"

namespace ringside::tools {

double status_cost_ns() {
  constexpr int kBatches = 101;
  constexpr std::uint64_t kCalls = 4 * StatusPage::kHistory;  // all of its history is written over
  const auto status_page = std::make_unique<StatusPage>();
  const Operation what{Kind::all_reduce, DType::f32, Reduction::sum, 0, 2};
  std::vector<double> costs;
  std::uint64_t number = 0;
  for (int batch = 0; batch < kBatches; ++batch) {
    const auto start = std::chrono::steady_clock::now();
    for (const std::uint64_t end = number + kCalls; number < end;) {
      ++number;
      const auto fingerprint = static_cast<std::uint32_t>(number);
      status_page->note({number, fingerprint, what, fingerprint, coarse_now_ms()});
      status_page->note_finished(number);
    }
    costs.push_back(1e3 * us_since(start) / static_cast<double>(kCalls));
  }
  return quartiles_of(costs).median;
}

}  // namespace ringside::tools
