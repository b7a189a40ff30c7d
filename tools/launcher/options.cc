// The options of tools/launch, and what --help says of them.
#include "tools/launcher/options.h"

#include <cmath>
#include <optional>

#include "comm/util/number.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

constexpr int kMostRanks = 1024;

OptionSetter to_seconds(double& target) {
  return [&target](const char* option, const std::string& value) {
    const std::optional<NumberRead> read = leading_number(value);
    target = read ? read->value : -1;
    if (!read || !read->rest.empty() || !std::isfinite(target) || target < 0)
      throw Error(Fault::usage,
                  text("%s %s: a number of seconds is wanted", option, value.c_str()));
  };
}

OptionSetter to_ranks(int& target) {
  return [&target](const char* option, const std::string& value) {
    if (value == "p")
      throw Error(Fault::usage, "-np is mpirun's; say -n here: launch -n 4 PROGRAM");
    to_number(target, 1, kMostRanks)(option, value);
  };
}

std::vector<OptionRow> options_of(LaunchOptions& it) {
  return {
      {"Options"},
      {"-n", "N", "how many ranks", to_ranks(it.ranks)},
      {"--prefix", "",
       "print [RANK] before each line that a rank prints; lines stay whole, up to 16 MiB",
       to_true(it.prefix)},
      {"--timeout", "SECONDS",
       "for the whole job; it is then stopped, and the exit status is 124 (no limit)",
       to_seconds(it.timeout_s)},
      {"--grace", "SECONDS",
       "once a rank has failed, how long the others may take to report what they saw; then "
       "SIGTERM, and a second later SIGKILL (3)",
       to_seconds(it.grace_s)},
      help_row(it.request),
      version_row(it.request),
  };
}

}  // namespace

LaunchOptions parse_launch_options(int argc, char** argv) {
  LaunchOptions it;
  // The options after PROGRAM are its own.
  const int rest = read_options(argc, argv, options_of(it), true);
  if (it.request != Request::none) return it;
  if (it.ranks == 0) throw Error(Fault::usage, "say how many ranks to start: launch -n 4 PROGRAM");
  if (rest == argc) throw Error(Fault::usage, "say what to start: launch -n 4 PROGRAM");
  it.program = argv + rest;
  return it;
}

std::string launch_help(const std::string& invoked_as) {
  LaunchOptions unused;
  return "launch: start N ranks of a program on this host, without MPI.\n\n  " + invoked_as +
         " -n N [options] PROGRAM ARGS...\n  " + invoked_as + " -n 4 --prefix echo hello\n" +
         options_help(options_of(unused)) + R"(
What a rank finds in its environment: RANK and LOCAL_RANK (0 to N-1), WORLD_SIZE and
LOCAL_WORLD_SIZE (N), MASTER_ADDR=127.0.0.1, MASTER_PORT (a free one), RINGSIDE_SECRET (random, new
for each job; only this user and root can read the environment of a process). Variables by which
mpirun and torchrun mark their ranks (OMPI_*, PMI*, TORCHELASTIC_*), and RINGSIDE_BOOTSTRAP,
RINGSIDE_PORT and RINGSIDE_SECRET_FILE, are removed, so launch works inside other launchers.

Rank 0 reads launch's stdin (through launch, if that is a terminal), the others nothing. Without
--prefix all ranks write to launch's stdout and stderr directly. SIGINT, SIGTERM, SIGHUP and SIGQUIT
are passed on to all ranks, which then have the grace period to end. SIGUSR1 and SIGUSR2 are passed
on to those processes that have a handler for them, and end nothing (with RINGSIDE_FLIGHT=FOLDER the
ranks answer SIGUSR1 by writing down their last calls). Ctrl-Z stops the ranks too, and fg continues
them. Each rank leads a process group; what is left of these when all ranks have ended is killed,
and so are the ranks if launch is killed.

Exit status: 0 if every rank's is 0, otherwise that of the first rank that failed (128 + N if signal
N killed it); 1 what the ranks print cannot be written; 2 a bad option; 124 the timeout; 126 or 127
PROGRAM cannot be started or found. If ranks die of the signal that told them to stop, so does
launch, and a shell's loop around it ends.
)";
}

}  // namespace ringside::tools
