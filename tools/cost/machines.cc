// The named machines. Nothing here was measured by ringside but `2cores`.
#include "tools/cost/machines.h"

#include <filesystem>
#include <fstream>

#include "comm/error.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

// A text begins on the line after its opening bracket.
//
// NCCL's own figures, so that its published times can be compared. "Tuner" is its table of
// latencies (src/graph/tuning.cc): for a ring in the protocol LL, the one for short messages.
constexpr const char* k8xH200 =
    R"(
# 8 H200 behind NVSwitch, as NCCL's ring uses them. Described, not measured.
name           8xH200
hosts          1
ranks-per-host 8
call           6.6us                                           # tuner: base latency of a ring
message        0ns                                             # is within the latencies
link           same-host latency 0.6us bandwidth 368GB/s       # tuner: a step by NVLink; what rings
                                                               # are published to reach of 450
link           between-hosts latency 2.7us bandwidth 400GB/s   # tuner: a step by network; 8 NICs
                                                               # of 400 Gb/s a host (data sheet)
ring-slots     8 x 16MiB                                       # a step of 512 KiB on 32 channels
mesh-slots     4 x 128KiB                                      # ringside's own
)";

constexpr const char* k2Cores = R"(
# Two ranks on two cores of a virtual server, under mpirun: from price --write, rounded.
name           2cores
hosts          1
ranks-per-host 2
cores-per-host 2
call           20.5ns
message        46.3ns
slot           54.5ns
link           same-host latency 145ns
copy           4KiB 6.23GB/s
copy           16KiB 7.54GB/s
copy           64KiB 10.7GB/s
copy           256KiB 16.9GB/s
copy           1MiB 14.7GB/s
copy           4MiB 13.2GB/s
copy           16MiB 12GB/s
reduce         4KiB 6.92GB/s
reduce         16KiB 8.51GB/s
reduce         64KiB 12.4GB/s
reduce         256KiB 14.2GB/s
reduce         1MiB 9.96GB/s
reduce         4MiB 8.51GB/s
reduce         16MiB 5.57GB/s
ring-slots     4 x 128KiB
mesh-slots     4 x 128KiB
)";

constexpr std::size_t kMostText = std::size_t{1} << 20;  // /dev/zero has no end

std::string two_hosts() {
  std::string words = k8xH200 + 1;
  const auto change = [&](const char* from, const char* to) {
    words.replace(words.find(from), std::string(from).size(), to);
  };
  change("# 8 H200 behind NVSwitch,", "# Two hosts of 8 H200 each,");
  change("8xH200", "2x8xH200");
  change("hosts          1", "hosts          2");
  return words;
}

}  // namespace

const std::vector<NamedMachine>& named_machines() {
  static const std::vector<NamedMachine> machines = {
      {"8xH200", k8xH200 + 1}, {"2x8xH200", two_hosts()}, {"2cores", k2Cores + 1}};
  return machines;
}

std::string machine_text(const std::string& name_or_file) {
  for (const NamedMachine& it : named_machines())
    if (it.name == name_or_file) return it.text;
  const auto refuse = [&](const std::string& why) {
    throw Error(Fault::usage, "--machine " + name_or_file + ": " + why);
  };
  std::error_code ignored;
  if (!std::filesystem::exists(name_or_file, ignored))
    refuse("there is no such file, and no machine of that name; there are " +
           list_choices(
               named_machines(), nullptr, [](auto& it) { return it.name; }, ", "));
  if (std::filesystem::is_directory(name_or_file, ignored)) refuse("that is a directory");
  std::ifstream file(name_or_file);
  if (!file) refuse("the file cannot be read");
  std::string words(kMostText + 1, '\0');
  file.read(words.data(), static_cast<std::streamsize>(words.size()));
  words.resize(static_cast<std::size_t>(file.gcount()));
  if (words.empty()) refuse("the file says nothing");
  if (words.size() > kMostText) refuse("that is too long for the description of a machine");
  return words;
}

}  // namespace ringside::tools
