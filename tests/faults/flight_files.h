// Flight records as files, for the tests of them: what is in one, and what tools/flight makes of a
// folder of them.
#pragma once

#include <string>

#include "comm/error.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside::test {

inline RunResult flight(const Words& arguments) {
  return run(with({program_path("../../tools/flight")}, arguments));
}

// What a python expression makes of a record, called r.
inline std::string asked(const std::string& path, const std::string& expression) {
  const std::string script =
      "import json, sys; r = json.load(open(sys.argv[1])); print(" + expression + ", end='')";
  const RunResult result = run({"python3", "-c", script, path});
  return result.ok() ? result.out : result.err;
}

// The path of this rank's record; empty if there is none.
inline std::string record_of(const Folder& folder, int rank) {
  for (const std::string& name : folder.names())
    if (name.starts_with("flight-") && name.ends_with(text("-rank%d.json", rank)))
      return folder.file(name);
  return "";
}

}  // namespace ringside::test
