// The options of tools/stress, and what --help says of them.
#include "tools/fuzz/options.h"

#include <array>

#include "comm/options.h"
#include "tools/fuzz/random_program.h"

namespace ringside::tools {
namespace {

constexpr std::uint64_t kMostOperations = 1'000'000'000;
constexpr std::size_t kMostBytes = std::size_t{64} << 20;
constexpr std::array kLeaks = {Leak::memory, Leak::windows, Leak::descriptors, Leak::threads};

std::vector<OptionRow> options_of(StressOptions& it) {
  const auto set_seed = [&it](const char* option, const std::string& value) {
    it.seed = read_number(option, value, 0, INT64_MAX);
  };
  const auto set_bytes_max = [&it](const char* option, const std::string& value) {
    if (!parse_bytes(value.c_str(), it.bytes_max) || it.bytes_max < 8 || it.bytes_max > kMostBytes)
      throw Error(Fault::usage,
                  text("%s %s: a size from 8 to 64M is wanted", option, value.c_str()));
  };
  return {
      {"Options"},
      {"--seed", "S", "which program (a new one each time)", set_seed},
      {"--ops", "N", "how many operations (10000)", to_number(it.operations, 1, kMostOperations)},
      {"--max-bytes", "SIZE", "the largest buffer, in bytes or with K M G (1M)", set_bytes_max},
      {"--threads", "N", "ranks are N threads of this process (as the launcher says)",
       to_number(it.threads, 1, 64)},
      {"--json", "", "one JSON object, for machines", to_true(it.json)},
      help_row(it.request),
      version_row(it.request),
      {"To see that mistakes are noticed"},
      {"--spoil", "K",
       "one bit of the result of operation K (or the next that has a result) is changed",
       to_number(it.spoil, 1, kMostOperations)},
      {"--leak", "WHAT", "something is not given back: " + list_choices(kLeaks),
       to_one(it.leak, kLeaks)},
  };
}

}  // namespace

StressOptions parse_stress_options(int argc, char** argv) {
  StressOptions it;
  read_options(argc, argv, options_of(it));
  if (it.spoil > it.operations)
    throw Error(Fault::usage, text("--spoil %llu: there are only %llu operations (--ops)",
                                   static_cast<unsigned long long>(it.spoil),
                                   static_cast<unsigned long long>(it.operations)));
  // What is held is compared from round to round.
  if (it.leak != Leak::none && it.operations < 2 * RandomProgram::kRound)
    throw Error(Fault::usage, text("--leak is noticed from --ops %llu on",
                                   static_cast<unsigned long long>(2 * RandomProgram::kRound)));
  return it;
}

std::string stress_help() {
  StressOptions unused;
  return R"(stress: thousands of random calls, every result checked, nothing left behind.

  tools/launch -n 4 tools/stress              10,000 operations on four processes
  mpirun -n 4 --oversubscribe tools/stress    the same under mpirun
  tools/stress --threads 4                    on four threads of one process
  tools/stress --threads 4 --seed 7 --ops 50  the first 50 operations of seed 7, again

All ranks draw the same program from the seed: every operation, type and reduction, any root, counts
of 0 and 1 and around each size at which algorithms change, in place and not, at odd addresses;
blocking or asynchronous, with many calls in flight that are waited for in any order, or dropped;
on the world and on groups that are split off and ended on the way; messages and batches of them.
)" + options_help(options_of(unused)) +
         R"(
What is checked: every element, to the bit, against what each rank computes apart; every byte around
and between the outputs, which must be as before; and after every 100 operations, when only the
world's communicator is left, that the process holds no more shared memory, descriptors and threads
than after the first tenth of the run, and no more memory than 2 MiB above.

A failure names the operation and the seed; --seed S --ops N with that operation's number runs it
again. Which call is waited for when is each rank's own choice and depends on time; what is called,
on what, and what comes of it does not.

Exit status: 0 all is right; 1 something is wrong, or a rank failed; 2 a bad option.
Environment: RINGSIDE_SLOT_BYTES, RINGSIDE_SLOT_COUNT, RINGSIDE_ALGORITHM, RINGSIDE_TIMEOUT, as
everywhere: with RINGSIDE_SLOT_BYTES=64 the smallest buffers go round all slots.
)";
}

}  // namespace ringside::tools
