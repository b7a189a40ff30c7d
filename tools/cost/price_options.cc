// Reading the options of tools/price, strictly.
#include "tools/cost/price_options.h"

#include <cstring>

#include "comm/cost/simulate.h"
#include "comm/error.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

constexpr Kind kKinds[] = {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather,
                           Kind::broadcast,  Kind::reduce,         Kind::gather,
                           Kind::scatter,    Kind::all_to_all};

// "2,8,4096"
std::vector<int> read_ranks(const std::string& list) {
  std::vector<int> ranks;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    ranks.push_back(read_int("--ranks", list.substr(begin, end - begin), 2, kMostClockRanks));
    begin = end + 1;
  }
  return ranks;
}

std::vector<Kind> read_kinds(const char* value) {
  if (std::strcmp(value, "all") == 0) return {std::begin(kKinds), std::end(kKinds)};
  std::string names;
  for (const Kind kind : kKinds) {
    if (std::strcmp(value, name_of(kind)) == 0) return {kind};
    names += std::string(name_of(kind)) + ", ";
  }
  throw Error(Fault::usage,
              text("--op %s is not known; there are %sand all", value, names.c_str()));
}

enum LongOption {
  kOp = 256,
  kRanks,
  kMachine,
  kHere,
  kShow,
  kWrite,
  kThreads,
  kMemory,
  kJson,
  kHelp
};

const option kLongOptions[] = {
    {"minbytes", required_argument, nullptr, 'b'},
    {"maxbytes", required_argument, nullptr, 'e'},
    {"stepfactor", required_argument, nullptr, 'f'},
    {"op", required_argument, nullptr, kOp},
    {"ranks", required_argument, nullptr, kRanks},
    {"machine", required_argument, nullptr, kMachine},
    {"here", no_argument, nullptr, kHere},
    {"show-machine", no_argument, nullptr, kShow},
    {"write", required_argument, nullptr, kWrite},
    {"threads", required_argument, nullptr, kThreads},
    {"memory", required_argument, nullptr, kMemory},
    {"json", no_argument, nullptr, kJson},
    {"help", no_argument, nullptr, kHelp},
    {nullptr, 0, nullptr, 0},
};

const char* not_empty(const char* option, const char* value) {
  if (*value == '\0') throw Error(Fault::usage, text("%s wants a name, and '' is none", option));
  return value;
}

void read_option(int letter, const char* value, PriceOptions& it, bool& here) {
  switch (letter) {
    case 'b':
      it.begin_bytes = read_bytes("-b", value);
      break;
    case 'e':
      it.end_bytes = read_bytes("-e", value);
      break;
    case 'f':
      it.factor = read_number("-f", value, 2, 1 << 20);
      break;
    case kOp:
      it.kinds = read_kinds(value);
      break;
    case kRanks:
      it.ranks = read_ranks(value);
      break;
    case kMachine:
      it.machine = not_empty("--machine", value);
      break;
    case kHere:
      here = true;
      break;
    case kShow:
      it.show_machine = true;
      break;
    case kWrite:
      it.write_file = not_empty("--write", value);
      break;
    case kThreads:
      it.threads = read_int("--threads", value, 2, 64);
      break;
    case kMemory:
      it.memory = read_memory(value);
      break;
    case kJson:
      it.json = true;
      break;
    default:
      it.help = true;
      break;
  }
}

void check(const PriceOptions& it, bool here) {
  const auto refuse = [](const char* why) { throw Error(Fault::usage, why); };
  const bool described = !it.machine.empty();
  if (described && here)
    refuse("--machine prices a described machine and --here this one; leave one of them out");
  if (described && !it.write_file.empty())
    refuse("--write writes what was fitted here; to copy a description use --show-machine");
  if (described && it.threads > 0)
    refuse("--threads makes ranks that measure this machine; with --machine say --ranks");
  if (!described && it.show_machine)
    refuse("--show-machine shows a described machine; say --machine NAME too");
  if (!described && !it.ranks.empty())
    refuse(
        "--ranks is for a described machine (--machine NAME); here the ranks are those that "
        "the launcher or --threads makes");
}

}  // namespace

PriceOptions parse_price_options(int argc, char** argv) {
  PriceOptions it;
  bool here = false;
  const int rest =
      read_options(argc, argv, ":b:e:f:h", kLongOptions,
                   [&](int letter, const char* value) { read_option(letter, value, it, here); });
  refuse_rest(argc, argv, rest);
  if (it.help) return it;
  check(it, here);
  const bool described = !it.machine.empty();
  if (it.end_bytes == 0) it.end_bytes = described ? std::size_t{1} << 30 : std::size_t{16} << 20;
  if (it.factor == 0) it.factor = described ? 8 : 2;
  const std::size_t most = described ? std::size_t{1} << 40 : std::size_t{4} << 30;
  if (it.begin_bytes < 1 || it.begin_bytes > it.end_bytes || it.end_bytes > most)
    throw Error(Fault::usage, text("sizes run from -b to -e, at least 1 and at most %zuG; %zu to "
                                   "%zu do not",
                                   most >> 30, it.begin_bytes, it.end_bytes));
  return it;
}

std::string price_help() {
  return R"(price: what a collective costs on a machine, without running it there.

  mpirun -n 2 ./tools/price                       this machine: predicted beside measured
  tools/launch -n 2 ./tools/price --write my.txt  the same without MPI; keeps what was found
  ./tools/price --threads 2                       the same with ranks that are threads
  ./tools/price --machine my.txt --ranks 2,8      a machine that a file describes
  ./tools/price --machine 8xH200                  a machine known by name: 8xH200, 2x8xH200, 2cores
  ./tools/price --machine 8xH200 --show-machine   its description, to edit: > mine.txt

What is priced (sizes in bytes, or with K M G; powers of 1024)
  -b SIZE          first size                                                   8
  -e SIZE          last size                          16M here, 1G on a described machine
  -f FACTOR        each size is the one before times FACTOR           2 here, 8 described
  --op NAME        all_reduce reduce_scatter all_gather broadcast               all_reduce
                   reduce gather scatter all_to_all, or all
  --machine NAME   a name, or a file                                            this machine
  --ranks N[,N…]   2 to 4096, on a described machine                            all it has
  --here           this machine, with the ranks that there are                  without --machine
  --threads N      here: N ranks that are threads             4, where no launcher made any ranks
  --memory M       any, or allocate: from ringside::allocate, read where it lies     any
                   (by stores; what goes over wires is copied all the same). Here, the loops
                   that are timed never change their input: what is exposed may be found in a cache

What is shown
  --write FILE     the machine that was fitted here, as a description
  --show-machine   the described machine, and nothing else
  --json           one JSON object, for machines
  --help           this

The model. A message costs α, however short; each of its bytes β on its way, and γ more where it
is added. A ring's 2(n−1) messages one after another cost 2(n−1)·α + 2(n−1)/n·S·β. No formula is
used here, though: the algorithms' own texts are run for all ranks with clocks in place of data
(comm/cost/simulate.h), so slots, slices, shared ports and who waits for whom are in it as well.
Not in it: noise, scheduling of ranks that share a core, routes inside a network.

Here, the ranks first measure flags, copies and additions (α, β, γ), then time a few collectives
of 24 and 768 bytes. Three times are fitted to those: of a call, of a message at either end, of a
slot. All sizes of the table are predicted from that. off = predicted / measured − 1.

4,096 ranks take about 8 seconds a row and 150 MiB. One-shots are priced up to 512 ranks.
Exit status: 0 done; 1 a rank failed; 2 a bad option or machine.
)";
}

}  // namespace ringside::tools
