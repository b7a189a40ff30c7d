// Jobs started by tools/launch, for the tests of it.
#pragma once

#include <string>

#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside::test {

// Why tests of tools that calibrate the model on this machine are skipped where kUnderTsan.
inline constexpr const char* kCalibratesTooSlowly =
    "under ThreadSanitizer calibrating takes a minute; the calls that it makes are tested "
    "elsewhere";

// launch -n RANKS OPTIONS… PROGRAM…
Words launch(int ranks, const Words& options, const Words& program);

// The same, with ranks that each run a shell script.
Words launch_scripts(int ranks, const Words& options, const std::string& script);

// The exit status, and that it came within a time that is long for what has to happen at once.
void check_ends(Context& t, const RunResult& result, int status, double within_s = 10);

// A folder in which each rank leaves a file once it is ready; gone afterwards.
class Meeting {
 public:
  // For a script: leaves the rank's file, with some words in it.
  std::string arrive(const std::string& words) const;
  // Waits for the files of ranks 0 to ranks − 1, and removes nothing.
  bool wait_for(int ranks) const;
  int number(int rank) const;  // what a rank has left, if that was a number
  std::string file(int rank) const;

 private:
  Folder folder_;
};

}  // namespace ringside::test
