// A job under watch: one command, everything that it starts, and what is left of them afterwards.
//
// Ranks lead process groups of their own, whoever launched them, so the group that run()
// (process.h) looks at does not hold them. A mark in the environment does: whatever the command
// starts inherits it, and /proc/PID/environ shows it, of the ranks too that somebody else let go.
//
// Left behind may be: processes; entries of /dev/shm; sockets with a name, which live as long as
// any process holds them. Memory files (memfd) have no name and go with the last process.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace ringside::test {

// Why a test that needs mpirun is skipped where have_mpi() is false.
inline constexpr const char* kNoMpi = "there is no mpirun here, or this build has no MPI";

class Job {
 public:
  // Tests of the watch itself let it look at a folder of their own: /dev/shm is everybody's.
  explicit Job(std::string shm_folder = "/dev/shm");

  // Runs the command, with `meanwhile` on another thread once it has started.
  RunResult run(const Words& argv, RunOptions options = {},
                const std::function<void()>& meanwhile = {});

  // What the last run left behind, in words; empty when nothing is. Waits up to `patience_s` for
  // those who are still on their way out.
  std::string retired_windows(double patience_s = 3) const;

  // The process that a launcher made this rank, if it is alive.
  std::optional<pid_t> rank(int rank) const;

  // The command itself, while it runs.
  pid_t command() const { return command_; }

  // Notes the named sockets that the job has now, and returns how many have been seen so far. It is
  // done all the time; a test calls it to know that a moment was not missed.
  std::size_t look_at_sockets();

  // Everybody who carries the mark and is alive.
  std::vector<pid_t> processes() const;

 private:
  std::string shm_folder_;
  std::string mark_;  // NAME=value
  std::set<std::string> shm_before_;
  std::atomic<pid_t> command_{0};
  std::mutex mutex_;
  std::set<std::string> sockets_;  // inodes; guarded by mutex_ while the job runs
};

void check_nothing_left(Context& t, const Job& job);

// It has failed by itself within a time that is long for what has to happen at once, and has left
// nothing behind. (mpirun itself takes up to a second to end the others.)
void check_fails_cleanly(Context& t, const Job& job, const RunResult& result,
                         double within_s = 10 * kSlack);

// Runs a tool, and it refuses: one sentence from one rank on stderr, and status 2. (Launchers add
// words of their own, but none that begin like ours.)
void check_refused(Context& t, const std::string& tool, const Words& argv, const std::string& part);

}  // namespace ringside::test
