// tools/gpu_check.sh where there is no GPU: what it says and teaches, and that its report says what
// the steps have said.
#include <string>

#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

RunResult gpu_check(const std::string& words) {
  return shell(test::program_path("../../tools/gpu_check.sh") + " " + words);
}

bool have_gpu() { return shell("test -e /dev/nvidiactl || test -e /dev/dxg").ok(); }

}  // namespace

RINGSIDE_TEST(gpu_check, without_a_gpu_says_so_in_one_sentence) {
  NEEDS_PYTHON();
  if (have_gpu()) SKIP("there is a GPU here, and the check takes minutes");
  const Folder folder;
  const RunResult result = gpu_check("--out " + folder.path());
  CHECK_EQ(result.exit_code, 3);
  CHECK_EQ(result.out, "");
  CHECK_EQ(test::lines_of(result.err).size(), std::size_t{1});
  check_has(t, result.err, {"gpu_check: there is no GPU here"});
  CHECK_MSG(folder.names().empty(), "it has written a report of nothing");
}

RINGSIDE_TEST(gpu_check, dry_run_names_each_command_and_help_teaches) {
  NEEDS_PYTHON();
  const RunResult dry = gpu_check("--dry-run");
  CHECK_EQ(dry.exit_code, 0);
  check_has(t, dry.out,
            {"ringside_cuda_tests --plain", "cuda_collectives", "cuda_processes",
             "kernel_bench --json", "RINGSIDE_EXECUTOR=device", "RINGSIDE_EXECUTOR=stream",
             "--threads 4 --op all_reduce --memory device -b 1M -e 256M -f 16"});
  for (const std::string& line : test::lines_of(dry.out)) check_has(t, line, {" s  "});
  const RunResult help = gpu_check("--help");
  CHECK_EQ(help.exit_code, 0);
  check_has(t, help.out, {"--dry-run", "--out FOLDER", "--minutes", "Exit status"});
  CHECK_EQ(gpu_check("--no-such-option").exit_code, 2);
}

// What it needs to build is named, with the command that installs it.
RINGSIDE_TEST(gpu_check, without_ninja_says_what_to_install) {
  NEEDS_PYTHON();
  const Folder folder;  // a PATH with nothing on it but what the script itself runs
  CHECK(shell("cd " + folder.path() + " && ln -s $(command -v sh) $(command -v dirname) . && " +
              "ln -s $(python3 -c 'import sys; print(sys.executable)') python3")
            .ok());
  const RunResult result =
      shell("PATH=" + folder.path() + " " + test::program_path("../../tools/gpu_check.sh") +
            " --dry-run --build");
  CHECK_EQ(result.exit_code, 3);
  CHECK_EQ(result.err,
           "gpu_check: Ninja is needed to build: `pip install ninja`, or `apt-get "
           "install ninja-build`\n");
}

// On made-up steps and on steps that are run: a failed one makes the verdict FAILED.
RINGSIDE_TEST(gpu_check, report_says_what_the_steps_say) {
  NEEDS_PYTHON();
  const RunResult result = gpu_check("--self-test");
  CHECK_MSG(result.exit_code == 0, "%s%s", result.out.c_str(), result.err.c_str());
}

}  // namespace ringside
