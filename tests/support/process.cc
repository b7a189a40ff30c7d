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
#include <string_view>
#include <system_error>

extern char** environ;

namespace ringside::test {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The parent's end of the child's stdout or stderr.
struct Pipe {
  int read_end = -1, write_end = -1;

  Pipe() {
    int ends[2];
    // Close on exec: a child that another thread starts meanwhile must not hold this pipe open.
    if (pipe2(ends, O_CLOEXEC) != 0)
      throw std::system_error(errno, std::generic_category(), "pipe");
    read_end = ends[0];
    write_end = ends[1];
  }
  ~Pipe() {
    close_end(read_end);
    close_end(write_end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  static void close_end(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }

  // Appends what is there now; closes the read end at the end of the stream.
  void read_some(std::string& text) {
    char buffer[4096];
    const ssize_t got = read(read_end, buffer, sizeof buffer);
    if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
    if (got == 0) close_end(read_end);
  }
};

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Additions come first and hide an inherited entry of the same name.
std::vector<std::string> environment_with(const std::vector<std::string>& additions) {
  std::vector<std::string> entries = additions;
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

pid_t spawn(const std::vector<std::string>& argv, const RunOptions& options, Pipe& out, Pipe& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write_end, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write_end, STDERR_FILENO);
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

  const std::vector<std::string> environment = environment_with(options.environment);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, argv.at(0).c_str(), &actions, &attributes,
                                 pointers_to(argv).data(), pointers_to(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) throw std::system_error(error, std::generic_category(), argv[0]);
  Pipe::close_end(out.write_end);
  Pipe::close_end(err.write_end);
  return pid;
}

// Waits a moment for output on either pipe, and takes it.
void pump(Pipe& out, Pipe& err, RunResult& result, int wait_ms) {
  pollfd ends[2] = {{out.read_end, POLLIN, 0}, {err.read_end, POLLIN, 0}};  // poll skips a -1
  if (poll(ends, 2, wait_ms) <= 0) return;
  if (ends[0].revents != 0) out.read_some(result.out);
  if (ends[1].revents != 0) err.read_some(result.err);
}

void note_status(int status, RunResult& result) {
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
}

}  // namespace

RunResult run(const std::vector<std::string>& argv, const RunOptions& options) {
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
  while ((out.read_end >= 0 || err.read_end >= 0) && seconds_since(ended) < kDrain_s) {
    pump(out, err, result, kPollMs);
  }
  if (result.left_processes) kill(-pid, SIGKILL);
  return result;
}

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

std::vector<std::string> mpirun_argv(int ranks) {
  // Through env, because Open MPI refuses root without these two, and a test may well run as root.
  return {"env",
          "OMPI_ALLOW_RUN_AS_ROOT=1",
          "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
          "mpirun",
          "--oversubscribe",
          "-n",
          std::to_string(ranks)};
}

std::vector<std::string> launch_argv(int ranks) {
  return {program_path("tools/launch"), "-n", std::to_string(ranks)};
}

std::vector<std::vector<std::string>> launchers(int ranks) {
  std::vector<std::vector<std::string>> all = {launch_argv(ranks)};
  if (have_mpi()) all.push_back(mpirun_argv(ranks));
  return all;
}

}  // namespace ringside::test
