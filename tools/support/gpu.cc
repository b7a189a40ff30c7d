// Who has which GPU, and rank 0's measure of what one can do.
#include "tools/support/gpu.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>

#include "comm/error.h"

namespace ringside::tools {
namespace {

constexpr std::size_t kLeastCopied = std::size_t{8} << 20;  // below, a launch takes longer
constexpr std::size_t kMostCopied = std::size_t{512} << 20;

// What the others learn of a rank. Trivially copyable.
struct Has {
  char name[64] = {};
  std::array<unsigned char, 16> uuid{};
  char problem[300] = {};  // empty: none
};

struct Host {
  char name[64] = {};
};

// How many ranks before this one are on the same host.
int local_rank(Bootstrap& bootstrap, Deadline deadline) {
  Host mine;
  ::gethostname(mine.name, sizeof mine.name - 1);
  const std::vector<Host> all = bootstrap.all_gather(mine, deadline);
  return static_cast<int>(
      std::count_if(all.begin(), all.begin() + bootstrap.rank(),
                    [&](const Host& it) { return std::strcmp(it.name, mine.name) == 0; }));
}

}  // namespace

#ifndef RINGSIDE_HAVE_CUDA
std::shared_ptr<Gpu> cuda_gpu(int) {
  throw Error(Fault::usage, "this build has no CUDA, and so no device memory (make deps)");
}
#endif

RankGpus take_gpus(Bootstrap& bootstrap, const MakeGpu& make, double timeout_s) {
  const Deadline deadline = Deadline::after_seconds(timeout_s);
  const int local = local_rank(bootstrap, deadline);
  RankGpus gpus;
  Has mine;
  try {
    gpus.mine = make(local);
    std::snprintf(mine.name, sizeof mine.name, "%s", gpus.mine->name().c_str());
    mine.uuid = gpus.mine->uuid();
  } catch (const std::exception& error) {
    std::snprintf(mine.problem, sizeof mine.problem, "%s", error.what());
  }
  const std::vector<Has> all = bootstrap.all_gather(mine, deadline);
  for (const Has& it : all)
    if (it.problem[0] != '\0') throw Error(Fault::usage, it.problem);
  std::vector<std::array<unsigned char, 16>> different;
  for (const Has& it : all) {
    const auto at = std::find(different.begin(), different.end(), it.uuid);
    gpus.device_of.push_back(static_cast<int>(at - different.begin()));
    if (at != different.end()) continue;
    different.push_back(it.uuid);
    gpus.device_names.push_back(it.name);
  }
  return gpus;
}

std::vector<int> RankGpus::busiest() const {
  std::vector<std::vector<int>> ranks(device_names.size());
  for (std::size_t rank = 0; rank < device_of.size(); ++rank)
    ranks[static_cast<std::size_t>(device_of[rank])].push_back(static_cast<int>(rank));
  return *std::max_element(ranks.begin(), ranks.end(),
                           [](const auto& a, const auto& b) { return a.size() < b.size(); });
}

std::string RankGpus::words() const {
  const bool alike = std::count(device_names.begin(), device_names.end(), device_names[0]) ==
                     static_cast<std::ptrdiff_t>(device_names.size());
  std::string words =
      device_names.size() == 1 ? device_names[0] : text("%zu GPUs", device_names.size());
  if (alike && device_names.size() > 1) words += " (" + device_names[0] + ")";
  const std::size_t sharing = busiest().size();
  if (device_of.size() == 1) return words;
  return words + (sharing == 1 ? ", one for each rank"
                               : text(", %s%zu ranks share one",
                                      device_names.size() == 1 ? "" : "up to ", sharing));
}

std::vector<Rate> probe_gpu_copy(Bootstrap& bootstrap, Gpu& gpu, std::size_t most_bytes,
                                 double timeout_s) {
  const Deadline deadline = Deadline::after_seconds(timeout_s);
  constexpr int kMost = 4;  // 8M, 32M, 128M, 512M
  struct Measured {
    int count = 0;
    Rate rates[kMost] = {};
    char problem[300] = {};
  } mine;
  if (bootstrap.rank() == 0) try {
      const std::size_t end = std::clamp(2 * most_bytes, kLeastCopied, kMostCopied);
      for (std::size_t bytes = kLeastCopied; bytes <= end && mine.count < kMost; bytes *= 4)
        mine.rates[mine.count++] = {2 * bytes,
                                    2 * static_cast<double>(bytes) / gpu.copy_us(bytes) / 1e3};
    } catch (const std::exception& error) {
      std::snprintf(mine.problem, sizeof mine.problem, "%s", error.what());
    }
  const Measured first = bootstrap.all_gather(mine, deadline)[0];
  if (first.problem[0] != '\0') throw Error(Fault::system, first.problem);
  return {first.rates, first.rates + first.count};
}

}  // namespace ringside::tools
