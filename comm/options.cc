// Reading options from the environment, strictly: a value that cannot be read is an error, not a
// default.
#include "comm/options.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "comm/error.h"

namespace ringside {
namespace {

[[noreturn]] void refuse(const char* variable, const char* value, const char* wanted) {
  throw Error(Fault::usage, text("%s=%s makes no sense; %s", variable, value, wanted));
}

void read_seconds(const char* variable, const char* wanted, double& seconds) {
  const char* value = std::getenv(variable);
  if (value == nullptr) return;
  char* rest = nullptr;
  seconds = std::strtod(value, &rest);
  if (rest == value || *rest != '\0') refuse(variable, value, wanted);
}

constexpr char kInGroups[] = "hierarchical:";

void read_groups(const char* value, Options& options) {
  std::size_t ranks = 0;
  if (!parse_bytes(value + sizeof kInGroups - 1, ranks) || ranks == 0 || ranks > INT_MAX)
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
  if (const char* value = std::getenv("RINGSIDE_ALGORITHM")) {
    if (std::strcmp(value, "ring") == 0)
      options.algorithm = Algorithm::ring;
    else if (std::strcmp(value, "one-shot") == 0)
      options.algorithm = Algorithm::one_shot;
    else if (std::strcmp(value, "two-shot") == 0)
      options.algorithm = Algorithm::two_shot;
    else if (std::strncmp(value, kInGroups, sizeof kInGroups - 1) == 0)
      read_groups(value, options);
    else if (std::strcmp(value, "auto") != 0)
      refuse("RINGSIDE_ALGORITHM", value,
             "there are auto, ring, one-shot, two-shot and hierarchical:4 (in groups of 4 ranks)");
  }
  if (const char* value = std::getenv("RINGSIDE_CONTROL")) {
    if (std::strcmp(value, "shared") == 0)
      options.control = ControlChoice::shared;
    else if (std::strcmp(value, "socket") == 0)
      options.control = ControlChoice::socket;
    else if (std::strcmp(value, "auto") != 0)
      refuse("RINGSIDE_CONTROL", value, "there are auto, shared and socket");
  }
  if (const char* value = std::getenv("RINGSIDE_EXECUTOR")) {
    if (std::strcmp(value, "host") == 0)
      options.executor = ExecutorChoice::host;
    else if (std::strcmp(value, "stream") == 0)
      options.executor = ExecutorChoice::stream;
    else if (std::strcmp(value, "device") == 0)
      options.executor = ExecutorChoice::device;
    else if (std::strcmp(value, "auto") != 0)
      refuse("RINGSIDE_EXECUTOR", value, "there are auto, host, stream and device");
  }
}

bool is_writable_folder(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         ::access(path.c_str(), W_OK | X_OK) == 0;
}

}  // namespace

const char* name_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::automatic:
      return "auto";
    case Algorithm::ring:
      return "ring";
    case Algorithm::one_shot:
      return "one-shot";
    case Algorithm::two_shot:
      return "two-shot";
    case Algorithm::hierarchical:
      return "hierarchical";
  }
  return "?";
}

const char* name_of(ControlChoice choice) {
  switch (choice) {
    case ControlChoice::automatic:
      return "auto";
    case ControlChoice::shared:
      return "shared";
    case ControlChoice::socket:
      return "socket";
  }
  return "?";
}

const char* name_of(ExecutorChoice choice) {
  switch (choice) {
    case ExecutorChoice::automatic:
      return "auto";
    case ExecutorChoice::host:
      return "host";
    case ExecutorChoice::stream:
      return "stream";
    case ExecutorChoice::device:
      return "device";
  }
  return "?";
}

bool parse_bytes(const char* words, std::size_t& bytes) {
  if (*words < '0' || *words > '9') return false;
  errno = 0;
  char* rest = nullptr;
  const unsigned long long number = std::strtoull(words, &rest, 10);
  if (errno != 0) return false;
  int shift = 0;
  if (*rest != '\0') {
    const char* units = "KMGT";
    const char* unit = std::isalpha(*rest) ? std::strchr(units, *rest & ~0x20) : nullptr;
    if (unit == nullptr) return false;
    shift = 10 * static_cast<int>(unit - units + 1);
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
  if (slot_bytes < kMinSlotBytes || slot_bytes > kMaxSlotBytes)
    throw Error(
        Fault::usage,
        text(
            "slots of %zu bytes (RINGSIDE_SLOT_BYTES) cannot be had; choose %zu bytes to %zu (64M)",
            slot_bytes, kMinSlotBytes, kMaxSlotBytes));
  if (slot_count < 1 || slot_count > kMaxSlots)
    throw Error(Fault::usage, text("%d slots (RINGSIDE_SLOT_COUNT) cannot be had; choose 1 to %d",
                                   slot_count, kMaxSlots));
  if (!(timeout_s >= 0) || !std::isfinite(timeout_s))
    throw Error(Fault::usage, "a timeout (RINGSIDE_TIMEOUT) is a number of seconds, 0 for none");
  if (!(warn_s >= 0) || !std::isfinite(warn_s))
    throw Error(Fault::usage,
                "a warning (RINGSIDE_WARN) comes after a number of seconds, 0 for never");
  if (!flight_folder.empty() && !is_writable_folder(flight_folder))
    throw Error(Fault::usage,
                text("RINGSIDE_FLIGHT=%s is no folder that can be written to; make one, or leave "
                     "the variable out",
                     flight_folder.c_str()));
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
