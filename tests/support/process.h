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

#include "tests/support/test.h"

namespace ringside::test {

using Words = std::vector<std::string>;

struct RunOptions {
  Words environment = {};  // "NAME=value" entries, added to this process's own
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
RunResult run(const Words& argv, const RunOptions& options = {});
RunResult shell(const std::string& command, const RunOptions& options = {});

// Whether the shell finds it.
bool have_program(const std::string& name);
#define NEEDS_PYTHON() \
  if (!::ringside::test::have_program("python3")) SKIP("there is no python3 here")

// The path of something that was built beside this test program, in the same flavour:
// program_path("tests/programs/x"), program_path("tools/ring_allreduce").
std::string program_path(const std::string& built);

// Whether programs of this build can be started under mpirun.
bool have_mpi();

// The words to put before a program's own argv to start `ranks` of it on this machine.
Words mpirun_argv(int ranks);
Words launch_argv(int ranks);  // tools/launch, which is always there

// Each way of starting `ranks` processes that this build and machine have.
std::vector<Words> launchers(int ranks);

// The path of a tool, and each way of starting it on so many ranks: as threads, and by launchers().
std::string tool_path(const std::string& tool);
std::vector<Words> all_ways(const std::string& tool, int ranks, const Words& arguments);

// --- words ---

// One list, and then another.
Words with(Words argv, const Words& more);

Words lines_of(const std::string& out);
Words words_of(const std::string& line);

// How many lines begin so, and how many hold this part.
std::size_t lines_from(const std::string& out, const std::string& start);
std::size_t lines_with(const std::string& out, const std::string& part);

// The first line on stderr that begins so; empty if there is none.
std::string line_of(const RunResult& result, const std::string& start);

// That line has all of these parts; of a rank's words `start` is "rank R: ", as our programs begin.
void check_says(Context& t, const RunResult& result, const std::string& start, const Words& parts);
void check_says(Context& t, const RunResult& result, int rank, const Words& parts);

}  // namespace ringside::test
