// The options of tools/launch.
#pragma once

#include <string>

namespace ringside::tools {

struct LaunchOptions {
  int ranks = 0;
  bool prefix = false;
  double timeout_s = 0;  // 0: none
  double grace_s = 3;
  bool help = false;
  char** program = nullptr;  // PROGRAM ARGS… and a null, as main() got them
};

// Reads argv. Throws Error{usage} with one sentence.
LaunchOptions parse_launch_options(int argc, char** argv);

// What --help prints.
std::string launch_help();

}  // namespace ringside::tools
