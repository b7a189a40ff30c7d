// What the tests of tools/launch share; see launched.h.
#include "tests/launcher/launched.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

namespace ringside::test {

namespace fs = std::filesystem;

Words launch(int ranks, const Words& options, const Words& program) {
  return with(with(launch_argv(ranks), options), program);
}

Words launch_scripts(int ranks, const Words& options, const std::string& script) {
  return launch(ranks, options, {"sh", "-c", script});
}

void check_ends(Context& t, const RunResult& result, int status, double within_s) {
  CHECK_MSG(result.exit_code == status, "exit status %d (signal %d), not %d; %s", result.exit_code,
            result.signal, status, result.err.c_str());
  CHECK_MSG(result.seconds < within_s, "it took %.1f s", result.seconds);
}

std::string Meeting::file(int rank) const { return folder_.file(std::to_string(rank)); }

// Renamed into place, so that a file that is there is whole.
std::string Meeting::arrive(const std::string& words) const {
  const char* const folder = folder_.path().c_str();
  return text("echo %s > %s/.$RANK; mv %s/.$RANK %s/$RANK; ", words.c_str(), folder, folder,
              folder);
}

bool Meeting::wait_for(int ranks) const {
  using namespace std::chrono_literals;
  for (int i = 0; i < 1000; ++i, std::this_thread::sleep_for(10ms)) {
    int here = 0;
    for (int rank = 0; rank < ranks; ++rank) here += fs::exists(file(rank)) ? 1 : 0;
    if (here == ranks) return true;
  }
  return false;
}

int Meeting::number(int rank) const {
  int it = 0;
  std::ifstream(file(rank)) >> it;
  return it;
}

}  // namespace ringside::test
