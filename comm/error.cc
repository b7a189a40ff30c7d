// The sentences' plumbing: printf into a string, errno into words.
#include "comm/error.h"

#include <locale.h>
#include <sys/resource.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <vector>

namespace ringside {
namespace {

// This thread prints as in C.
class PlainNumbers {
 public:
  PlainNumbers() {
    static const locale_t plain = ::newlocale(LC_ALL_MASK, "C", nullptr);
    before_ = ::uselocale(plain);
  }
  ~PlainNumbers() { ::uselocale(before_); }
  PlainNumbers(const PlainNumbers&) = delete;
  PlainNumbers& operator=(const PlainNumbers&) = delete;

 private:
  locale_t before_;
};

[[gnu::format(printf, 1, 0)]] std::string formatted(const char* format, va_list arguments) {
  const PlainNumbers plain;
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

std::string limit_words(int error) {
  struct Row {
    int error;
    decltype(RLIMIT_NOFILE) resource;
    char option;
    const char* what;
  };
  constexpr Row kLimits[] = {{EMFILE, RLIMIT_NOFILE, 'n', "open files"},
                             {EAGAIN, RLIMIT_NPROC, 'u', "processes and threads of this user"},
                             {EFBIG, RLIMIT_FSIZE, 'f', "bytes in a file"},
                             {ENOMEM, RLIMIT_AS, 'v', "bytes of addresses"}};
  rlimit limit{};
  for (const Row& it : kLimits)
    if (it.error == error && ::getrlimit(it.resource, &limit) == 0 &&
        limit.rlim_cur != RLIM_INFINITY)
      return text(" (ulimit -%c allows %llu %s)", it.option,
                  static_cast<unsigned long long>(limit.rlim_cur), it.what);
  return "";
}

std::string errno_words(int error) { return std::strerror(error) + limit_words(error); }

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
  const std::string sentence = what_failed + ": " + errno_words(code);
  if (!limit_words(code).empty()) throw LimitError(Fault::system, sentence);
  throw Error(Fault::system, sentence);
}

void print_warning(const std::string& sentence) {
  const std::string line = "ringside: " + sentence + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace ringside
