// Watching a job through /proc; what is looked for, and why, is in job.h.
#include "tests/support/job.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <thread>
#include <utility>

#include "comm/util/fd.h"

namespace ringside::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename());
  return names;
}

bool has_entry(const std::string& environment, const std::string& entry) {
  return ('\0' + environment).find('\0' + entry + '\0') != std::string::npos;
}

// The inodes of sockets that have a name, abstract ones (@…) among them.
std::set<std::string> named_sockets() {
  std::set<std::string> inodes;
  std::istringstream table(read_file("/proc/net/unix"));
  std::string line;
  std::getline(table, line);  // Num RefCount Protocol Flags Type St Inode Path
  while (std::getline(table, line)) {
    std::istringstream words(line);
    std::string skipped, inode, path;
    for (int i = 0; i < 6; ++i) words >> skipped;
    if (words >> inode >> path) inodes.insert(inode);
  }
  return inodes;
}

std::set<std::string> entries_of(const std::string& folder) {
  const std::vector<std::string> names = names_in(folder);
  return {names.begin(), names.end()};
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> found;
  for (const std::string& name : names_in("/proc"))
    if (name.find_first_not_of("0123456789") == std::string::npos) found.push_back(std::stoi(name));
  return found;
}

// Tests run side by side: what a living process has mapped is a job's that still goes on.
bool in_use(const std::string& path) {
  for (const pid_t pid : all_processes())
    if (read_file("/proc/" + std::to_string(pid) + "/maps").find(path) != std::string::npos)
      return true;
  return false;
}

}  // namespace

Job::Job(std::string shm_folder) : shm_folder_(std::move(shm_folder)) {
  static std::atomic<int> next{0};
  mark_ = "RINGSIDE_TEST_JOB=" + std::to_string(::getpid()) + "." + std::to_string(next++);
}

RunResult Job::run(const Words& argv, RunOptions options, const std::function<void()>& meanwhile) {
  options.environment.push_back(mark_);
  shm_before_ = entries_of(shm_folder_);
  sockets_.clear();
  std::atomic<bool> ended{false};
  std::thread watcher, other;
  options.on_started = [&](pid_t pid) {
    command_ = pid;
    watcher = std::thread([&] {
      for (; !ended; std::this_thread::sleep_for(20ms)) look_at_sockets();
    });
    if (meanwhile) other = std::thread(meanwhile);
  };
  const RunResult result = test::run(argv, options);
  ended = true;
  if (watcher.joinable()) watcher.join();
  if (other.joinable()) other.join();
  return result;
}

std::vector<pid_t> Job::processes() const {
  std::vector<pid_t> found;
  // A zombie's environment is empty: it has ended, and only waits to be asked how.
  for (const pid_t pid : all_processes())
    if (has_entry(read_file("/proc/" + std::to_string(pid) + "/environ"), mark_))
      found.push_back(pid);
  return found;
}

std::optional<pid_t> Job::rank(int rank) const {
  const std::string number = std::to_string(rank);
  for (const pid_t pid : processes()) {
    const std::string environment = read_file("/proc/" + std::to_string(pid) + "/environ");
    for (const char* name : {"OMPI_COMM_WORLD_RANK=", "RANK="})  // mpirun's, launch's
      if (has_entry(environment, name + number)) return pid;
  }
  return std::nullopt;
}

std::size_t Job::look_at_sockets() {
  const std::lock_guard lock(mutex_);
  const std::set<std::string> named = named_sockets();
  for (const pid_t pid : processes()) {
    const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
    for (const std::string& descriptor : names_in(folder)) {
      std::error_code error;
      const std::string target = fs::read_symlink(folder + "/" + descriptor, error);
      if (error || !target.starts_with("socket:[")) continue;
      const std::string inode = target.substr(8, target.size() - 9);
      if (named.contains(inode)) sockets_.insert(inode);
    }
  }
  return sockets_.size();
}

std::string Job::retired_windows(double patience_s) const {
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    std::string words;
    for (const pid_t pid : processes()) {
      std::string command = read_file("/proc/" + std::to_string(pid) + "/cmdline");
      for (char& c : command) c = c == '\0' ? ' ' : c;
      words += "process " + std::to_string(pid) + " (" + command + "); ";
    }
    for (const std::string& name : entries_of(shm_folder_)) {
      const std::string path = shm_folder_ + "/" + name;
      if (!shm_before_.contains(name) && !in_use(path)) words += path + "; ";
    }
    const std::set<std::string> named = named_sockets();
    for (const std::string& inode : sockets_)
      if (named.contains(inode)) words += "socket " + inode + "; ";
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
    if (words.empty() || waited.count() > patience_s) return words;
    std::this_thread::sleep_for(20ms);
  }
}

void check_nothing_left(Context& t, const Job& job) {
  const std::string left = job.retired_windows();
  CHECK_MSG(left.empty(), "left behind: %s", left.c_str());
}

void check_fails_cleanly(Context& t, const Job& job, const RunResult& result, double within_s) {
  CHECK_MSG(result.exit_code > 0 && !result.timed_out, "exit status %d", result.exit_code);
  CHECK_MSG(result.seconds < within_s, "it took %.1f s", result.seconds);
  check_nothing_left(t, job);
}

void check_refused(Context& t, const std::string& tool, const Words& argv,
                   const std::string& part) {
  Job job;
  const RunResult result = job.run(argv, {.timeout_s = 20});
  CHECK_MSG(result.exit_code == 2, "%s: exit status %d", part.c_str(), result.exit_code);
  CHECK_EQ(lines_from(result.err, tool + ":"), 1u);
  CHECK_MSG(contains(result.err, part), "no '%s' in: %s", part.c_str(), result.err.c_str());
  CHECK_EQ(result.out, "");
  CHECK(result.seconds < 10 * kSlack);
  check_nothing_left(t, job);
}

}  // namespace ringside::test
