// tools/gpu_check.sh where there is no GPU: what it says and teaches, and that its report says what
// the steps have said. And tools/dev/ninja_less.py, with which it builds where there is no Ninja.
#include <fstream>
#include <string>

#include "tests/faults/flight_files.h"
#include "tests/launcher/launched.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using test::contains;
using test::Folder;
using test::have_python;
using test::RunResult;

RunResult shell(const std::string& command) { return test::run({"sh", "-c", command}); }

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
  CHECK_MSG(contains(result.err, "gpu_check: there is no GPU here"), "%s", result.err.c_str());
  CHECK_MSG(folder.names().empty(), "it has written a report of nothing");
}

RINGSIDE_TEST(gpu_check, dry_run_names_each_command_and_help_teaches) {
  NEEDS_PYTHON();
  const RunResult dry = gpu_check("--dry-run");
  CHECK_EQ(dry.exit_code, 0);
  for (const char* part :
       {"ringside_cuda_tests --plain", "cuda_collectives", "cuda_processes", "kernel_bench --json",
        "RINGSIDE_EXECUTOR=device", "RINGSIDE_EXECUTOR=stream",
        "--threads 4 --op all_reduce --memory device -b 1M -e 256M -f 16"})
    CHECK_MSG(contains(dry.out, part), "no '%s' in: %s", part, dry.out.c_str());
  for (const std::string& line : test::lines_of(dry.out))
    CHECK_MSG(contains(line, " s  "), "no time limit: %s", line.c_str());
  const RunResult help = gpu_check("--help");
  CHECK_EQ(help.exit_code, 0);
  for (const char* part : {"--dry-run", "--out FOLDER", "--minutes", "Exit status"})
    CHECK_MSG(contains(help.out, part), "no '%s' in: %s", part, help.out.c_str());
  CHECK_EQ(gpu_check("--no-such-option").exit_code, 2);
}

// On made-up steps and on steps that are run: a failed one makes the verdict FAILED.
RINGSIDE_TEST(gpu_check, report_says_what_the_steps_say) {
  NEEDS_PYTHON();
  const RunResult result = gpu_check("--self-test");
  CHECK_MSG(result.exit_code == 0, "%s%s", result.out.c_str(), result.err.c_str());
}

namespace {

// first → middle → last, by a rule that appends to what it copies; `broken` fails.
void write_build_file(const Folder& folder, const std::string& command) {
  const std::string at = folder.path() + "/";
  std::ofstream(folder.file("build.ninja"))
      << "words = of the $\n    file\n"
      << "rule add\n  command = " << command << "\n"
      << "rule fail\n  command = exit 7\n"
      << "build " << at << "last: add " << at << "middle\n  more = $words\n"
      << "build " << at << "middle: add " << at << "first | " << at << "other\n"
      << "build " << at << "broken: fail " << at << "last\n"
      << "build " << at << "after: add " << at << "broken\n";
}

RunResult ninja_less(const Folder& folder, const std::string& words) {
  return shell(test::program_path("../../tools/dev/ninja_less.py") + " -f " +
               folder.file("build.ninja") + " " + words);
}

std::string algorithm_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

RINGSIDE_TEST(ninja_less, makes_what_is_stale_in_order_and_nothing_else) {
  NEEDS_PYTHON();
  const Folder folder;
  std::ofstream(folder.file("first")) << "1";
  std::ofstream(folder.file("other")) << "";
  write_build_file(folder, "{ cat $in; printf '+%s' \"$more\"; } >$out");
  const std::string last = folder.file("last");
  const RunResult made = ninja_less(folder, last);
  CHECK_MSG(made.exit_code == 0, "%s%s", made.out.c_str(), made.err.c_str());
  CHECK_EQ(algorithm_of(last), "1++of the file");
  CHECK_EQ(ninja_less(folder, "-n " + last).out, "");
  // What is only behind a `|`, too, makes those that need it stale.
  CHECK(shell("sleep 0.02; touch " + folder.file("other")).ok());
  CHECK_EQ(test::lines_of(ninja_less(folder, "-n " + last).out).size(), std::size_t{2});
  // And so does another command.
  CHECK_EQ(ninja_less(folder, last).exit_code, 0);
  CHECK(shell("sleep 0.02").ok());
  write_build_file(folder, "{ cat $in; printf '*%s' \"$more\"; } >$out");
  CHECK_EQ(ninja_less(folder, last).exit_code, 0);
  CHECK_EQ(algorithm_of(last), "1**of the file");
}

RINGSIDE_TEST(ninja_less, a_command_that_fails_stops_what_needs_it) {
  NEEDS_PYTHON();
  const Folder folder;
  std::ofstream(folder.file("first")) << "1";
  std::ofstream(folder.file("other")) << "";
  write_build_file(folder, "cp $in $out");
  CHECK_EQ(ninja_less(folder, folder.file("after")).exit_code, 1);
  CHECK_EQ(algorithm_of(folder.file("last")), "1");
  CHECK(!shell("test -e " + folder.file("after")).ok());
  CHECK_EQ(ninja_less(folder, folder.file("nobody")).exit_code, 2);
}

// It knows less of the language than Ninja does; of our own files it must know all.
RINGSIDE_TEST(ninja_less, reads_in_our_build_file_what_ninja_reads) {
  NEEDS_PYTHON();
  if (!shell("command -v ninja").ok()) SKIP("there is no Ninja here to compare with");
  const std::string file = test::program_path("build.ninja");
  const RunResult commands = shell("ninja -C " + test::program_path("../..") + " -f " + file +
                                   " -t commands | tr -s ' ' | sort");
  const RunResult ours = shell(
      "cd " + test::program_path("../../tools") +
      " && python3 -B -c 'import pathlib, sys, ninja_less as n; "
      "t = n.Tree(pathlib.Path(sys.argv[1]), []); print(\"\\n\".join(n.command_of(e, t.rules, "
      "t.variables) for e in t.order if e.rule != \"phony\"))' " +
      file + " | tr -s ' ' | sort");
  const auto without_ninjas_own = [](const std::string& text) {
    std::string kept;
    for (const std::string& line : test::lines_of(text))
      if (!line.starts_with("ninja: ")) kept += line + "\n";
    return kept;
  };
  CHECK(ours.ok() && !ours.out.empty());
  CHECK_MSG(without_ninjas_own(commands.out) == ours.out, "ninja_less: %zu commands, Ninja: %zu",
            test::lines_of(ours.out).size(), test::lines_of(commands.out).size());
}

}  // namespace ringside
