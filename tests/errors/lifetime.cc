// A communicator lives as long as its program, and is its maker's alone: what outlives main, what a
// plugin holds, and what a forked child may do.
#include <string>

#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

using namespace ringside;
using namespace ringside::test;

namespace {

// As two ranks, with each control channel, and alone.
void check_ends_well(Context& t, const Words& argv, const std::string& line,
                     const Words& environment = {}) {
  const Folder flight;
  for (const char* control : {"shared", "socket"}) {
    const RunResult result =
        run(with(launch_argv(2), argv),
            {.environment =
                 with(environment, {text("RINGSIDE_CONTROL=%s", control), "RINGSIDE_TIMEOUT=30",
                                    "RINGSIDE_FLIGHT=" + flight.path()})});
    CHECK_MSG(result.ok() && result.err.empty(), "%s: exit status %d, signal %d: %s", control,
              result.exit_code, result.signal, result.err.c_str());
    CHECK_EQ(lines_with(result.out, line), 2u);
  }
  CHECK(flight.names().empty());  // nothing went wrong, and no child answered for its parent
}

}  // namespace

// At namespace scope it is older than whatever the library makes when it is made.
RINGSIDE_TEST(lifetime, communicator_outlives_main) {
  const std::string owner = program_path("tests/programs/owner");
  check_ends_well(t, {owner, "communicator"}, ": 2");
  const RunResult alone = run({owner, "communicator"});
  CHECK_MSG(alone.ok() && alone.err.empty() && alone.out == "rank 0: 1\n", "signal %d: %s%s",
            alone.signal, alone.out.c_str(), alone.err.c_str());
}

RINGSIDE_TEST(lifetime, forked_children_are_told_and_nobody_else_notices) {
  // In a child a thread of the parent's is gone, and what it had on its stack looks like a leak.
  check_ends_well(t, {program_path("tests/programs/forker")}, ": well",
                  {"ASAN_OPTIONS=detect_leaks=0"});
}

// What a daemon is started with. The kernel would hand out these numbers first.
RINGSIDE_TEST(lifetime, no_descriptor_takes_the_place_of_stdio) {
  const Words owner = {program_path("tests/programs/owner"), "no-stdio"};
  CHECK_EQ(run(owner).exit_code, 0);
  for (const char* control : {"shared", "socket"}) {
    const RunResult result =
        run(with(launch_argv(2), owner), {.environment = {text("RINGSIDE_CONTROL=%s", control)}});
    CHECK_MSG(result.ok(), "%s: %d", control, result.exit_code);
  }
  // A tool that cannot print says so by its exit status.
  for (const char* closed : {">&-", "<&- >&-", "<&- >&- 2>&-"}) {
    const RunResult result = shell("exec " + tool_path("ring_allreduce") +
                                   " --threads 2 --no-demo -b 8 -e 8 -n 1 " + closed);
    CHECK_MSG(result.signal == 0 && result.exit_code == 1, "%s: %d, signal %d: %s", closed,
              result.exit_code, result.signal, result.err.c_str());
  }
}

// An interpreter's extension: loaded late, closed or not, and ended after everything else.
RINGSIDE_TEST(lifetime, communicator_of_a_plugin_ends_with_it) {
  NEEDS_PYTHON();
  const Folder folder;
  const std::string library = program_path("libringside.so.0");
  if (kSanitized || !shell("test -e " + library).ok()) SKIP("this build has no shared library");
  const RunResult built = shell("cat >" + folder.file("plugin.cc") +
                                " <<'END'\n"
                                "#include <optional>\n"
                                "#include \"comm/bootstrap/start.h\"\n"
                                "#include \"comm/communicator.h\"\n"
                                "std::optional<ringside::Communicator> communicator;\n"
                                "extern \"C\" int start() {\n"
                                "  communicator.emplace(*ringside::start_bootstrap());\n"
                                "  communicator->barrier_async().wait();\n"
                                "  return communicator->size();\n"
                                "}\n"
                                "END\n"
                                "${CXX:-c++} -std=c++20 -O0 -fPIC -shared -I" +
                                program_path("../..") + " " + folder.file("plugin.cc") + " " +
                                library + " -o " + folder.file("plugin.so"));
  CHECK_MSG(built.ok(), "%s", built.err.c_str());
  const std::string load = "import ctypes, _ctypes; it = ctypes.CDLL('" + folder.file("plugin.so") +
                           "'); print(it.start(), end=' ')\n";
  for (const char* more : {"", "_ctypes.dlclose(it._handle)\n"}) {
    const RunResult result = run({"env", "LD_LIBRARY_PATH=" + program_path("."), "python3", "-c",
                                  load + more + "print('end')"});
    CHECK_MSG(result.ok() && result.out == "1 end\n", "status %d, signal %d: %s%s",
              result.exit_code, result.signal, result.out.c_str(), result.err.c_str());
  }
}
