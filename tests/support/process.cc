// How a test's child process is started, fed, read and, when need be, ended.
#include "tests/support/process.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>
#include <string_view>
#include <system_error>

#include "tests/support/forked.h"

extern char** environ;

namespace ringside::test {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Appends what a child has written by now; closes the pipe at the end of the stream.
void read_some(Pipe& pipe, std::string& text) {
  char buffer[4096];
  const ssize_t got = read(pipe.out.get(), buffer, sizeof buffer);
  if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
  if (got == 0) pipe.out = UniqueFd();
}

std::vector<char*> pointers_to(const Words& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Additions come first and hide an inherited entry of the same name.
Words environment_with(const Words& additions) {
  Words entries = additions;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view name(*entry, std::strcspn(*entry, "=") + 1);
    // Criterion's mark on its test processes: this same program, started again with it set, would
    // take itself for one of them.
    bool hidden = name == "BXFI_MAP=";
    for (const std::string& addition : additions) hidden |= addition.starts_with(name);
    if (!hidden) entries.push_back(*entry);
  }
  return entries;
}

pid_t spawn(const Words& argv, const RunOptions& options, Pipe& out, Pipe& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.in.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.in.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setpgroup(&attributes, 0);
  // Criterion and sanitizers leave their own signal masks and handlers to their children.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  const Words environment = environment_with(options.environment);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, argv.at(0).c_str(), &actions, &attributes,
                                 pointers_to(argv).data(), pointers_to(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) throw std::system_error(error, std::generic_category(), argv[0]);
  out.in = UniqueFd();
  err.in = UniqueFd();
  return pid;
}

// Waits a moment for output on either pipe, and takes it.
void pump(Pipe& out, Pipe& err, RunResult& result, int wait_ms) {
  pollfd ends[2] = {{out.out.get(), POLLIN, 0}, {err.out.get(), POLLIN, 0}};  // poll skips a -1
  if (poll(ends, 2, wait_ms) <= 0) return;
  if (ends[0].revents != 0) read_some(out, result.out);
  if (ends[1].revents != 0) read_some(err, result.err);
}

void note_status(int status, RunResult& result) {
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
}

}  // namespace

RunResult run(const Words& argv, const RunOptions& options) {
  constexpr int kPollMs = 10;
  constexpr double kTermGrace_s = 2, kDrain_s = 1;
  RunResult result;
  Pipe out, err;
  const auto start = Clock::now();
  const pid_t pid = spawn(argv, options, out, err);
  if (options.on_started) options.on_started(pid);

  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    pump(out, err, result, kPollMs);
    if (seconds_since(start) > options.timeout_s && !result.timed_out) {
      result.timed_out = true;
      kill(-pid, SIGTERM);
    }
    if (seconds_since(start) > options.timeout_s + kTermGrace_s) kill(-pid, SIGKILL);
  }
  note_status(status, result);
  result.seconds = seconds_since(start);

  // The last words may still be in the pipes; a survivor that holds them open is not waited for.
  result.left_processes = kill(-pid, 0) == 0;
  const auto ended = Clock::now();
  while ((out.out || err.out) && seconds_since(ended) < kDrain_s) {
    pump(out, err, result, kPollMs);
  }
  if (result.left_processes) kill(-pid, SIGKILL);
  return result;
}

RunResult shell(const std::string& command, const RunOptions& options) {
  return run({"sh", "-c", command}, options);
}

bool have_program(const std::string& name) { return shell("command -v " + name).ok(); }

std::string program_path(const std::string& built) {
  char self[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  if (length < 0) throw std::system_error(errno, std::generic_category(), "/proc/self/exe");
  std::string path(self, static_cast<std::size_t>(length));  // build/FLAVOUR/tests/ringside_tests
  for (int level = 0; level < 2; ++level) path.resize(path.rfind('/'));
  return path + "/" + built;
}

bool have_mpi() {
#ifdef RINGSIDE_HAVE_MPI
  // The build had MPI's headers; whether mpirun is on the PATH is this machine's matter.
  static const bool found = [] {
    try {
      return run({"mpirun", "--version"}).ok();
    } catch (const std::system_error&) {
      return false;
    }
  }();
  return found;
#else
  return false;
#endif
}

Words mpirun_argv(int ranks) {
  // Through env, because Open MPI refuses root without these two, and a test may well run as root.
  return {"env",
          "OMPI_ALLOW_RUN_AS_ROOT=1",
          "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
          "mpirun",
          "--oversubscribe",
          "-n",
          std::to_string(ranks)};
}

Words launch_argv(int ranks) { return {program_path("tools/launch"), "-n", std::to_string(ranks)}; }

std::vector<Words> launchers(int ranks) {
  std::vector<Words> all = {launch_argv(ranks)};
  if (have_mpi()) all.push_back(mpirun_argv(ranks));
  return all;
}

std::string tool_path(const std::string& tool) { return program_path("tools/" + tool); }

std::vector<Words> all_ways(const std::string& tool, int ranks, const Words& arguments) {
  std::vector<Words> ways = {
      with({tool_path(tool), "--threads", std::to_string(ranks)}, arguments)};
  for (const Words& launcher : launchers(ranks))
    ways.push_back(with(with(launcher, {tool_path(tool)}), arguments));
  return ways;
}

Words with(Words argv, const Words& more) {
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

Words lines_of(const std::string& out) {
  Words lines;
  std::istringstream stream(out);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

Words words_of(const std::string& line) {
  Words words;
  std::istringstream stream(line);
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::size_t lines_from(const std::string& out, const std::string& start) {
  std::size_t found = 0;
  for (const std::string& line : lines_of(out)) found += line.starts_with(start);
  return found;
}

std::size_t lines_with(const std::string& out, const std::string& part) {
  std::size_t found = 0;
  for (const std::string& line : lines_of(out)) found += contains(line, part);
  return found;
}

std::string line_of(const RunResult& result, const std::string& start) {
  for (const std::string& line : lines_of(result.err))
    if (line.starts_with(start)) return line;
  return "";
}

void check_says(Context& t, const RunResult& result, const std::string& start, const Words& parts) {
  const std::string line = line_of(result, start);
  for (const std::string& part : parts)
    CHECK_MSG(contains(line, part), "no '%s' in the line of '%s', which is '%s'; all: %s",
              part.c_str(), start.c_str(), line.c_str(), result.err.c_str());
}

void check_says(Context& t, const RunResult& result, int rank, const Words& parts) {
  check_says(t, result, text("rank %d: ", rank), parts);
}

}  // namespace ringside::test
