// What the tests of tools/launch share; see launched.h.
#include "tests/launcher/launched.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace ringside::test {

namespace fs = std::filesystem;

std::string launch_program() { return program_path("tools/launch"); }

Words launch(int ranks, const Words& options, const Words& program) {
  Words argv = {launch_program(), "-n", std::to_string(ranks)};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.insert(argv.end(), program.begin(), program.end());
  return argv;
}

Words launch_scripts(int ranks, const Words& options, const std::string& script) {
  return launch(ranks, options, {"sh", "-c", script});
}

Words lines_of(const std::string& text) {
  Words lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void check_ends(Context& t, const RunResult& result, int status, double within_s) {
  CHECK_MSG(result.exit_code == status, "exit status %d (signal %d), not %d; %s", result.exit_code,
            result.signal, status, result.err.c_str());
  CHECK_MSG(result.seconds < within_s, "it took %.1f s", result.seconds);
}

Meeting::Meeting() {
  static std::atomic<int> next{0};
  path_ = formatted("/tmp/ringside-test-launch-%d-%d", static_cast<int>(::getpid()), next++);
  fs::create_directory(path_);
}

Meeting::~Meeting() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string Meeting::file(int rank) const { return path_ + "/" + std::to_string(rank); }

// Renamed into place, so that a file that is there is whole.
std::string Meeting::arrive(const std::string& words) const {
  return formatted("echo %s > %s/.$RANK; mv %s/.$RANK %s/$RANK; ", words.c_str(), path_.c_str(),
                   path_.c_str(), path_.c_str());
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
