// The sentences' plumbing: printf into a string, errno into words.
#include "comm/error.h"

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <vector>

namespace ringside {
namespace {

[[gnu::format(printf, 1, 0)]] std::string formatted(const char* format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  std::string result(length > 0 ? static_cast<std::size_t>(length) : 0, '\0');
  if (length > 0) std::vsnprintf(result.data(), result.size() + 1, format, arguments);
  return result;
}

}  // namespace

// In the order of the enum.
constexpr std::array kFaults = {"usage",       "mismatch", "died",     "left",  "timeout",
                                "interrupted", "aborted",  "protocol", "system"};
static_assert(kFaults.size() == static_cast<std::size_t>(Fault::system) + 1);

const char* name_of(Fault fault) {
  const auto number = static_cast<std::size_t>(fault);
  return number < kFaults.size() ? kFaults[number] : "unknown";
}

std::string text(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string result = formatted(format, arguments);
  va_end(arguments);
  return result;
}

void throw_error(Fault fault, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const std::string sentence = formatted(format, arguments);
  va_end(arguments);
  throw Error(fault, sentence);
}

void throw_system(const std::string& what_failed) {
  const int code = errno;
  throw Error(Fault::system, what_failed + ": " + std::strerror(code));
}

}  // namespace ringside
