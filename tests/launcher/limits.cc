// Limits (ulimit) that are too low for a job: one sentence names the limit, its value and what is
// needed, whatever the number of ranks.
#include <unistd.h>

#include <string>

#include "comm/error.h"
#include "tests/launcher/launched.h"
#include "tests/support/folder.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

const std::string kTool = test::tool_path("ring_allreduce") + " --no-demo -b 8 -e 8 -n 3";

// Of a job that ends with this status: the tool's sentence, or launch's, is there once.
void check_said_once(Context& t, const Words& argv, int status, const std::string& who,
                     const Words& parts) {
  Job job;
  const RunResult result = job.run(argv, {.timeout_s = 30});
  check_ends(t, result, status, 10 * kSlack);
  CHECK_MSG(lines_from(result.err, who + ": ") == 1, "not once: %s", result.err.c_str());
  check_says(t, result, who + ": ", parts);
  // launch may name a rank.
  CHECK_MSG(lines_of(result.err).size() <= 2, "more than once: %s", result.err.c_str());
  check_nothing_left(t, job);
}

Words limited(const std::string& limit, const std::string& command) {
  return {"bash", "-c", "ulimit " + limit + " && exec " + command};
}

}  // namespace

RINGSIDE_TEST(limits, of_open_files) {
  if (!have_program("bash")) SKIP("there is no bash here");
  const std::string launch = test::tool_path("launch");
  check_said_once(t, limited("-n 20", launch + " -n 32 " + kTool), 2, "ring_allreduce",
                  {"32 ranks open up to 104 files", "20 are allowed", "ulimit -n 104"});
  check_said_once(t, limited("-n 20", launch + " -n 32 --prefix echo"), 2, "launch",
                  {"--prefix takes two open files a rank, 80 with launch's own", "20 are allowed"});
  // What is said to be needed is enough.
  const RunResult enough = run(limited("-n 32", launch + " -n 8 " + kTool));
  CHECK_MSG(enough.exit_code == 0, "%s", enough.err.c_str());
}

RINGSIDE_TEST(limits, of_the_size_of_files) {
  if (!have_program("bash")) SKIP("there is no bash here");
  const Words parts = {"rank 0 could not start: cannot make a memory file of ",
                       "ulimit -f allows 102400 bytes in a file"};
  check_said_once(t, limited("-f 100", test::tool_path("launch") + " -n 8 " + kTool), 2,
                  "ring_allreduce", parts);
  if (kUnderTsan) return;  // whose runtime writes a file of its own, before main
  const test::Folder folder;
  check_said_once(t, limited("-f 0", test::tool_path("bench") + " --help >" + folder.file("out")),
                  1, "bench", {"could not be written (ulimit -f allows 0 bytes in a file)"});
}

// The limit is a user's, and root has none: a user is taken who has nothing else running.
RINGSIDE_TEST(limits, of_processes) {
  const std::string nobody = "setpriv --reuid 54321 --regid 54321 --clear-groups ";
  const std::string launch = test::tool_path("launch");
  if (::geteuid() != 0 || !run({"sh", "-c", nobody + launch + " --version"}).ok())
    SKIP("this takes root, setpriv, and programs that everybody may run");
  const auto as_nobody = [&](const std::string& limit, const std::string& command) {
    return Words{"sh", "-c", nobody + "bash -c 'ulimit " + limit + " && exec " + command + "'"};
  };
  check_said_once(t, as_nobody("-u 12", launch + " -n 32 " + kTool), 1, "launch",
                  {"cannot start rank ", " of a job of 32, which takes at least 34 processes",
                   "ulimit -u allows 12 processes"});
  if (kSanitized) return;  // whose runtimes have threads of their own
  check_said_once(t, as_nobody("-u 12", launch + " -n 8 " + kTool), 2, "ring_allreduce",
                  {"could not start: cannot start a thread: ", "ulimit -u allows 12 processes"});
}

}  // namespace ringside
