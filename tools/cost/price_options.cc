// The options of tools/price, and what --help says of them.
#include "tools/cost/price_options.h"

#include "comm/cost/simulate.h"
#include "tools/support/call.h"

namespace ringside::tools {
namespace {

std::vector<OptionRow> options_of(PriceOptions& it, bool& here) {
  const auto add_ranks = [&it](const char* option, const std::string& value) {
    it.ranks.clear();
    for (const std::string& word : split_at_commas(value))
      it.ranks.push_back(static_cast<int>(read_number(option, word, 2, kMostClockRanks)));
  };
  return {
      {"What is predicted (sizes in bytes, or with K M G; powers of 1024)"},
      {"-b, --minbytes", "SIZE", "first size (8)", to_bytes(it.begin_bytes)},
      {"-e, --maxbytes", "SIZE", "last size (16M here, 1G on a described machine)",
       to_bytes(it.end_bytes)},
      {"-f, --stepfactor", "FACTOR",
       "each size is the one before times FACTOR (2 here, 8 on a described machine)",
       to_number(it.factor, 2, 1 << 20)},
      {"--op", "NAME[,NAME…]", list_choices(kPlainCollectives, "all", row_name) + " (all_reduce)",
       to_several(it.kinds, kPlainCollectives, row_name)},
      {"--machine", "NAME", "a name, or a file (this machine)", to_name(it.machine)},
      {"--ranks", "N[,N…]", "2 to 4096, on a described machine (all it has)", add_ranks},
      {"--here", "", "this machine, with the ranks that there are (without --machine)",
       to_true(here)},
      {"--threads", "N", "here: N ranks that are threads (4, where no launcher made any ranks)",
       to_number(it.threads, 2, 64)},
      {"--memory", "M",
       "ordinary, or allocate: from ringside::allocate, read where it lies (by stores; what goes "
       "over "
       "wires is copied all the same). Here, the loops that are timed never change their input: "
       "what is exposed may be found in a cache (ordinary)",
       to_one(it.memory, kAllMemory)},
      {"What is shown"},
      {"--write", "FILE", "writes the machine that was calibrated here as a description",
       to_name(it.write_file)},
      {"--show-machine", "", "the described machine, and nothing else", to_true(it.show_machine)},
      {"--json", "", "one JSON object, for machines", to_true(it.json)},
      help_row(it.request),
      version_row(it.request),
  };
}

void check(const PriceOptions& it, bool here) {
  const auto refuse = [](const char* why) { throw Error(Fault::usage, why); };
  const bool described = !it.machine.empty();
  if (described && here)
    refuse("--machine predicts for a described machine and --here this one; leave one of them out");
  if (described && !it.write_file.empty())
    refuse("--write writes what was calibrated here; to copy a description use --show-machine");
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
  read_options(argc, argv, options_of(it, here));
  if (it.request != Request::none) return it;
  check(it, here);
  const bool described = !it.machine.empty();
  if (it.end_bytes == 0) it.end_bytes = described ? std::size_t{1} << 30 : std::size_t{16} << 20;
  if (it.factor == 0) it.factor = described ? 8 : 2;
  check_sizes(it.begin_bytes, it.end_bytes, std::size_t{described ? 1024u : 4u} << 30);
  return it;
}

std::string price_help() {
  PriceOptions unused;
  bool here = false;
  return R"(price: what a collective costs on a machine, without running it there.

  mpirun -n 2 ./tools/price                       this machine: predicted and measured
  tools/launch -n 2 ./tools/price --write my.txt  the same without MPI; keeps what was found
  ./tools/price --threads 2                       the same with ranks that are threads
  ./tools/price --machine my.txt --ranks 2,8      a machine that a file describes
  ./tools/price --machine 8xH200                  a machine known by name: 8xH200, 2x8xH200, 2cores
  ./tools/price --machine 8xH200 --show-machine   its description, to edit: > mine.txt
)" + options_help(options_of(unused, here)) +
         R"(
The model. A message costs α, however short; each of its bytes β on its way, and γ more where it
is added. A ring's 2(n−1) messages one after another cost 2(n−1)·α + 2(n−1)/n·S·β. No formula is
used here, though: the algorithms themselves are run for all ranks with clocks in place of data
(comm/cost/simulate.h), so slots, slices, shared ports and who waits for whom are in it as well.
Not in it: noise, scheduling of ranks that share a core, routes inside a network.

Here, the ranks first measure flags, copies and additions (α, β, γ), then time a few collectives
of 24 and 768 bytes. Three times are calibrated on those: of a call, of a message at either end, of
a slot. All sizes of the table are predicted from that. off = predicted / measured − 1.

4,096 ranks take about 8 seconds a row and 150 MiB. One-shots are predicted up to 512 ranks.
Exit status: 0 done; 1 a rank failed; 2 a bad option or machine.
)";
}

}  // namespace ringside::tools
