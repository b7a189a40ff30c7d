// The options of tools/launch.
#pragma once

#include <string>

#include "tools/support/command_line.h"

namespace ringside::tools {

struct LaunchOptions {
  int ranks = 0;
  bool prefix = false;
  double timeout_s = 0;  // 0: none
  double grace_s = 3;
  Request request = Request::none;
  char** program = nullptr;  // PROGRAM ARGS… and a null, as main() got them
};

// Reads argv. Throws Error{usage} with one sentence.
LaunchOptions parse_launch_options(int argc, char** argv);

// What --help prints. `invoked_as`: argv[0], which differs between the tree and an installation.
std::string launch_help(const std::string& invoked_as);

}  // namespace ringside::tools
