// The test program's main: Criterion's runner where Criterion is installed, a plain one otherwise.
//
//   ringside_tests [options of Criterion's]      --filter='suite*/*', --jobs N, --help ...
//   ringside_tests --plain [--filter TEXT] [--part K/N] [--list] [--timeout SECONDS]
//
// The plain runner executes the same bodies in this process, one after another.  It serves the
// sanitizers, CUDA, debuggers, and machines without Criterion.  A test that hangs is named and
// aborted.  --part 2/3 runs the second of every three tests, so that three processes can share all.
// The last lines name the slowest tests, and are `N passed, N failed, N skipped`.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/test.h"

namespace ringside::test {
namespace {

struct PlainOptions {
  std::string filter;  // run the tests whose suite.name contains this
  int part = 1, parts = 1;
  bool list = false;
  unsigned timeout_s = RINGSIDE_TEST_TIMEOUT_S;
};

// The signal handler may read only what cannot change under it: a plain array.
char hang_message[256];

void report_hang(int) {
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, hang_message, std::strlen(hang_message));
  std::abort();
}

Outcome run_with_watchdog(const Test& test, unsigned timeout_s) {
  std::snprintf(hang_message, sizeof hang_message, "HUNG    %s: not done after %u s\n",
                test.full_name().c_str(), timeout_s);
  alarm(timeout_s);
  Outcome outcome = run_test(test);
  alarm(0);
  return outcome;
}

// What to make quicker first.
void print_slowest(std::vector<std::pair<double, std::string>> times) {
  constexpr std::size_t kShown = 8;
  constexpr double kLeast_s = 2;
  std::sort(times.rbegin(), times.rend());
  for (std::size_t i = 0; i < std::min(kShown, times.size()) && times[i].first >= kLeast_s; ++i)
    std::printf("%6.1f s %s\n", times[i].first, times[i].second.c_str());
}

int run_plain(const PlainOptions& options) {
  signal(SIGALRM, report_hang);
  int passed = 0, failed = 0, skipped = 0, number = 0;
  std::vector<std::pair<double, std::string>> times;
  for (const Test& test : registry()) {
    const std::string name = test.full_name();
    if (name.find(options.filter) == std::string::npos) continue;
    if (number++ % options.parts != options.part - 1) continue;
    if (options.list) {
      std::printf("%s\n", name.c_str());
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    const Outcome outcome = run_with_watchdog(test, options.timeout_s);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    times.emplace_back(took.count(), name);
    if (outcome.kind == Outcome::passed) {
      ++passed;
    } else if (outcome.kind == Outcome::skipped) {
      ++skipped;
      std::printf("SKIPPED %s: %s\n", name.c_str(), outcome.text.c_str());
    } else {
      ++failed;
      std::printf("FAILED  %s\n%s", name.c_str(), outcome.text.c_str());
    }
    std::fflush(stdout);  // so that what is known is seen, should the next test bring all down
  }
  if (options.list) return 0;
  print_slowest(std::move(times));
  std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  if (number == 0 && !options.filter.empty()) {
    std::fprintf(stderr, "no test's name contains '%s'\n", options.filter.c_str());
    return 1;
  }
  return failed == 0 ? 0 : 1;
}

// The value of "--option value" or "--option=value"; null when argv[i] is another option.
const char* value_of(const char* option, int argc, char** argv, int& i) {
  const std::size_t length = std::strlen(option);
  if (std::strncmp(argv[i], option, length) != 0) return nullptr;
  if (argv[i][length] == '=') return argv[i] + length + 1;
  if (argv[i][length] == '\0' && i + 1 < argc) return argv[++i];
  return nullptr;
}

// "2/3"
bool read_part(const char* words, PlainOptions& options) {
  char rest = '\0';
  return std::sscanf(words, "%d/%d%c", &options.part, &options.parts, &rest) == 2 &&
         1 <= options.part && options.part <= options.parts;
}

int plain_main(int argc, char** argv) {
  PlainOptions options;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--plain") == 0) continue;
    if (std::strcmp(argv[i], "--list") == 0) {
      options.list = true;
    } else if (const char* filter = value_of("--filter", argc, argv, i)) {
      options.filter = filter;
    } else if (const char* timeout_s = value_of("--timeout", argc, argv, i)) {
      options.timeout_s = static_cast<unsigned>(std::atoi(timeout_s));
    } else if (const char* part = value_of("--part", argc, argv, i);
               part != nullptr && read_part(part, options)) {
    } else {
      std::fprintf(stderr,
                   "usage: %s --plain [--filter TEXT] [--part K/N] [--list] [--timeout SECONDS]\n",
                   argv[0]);
      return 2;
    }
  }
  return run_plain(options);
}

#ifdef RINGSIDE_HAVE_CRITERION
int criterion_main(int argc, char** argv) {
  criterion_test_set* tests = criterion_initialize();
  int passed = 1;
  if (criterion_handle_args(argc, argv, true)) passed = criterion_run_all_tests(tests);
  criterion_finalize(tests);
  return passed ? 0 : 1;
}
#endif

}  // namespace
}  // namespace ringside::test

int main(int argc, char** argv) {
#ifdef RINGSIDE_HAVE_CRITERION
  bool plain = false;
  for (int i = 1; i < argc; ++i) plain |= std::strcmp(argv[i], "--plain") == 0;
  if (!plain) return ringside::test::criterion_main(argc, argv);
#endif
  return ringside::test::plain_main(argc, argv);
}
