// Reading the options of tools/stress, and what --help says of them.
#include "tools/fuzz/options.h"

#include <array>
#include <cstring>
#include <utility>

#include "comm/error.h"
#include "comm/options.h"
#include "tools/fuzz/random_program.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

std::size_t read_bytes_max(const char* value) {
  std::size_t bytes = 0;
  if (!parse_bytes(value, bytes) || bytes < 8 || bytes > std::size_t{64} << 20)
    throw Error(Fault::usage, text("--max-bytes %s: a size from 8 to 64M is wanted", value));
  return bytes;
}

Leak read_leak(const char* value) {
  constexpr std::array kinds = {
      std::pair{"memory", Leak::memory}, std::pair{"windows", Leak::windows},
      std::pair{"descriptors", Leak::descriptors}, std::pair{"threads", Leak::threads}};
  for (const auto& [name, kind] : kinds)
    if (std::strcmp(value, name) == 0) return kind;
  throw Error(Fault::usage,
              text("--leak %s: there are memory, windows, descriptors and threads", value));
}

constexpr std::uint64_t kMostOperations = 1'000'000'000;

enum LongOption { kSeed = 256, kOps, kMaxBytes, kThreads, kSpoil, kLeak, kJson };

const option kLongOptions[] = {
    {"seed", required_argument, nullptr, kSeed},
    {"ops", required_argument, nullptr, kOps},
    {"max-bytes", required_argument, nullptr, kMaxBytes},
    {"threads", required_argument, nullptr, kThreads},
    {"spoil", required_argument, nullptr, kSpoil},
    {"leak", required_argument, nullptr, kLeak},
    {"json", no_argument, nullptr, kJson},
    {"help", no_argument, nullptr, 'h'},
    {nullptr, 0, nullptr, 0},
};

void read_option(int letter, const char* value, StressOptions& it) {
  switch (letter) {
    case kSeed:
      it.seed = read_number("--seed", value, 0, INT64_MAX);
      break;
    case kOps:
      it.operations = read_number("--ops", value, 1, kMostOperations);
      break;
    case kMaxBytes:
      it.bytes_max = read_bytes_max(value);
      break;
    case kThreads:
      it.threads = read_int("--threads", value, 1, 64);
      break;
    case kSpoil:
      it.spoil = read_number("--spoil", value, 1, kMostOperations);
      break;
    case kLeak:
      it.leak = read_leak(value);
      break;
    case kJson:
      it.json = true;
      break;
    default:
      it.help = true;
      break;
  }
}

}  // namespace

StressOptions parse_stress_options(int argc, char** argv) {
  StressOptions it;
  const int rest = read_options(argc, argv, ":h", kLongOptions, [&](int letter, const char* value) {
    read_option(letter, value, it);
  });
  refuse_rest(argc, argv, rest);
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
  return R"(stress: thousands of random calls, every result checked, nothing left behind.

  tools/launch -n 4 tools/stress              10,000 operations on four processes
  mpirun -n 4 --oversubscribe tools/stress    the same under mpirun
  tools/stress --threads 4                    on four threads of one process
  tools/stress --threads 4 --seed 7 --ops 50  the first 50 operations of seed 7, again

All ranks draw the same program from the seed: every operation, type and reduction, any root, counts
of 0 and 1 and around each size at which algorithms change, in place and not, at odd addresses;
blocking or asynchronous, with many calls in flight that are waited for in any order, or dropped;
on the world and on groups that are split off and ended on the way; messages and batches of them.

Options
  --seed S         which program                                      a new one each time
  --ops N          how many operations                                                10000
  --max-bytes SIZE the largest buffer (bytes, or with K M G)                             1M
  --threads N      ranks are N threads of this process                      as the launcher says
  --json           one JSON object, for machines
  --help           this

To see that mistakes are noticed
  --spoil K        one bit of the result of operation K (or the next that has one) is changed
  --leak WHAT      something is not given back: memory, windows, descriptors or threads

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
