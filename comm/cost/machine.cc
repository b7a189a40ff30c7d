// Reading a table of rates between its lines.
#include "comm/cost/machine.h"

#include <algorithm>
#include <cmath>

namespace ringside {

double rate_at(const std::vector<Rate>& rates, std::size_t bytes) {
  if (rates.empty()) return 0;
  if (bytes <= rates.front().bytes) return rates.front().gbs;
  const auto above = std::find_if(rates.begin(), rates.end(),
                                  [&](const Rate& rate) { return rate.bytes >= bytes; });
  if (above == rates.end()) return rates.back().gbs;
  const Rate& below = *(above - 1);
  const auto log = [](std::size_t size) { return std::log2(static_cast<double>(size)); };
  const double share = (log(bytes) - log(below.bytes)) / (log(above->bytes) - log(below.bytes));
  return below.gbs + share * (above->gbs - below.gbs);
}

}  // namespace ringside
