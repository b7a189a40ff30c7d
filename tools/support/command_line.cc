// Values, and the loop around getopt.
#include "tools/support/command_line.h"

#include <charconv>

#include "comm/error.h"
#include "comm/options.h"

namespace ringside::tools {

std::size_t read_bytes(const char* option, const std::string& value) {
  std::size_t bytes = 0;
  if (!parse_bytes(value.c_str(), bytes))
    throw Error(Fault::usage,
                text("%s %s is no size; say bytes, or 64K, 16M, 1G", option, value.c_str()));
  return bytes;
}

std::uint64_t read_number(const char* option, const std::string& value, std::uint64_t least,
                          std::uint64_t most) {
  std::uint64_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [rest, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || rest != end || number < least || number > most)
    throw Error(Fault::usage, text("%s %s: a whole number from %llu to %llu is wanted", option,
                                   value.c_str(), static_cast<unsigned long long>(least),
                                   static_cast<unsigned long long>(most)));
  return number;
}

int read_int(const char* option, const std::string& value, int least, int most) {
  return static_cast<int>(read_number(option, value, static_cast<std::uint64_t>(least),
                                      static_cast<std::uint64_t>(most)));
}

int read_options(int argc, char** argv, const char* letters, const option* long_options,
                 FunctionRef<void(int letter, const char* value)> on_option) {
  opterr = 0;  // getopt's own messages would come from every rank
  optind = 1;
  // The colon in `letters` makes getopt tell a missing value (':') from an unknown option ('?').
  for (int letter; (letter = ::getopt_long(argc, argv, letters, long_options, nullptr)) != -1;) {
    if (letter == '?' || letter == ':') {
      const char letter_given[] = {'-', static_cast<char>(optopt), '\0'};
      const bool is_letter = optopt > 0 && optopt < 256;
      throw Error(Fault::usage,
                  text(letter == ':' ? "%s wants a value; --help lists the options"
                                     : "there is no option %s; --help lists those that there are",
                       is_letter ? letter_given : argv[optind - 1]));
    }
    on_option(letter, optarg);
  }
  return optind;
}

void refuse_rest(int argc, char** argv, int first) {
  if (first < argc)
    throw Error(Fault::usage,
                text("%s is not an option; --help lists those that there are", argv[first]));
}

std::string short_bytes(std::size_t bytes) {
  const char* units[] = {"", "K", "M", "G"};
  int unit = 0;
  while (unit < 3 && bytes >= 1024 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return text("%llu%s", static_cast<unsigned long long>(bytes), units[unit]);
}

std::string time_words(double time_us) {
  return time_us < 100 ? text("%.2f", time_us) : text("%.1f", time_us);
}

}  // namespace ringside::tools
