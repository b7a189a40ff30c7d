// The options of tools/stress.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "tools/fuzz/resources.h"
#include "tools/support/command_line.h"

namespace ringside::tools {

struct StressOptions {
  std::optional<std::uint64_t> seed;  // none: one is drawn
  std::uint64_t operations = 10'000;
  std::size_t bytes_max = std::size_t{1} << 20;  // of a call's whole buffer
  int threads = 0;                               // 0: as the launcher made them
  std::uint64_t spoil = 0;                       // 0: nothing
  Leak leak = Leak::none;
  bool json = false;
  Request request = Request::none;
};

// Reads argv. Throws Error{usage} with one sentence.
StressOptions parse_stress_options(int argc, char** argv);

// What --help prints.
std::string stress_help();

}  // namespace ringside::tools
