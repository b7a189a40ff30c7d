// Reading options from the environment, strictly: a value that cannot be read is an error, not a
// default.
#include "comm/options.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "comm/error.h"
#include "comm/util/number.h"
#include "kernels/loops.h"

namespace ringside {
namespace {

[[noreturn]] void refuse(const char* variable, const char* value, const char* wanted) {
  throw_error(Fault::usage, "%s=%s makes no sense; %s", variable, value, wanted);
}

void read_seconds(const char* variable, const char* wanted, double& seconds) {
  const char* value = std::getenv(variable);
  if (value == nullptr) return;
  const std::optional<NumberRead> read = leading_number(value);
  if (!read || !read->rest.empty()) refuse(variable, value, wanted);
  seconds = read->value;
}

constexpr std::array kControlNames = {"auto", "shared", "socket"};
constexpr std::array kExecutorNames = {"auto", "host", "stream", "device"};
constexpr std::array kStoreNames = {"auto", "cached", "streaming"};
constexpr std::array kIsaNames = {"baseline", "avx2", "avx512"};
static_assert(kIsaNames.size() == kAllIsas.size());
// Null for those that cannot be chosen by their name alone.
constexpr auto kAlgorithmNames = [] {
  std::array<const char*, kAlgorithms.size()> names{};
  for (std::size_t i = 0; i < names.size(); ++i)
    if (kAlgorithms[i].chosen == Chosen::by_name) names[i] = kAlgorithms[i].name;
  return names;
}();

// `names` are in the order of the enum; `others` are values that were read before.
template <class Choice, std::size_t kCount>
void read_choice(const char* variable, const std::array<const char*, kCount>& names, Choice& choice,
                 const char* others = nullptr) {
  const char* value = std::getenv(variable);
  if (value == nullptr) return;
  std::vector<std::string> known;
  for (std::size_t i = 0; i < kCount; ++i) {
    if (names[i] == nullptr) continue;
    if (std::strcmp(value, names[i]) == 0) {
      choice = static_cast<Choice>(i);
      return;
    }
    known.push_back(names[i]);
  }
  if (others != nullptr) known.push_back(others);
  std::string list = known[0];
  for (std::size_t i = 1; i < known.size(); ++i)
    list += (i + 1 < known.size() ? ", " : " and ") + known[i];
  refuse(variable, value, ("there are " + list).c_str());
}

void read_algorithm(Options& options) {
  const std::string in_groups = name_of(Algorithm::hierarchical) + std::string(":");
  const char* value = std::getenv("RINGSIDE_ALGORITHM");
  if (value == nullptr || std::strncmp(value, in_groups.c_str(), in_groups.size()) != 0)
    return read_choice("RINGSIDE_ALGORITHM", kAlgorithmNames, options.algorithm,
                       "hierarchical:4 (in groups of 4 ranks)");
  std::size_t ranks = 0;
  if (!parse_bytes(value + in_groups.size(), ranks) || ranks == 0 || ranks > INT_MAX)
    refuse("RINGSIDE_ALGORITHM", value, "say how many ranks a group has, such as hierarchical:4");
  options.algorithm = Algorithm::hierarchical;
  options.group_ranks = static_cast<int>(ranks);
}

void read_environment(Options& options) {
  if (const char* value = std::getenv("RINGSIDE_SLOT_BYTES"))
    if (!parse_bytes(value, options.slot_bytes))
      refuse("RINGSIDE_SLOT_BYTES", value, "say a number of bytes such as 131072 or 128K");
  if (const char* value = std::getenv("RINGSIDE_SLOT_COUNT")) {
    std::size_t count = 0;
    if (!parse_bytes(value, count) || count > INT_MAX)
      refuse("RINGSIDE_SLOT_COUNT", value, "say a number of slots such as 4");
    options.slot_count = static_cast<int>(count);
  }
  if (const char* value = std::getenv("RINGSIDE_STREAM_FROM"))
    if (!parse_bytes(value, options.stream_from_bytes))
      refuse("RINGSIDE_STREAM_FROM", value, "say a number of bytes such as 16777216 or 16M");
  if (const char* value = std::getenv("RINGSIDE_ZERO_COPY_FROM")) {
    if (std::strcmp(value, "never") == 0)
      options.zero_copy_from_bytes = SIZE_MAX;
    else if (!parse_bytes(value, options.zero_copy_from_bytes))
      refuse("RINGSIDE_ZERO_COPY_FROM", value,
             "say a number of bytes such as 4096 or 4K, or never");
  }
  read_seconds("RINGSIDE_TIMEOUT", "say a number of seconds such as 600, or 0 for no timeout",
               options.timeout_s);
  read_seconds("RINGSIDE_WARN", "say a number of seconds such as 10, or 0 for no warning",
               options.warn_s);
  if (const char* value = std::getenv("RINGSIDE_FLIGHT")) options.flight_folder = value;
  read_algorithm(options);
  read_choice("RINGSIDE_CONTROL", kControlNames, options.control);
  read_choice("RINGSIDE_EXECUTOR", kExecutorNames, options.executor);
  read_choice("RINGSIDE_STORES", kStoreNames, options.stores);
  // The loops read it for themselves, once a process (kernels/loops.h); here it is checked.
  Isa checked{};
  read_choice("RINGSIDE_ISA", kIsaNames, checked);
}

bool is_writable_folder(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         ::access(path.c_str(), W_OK | X_OK) == 0;
}

}  // namespace

const char* name_of(ControlChoice choice) {
  return kControlNames[static_cast<std::size_t>(choice)];
}
const char* name_of(StoreChoice choice) { return kStoreNames[static_cast<std::size_t>(choice)]; }
const char* name_of(ExecutorChoice choice) {
  return kExecutorNames[static_cast<std::size_t>(choice)];
}

bool parse_bytes(const char* words, std::size_t& bytes) {
  if (*words < '0' || *words > '9') return false;
  errno = 0;
  char* rest = nullptr;
  const unsigned long long number = std::strtoull(words, &rest, 10);
  if (errno != 0) return false;
  int shift = 0;
  if (*rest != '\0') {
    const char* units = "KMGTkmgt";
    const char* unit = std::strchr(units, *rest);
    if (unit == nullptr) return false;
    shift = 10 * static_cast<int>((unit - units) % 4 + 1);
    ++rest;
    if (std::strcmp(rest, "iB") == 0) rest += 2;
    if (*rest != '\0') return false;
  }
  if (number > (ULLONG_MAX >> shift)) return false;
  bytes = static_cast<std::size_t>(number << shift);
  return true;
}

void Options::check() const {
  if (!refused.empty()) throw Error(Fault::usage, refused);
  if (traits(algorithm).chosen == Chosen::never)
    throw_error(Fault::usage, "the algorithm %s (RINGSIDE_ALGORITHM) is not one to choose",
                name_of(algorithm));
  if ((algorithm == Algorithm::hierarchical) != (group_ranks > 0))
    throw Error(Fault::usage,
                "an all_reduce in groups (RINGSIDE_ALGORITHM) wants the number of ranks of a "
                "group, and no other has groups");
  if (slot_bytes < kMinSlotBytes || slot_bytes > kMaxSlotBytes)
    throw_error(
        Fault::usage,
        "slots of %zu bytes (RINGSIDE_SLOT_BYTES) cannot be had; choose %zu bytes to %zu (64M)",
        slot_bytes, kMinSlotBytes, kMaxSlotBytes);
  if (slot_count < 1 || slot_count > kMaxSlots)
    throw_error(Fault::usage, "%d slots (RINGSIDE_SLOT_COUNT) cannot be had; choose 1 to %d",
                slot_count, kMaxSlots);
  if (!(timeout_s >= 0) || !std::isfinite(timeout_s))
    throw Error(Fault::usage, "a timeout (RINGSIDE_TIMEOUT) is a number of seconds, 0 for none");
  if (!(warn_s >= 0) || !std::isfinite(warn_s))
    throw Error(Fault::usage,
                "a warning (RINGSIDE_WARN) comes after a number of seconds, 0 for never");
  if (!flight_folder.empty() && !is_writable_folder(flight_folder))
    throw_error(Fault::usage,
                "RINGSIDE_FLIGHT=%s is no folder that can be written to; make one, or leave the "
                "variable out",
                flight_folder.c_str());
}

Options Options::from_environment() {
  Options options;
  try {
    read_environment(options);
    options.check();
  } catch (const Error& error) {
    options = Options{};
    options.refused = error.what();
  }
  return options;
}

}  // namespace ringside
