// The sentences' plumbing: printf into a string, errno into words.
#include "comm/error.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <vector>

namespace ringside {

const char* name_of(Fault fault) {
  switch (fault) {
    case Fault::usage:
      return "usage";
    case Fault::mismatch:
      return "mismatch";
    case Fault::died:
      return "died";
    case Fault::left:
      return "left";
    case Fault::timeout:
      return "timeout";
    case Fault::interrupted:
      return "interrupted";
    case Fault::aborted:
      return "aborted";
    case Fault::protocol:
      return "protocol";
    case Fault::system:
      return "system";
  }
  return "unknown";
}

std::string text(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  std::string result(length > 0 ? static_cast<std::size_t>(length) : 0, '\0');
  if (length > 0) std::vsnprintf(result.data(), result.size() + 1, format, again);
  va_end(again);
  return result;
}

void throw_system(const std::string& what_failed) {
  const int code = errno;
  throw Error(Fault::system, what_failed + ": " + std::strerror(code));
}

}  // namespace ringside
