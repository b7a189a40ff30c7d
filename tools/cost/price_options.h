// The options of tools/price.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "comm/algorithms/operation.h"
#include "tools/support/buffers.h"
#include "tools/support/command_line.h"

namespace ringside::tools {

struct PriceOptions {
  std::size_t begin_bytes = 8;
  std::size_t end_bytes = 0;  // 0: 16M here, 1G on a described machine
  std::size_t factor = 0;     // 0: 2 here, 8 on a described machine
  std::vector<Kind> kinds = {Kind::all_reduce};
  std::vector<int> ranks;  // none: as many as the machine has
  std::string machine;     // a name or a file; empty: here
  std::string write_file;
  int threads = 0;
  Memory memory = Memory::ordinary;  // what the buffers are
  bool show_machine = false;
  bool json = false;
  Request request = Request::none;
};

// Reads argv. Throws Error{usage} with one sentence.
PriceOptions parse_price_options(int argc, char** argv);

// What --help prints.
std::string price_help();

}  // namespace ringside::tools
