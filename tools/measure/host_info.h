// What a result was measured on: the words without which a table means nothing a month later.
#pragma once

#include <string>

namespace ringside::tools {

struct Machine {
  std::string
      cpu;        // "Intel(R) Xeon(R) Processor"; "unknown processor" where it cannot be found out
  int cores = 0;  // of the machine that are switched on
  std::string date;  // "2026-03-31 14:05 UTC"
};

Machine this_machine();

}  // namespace ringside::tools
