// Machines that are known by name, as texts (comm/cost/machine_text.h): from public figures, which
// stand with each fact, or written by `price --write`.
#pragma once

#include <string>
#include <vector>

#include "comm/cost/machine.h"

namespace ringside::tools {

struct NamedMachine {
  const char* name;
  std::string text;
};

const std::vector<NamedMachine>& named_machines();

// The text of a machine by its name, or of a file. Throws Error{usage}: neither is there, or it is
// empty, or longer than a machine can be.
std::string machine_text(const std::string& name_or_file);

}  // namespace ringside::tools
