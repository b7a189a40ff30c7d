// Real processes for tests: start a program, watch it, and judge its exit code and output.
//
// Most tests run their ranks as threads.  What threads cannot show (mpirun, a rank that is killed,
// a program's exit code) needs processes, and they are made by posix_spawn, never by a bare fork:
// the test has threads, and a forked child of such a program may hold a lock for ever.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace ringside::test {

struct RunOptions {
  std::vector<std::string> environment = {};  // "NAME=value" entries, added to this process's own
  double timeout_s = 60;
  std::function<void(pid_t)> on_started = {};  // called once the child runs; may kill it
};

struct RunResult {
  int exit_code = -1;  // -1 when a signal ended the program
  int signal = 0;      // that signal
  bool timed_out = false;
  bool left_processes = false;  // somebody of its process group outlived it (and was then killed)
  double seconds = 0;
  std::string out, err;

  bool ok() const { return exit_code == 0 && !timed_out; }
};

// Runs a program to its end with nothing on its stdin.  argv[0] is searched in PATH unless it has a
// slash.  The child leads a process group of its own; when time is up the group gets SIGTERM, which
// lets mpirun take its ranks along, and SIGKILL two seconds later.  Throws std::system_error when
// the program cannot be started at all.
RunResult run(const std::vector<std::string>& argv, const RunOptions& options = {});

// The path of something that was built beside this test program, in the same flavour:
// program_path("tests/programs/x"), program_path("tools/ring_allreduce").
std::string program_path(const std::string& built);

// Whether programs of this build can be started under mpirun.
bool have_mpi();

// The words to put before a program's own argv to start `ranks` of it on this machine.
std::vector<std::string> mpirun_argv(int ranks);
std::vector<std::string> launch_argv(int ranks);  // tools/launch, which is always there

// Each way of starting `ranks` processes that this build and machine have.
std::vector<std::vector<std::string>> launchers(int ranks);

}  // namespace ringside::test
