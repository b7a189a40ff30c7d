// The loop around getopt, the layout of --help, and values.
#include "tools/support/command_line.h"

#include <getopt.h>

#include <algorithm>
#include <charconv>

#include "comm/options.h"
#include "comm/version.h"

namespace ringside::tools {
namespace {

constexpr std::size_t kColumns = 100;

// A row as getopt wants it: letters apart from long names.
struct Names {
  std::string first;      // with its dashes, for sentences
  char letter = '\0';     // '\0': none
  std::string long_name;  // without dashes; empty: none
};

Names names_of(const OptionRow& row) {
  Names it;
  for (std::size_t begin = 0; begin < row.names.size();) {
    const std::size_t end = std::min(row.names.find(", ", begin), row.names.size());
    const std::string name = row.names.substr(begin, end - begin);
    if (it.first.empty()) it.first = name;
    if (name.starts_with("--"))
      it.long_name = name.substr(2);
    else
      it.letter = name[1];
    begin = end + 2;
  }
  return it;
}

// A character of UTF-8 takes one column.
std::size_t columns_of(const std::string& words) {
  return static_cast<std::size_t>(
      std::count_if(words.begin(), words.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// `words` from column `indent` on; the first line has been begun, up to there.
std::string wrapped(const std::string& words, std::size_t indent) {
  std::string lines;
  std::size_t column = indent;
  for (std::size_t begin = 0; begin < words.size();) {
    const std::size_t end = std::min(words.find_first_of(" \n", begin), words.size());
    const std::string word = words.substr(begin, end - begin);
    if (column > indent && column + 1 + columns_of(word) > kColumns) {
      lines += "\n" + std::string(indent, ' ');
      column = indent;
    }
    lines += (column > indent ? " " : "") + word;
    column += columns_of(word) + (column > indent ? 1 : 0);
    if (end < words.size() && words[end] == '\n') {
      lines += "\n" + std::string(indent, ' ');
      column = indent;
    }
    begin = end + 1;
  }
  return lines + "\n";
}

}  // namespace

int read_options(int argc, char** argv, const std::vector<OptionRow>& table, bool stop_there) {
  constexpr int kFirstLong = 256;
  std::vector<Names> names;
  std::string letters = stop_there ? "+:" : ":";
  for (const OptionRow& row : table) {
    names.push_back(row.set ? names_of(row) : Names{});
    if (names.back().letter == '\0') continue;
    letters += names.back().letter;
    if (!row.argument.empty()) letters += ':';
  }
  std::vector<option> long_options;
  for (std::size_t i = 0; i < table.size(); ++i)
    if (!names[i].long_name.empty())
      long_options.push_back({names[i].long_name.c_str(),
                              table[i].argument.empty() ? no_argument : required_argument, nullptr,
                              kFirstLong + static_cast<int>(i)});
  long_options.push_back({nullptr, 0, nullptr, 0});
  opterr = 0;  // getopt's own messages would come from every rank
  optind = 0;  // from the start, whatever an earlier reading may have ended in
  // The colon in `letters` makes getopt tell a missing value (':') from an unknown option ('?').
  for (int found;
       (found = ::getopt_long(argc, argv, letters.c_str(), long_options.data(), nullptr)) != -1;) {
    if (found == '?' || found == ':') {
      const char letter_given[] = {'-', static_cast<char>(optopt), '\0'};
      const bool is_letter = optopt > 0 && optopt < kFirstLong;
      throw Error(Fault::usage,
                  text(found == ':' ? "%s wants a value; --help lists the options"
                                    : "there is no option %s; --help lists those that there are",
                       is_letter ? letter_given : argv[optind - 1]));
    }
    const auto row = static_cast<std::size_t>(
        found >= kFirstLong ? found - kFirstLong
                            : std::find_if(names.begin(), names.end(), [&](const Names& it) {
                                return it.letter == found;
                              }) - names.begin());
    table[row].set(names[row].first.c_str(), optarg != nullptr ? optarg : "");
  }
  if (!stop_there && optind < argc)
    throw Error(Fault::usage,
                text("%s is not an option; --help lists those that there are", argv[optind]));
  return optind;
}

std::string options_help(const std::vector<OptionRow>& table) {
  const auto usage_of = [](const OptionRow& row) {
    return "  " + row.names + (row.argument.empty() ? "" : " " + row.argument);
  };
  std::size_t indent = 0;
  for (const OptionRow& row : table)
    if (row.set) indent = std::max(indent, columns_of(usage_of(row)) + 2);
  std::string words;
  for (const OptionRow& row : table) {
    if (!row.set) {
      words += "\n" + wrapped(row.names, 0);
      continue;
    }
    words += padded(usage_of(row), indent) + wrapped(row.help, indent);
  }
  return words;
}

OptionRow help_row(Request& target) {
  return {"-h, --help", "", "print this",
          [&target](const char*, const std::string&) { target = Request::help; }};
}

OptionRow version_row(Request& target) {
  return {"--version", "", "print which version this is",
          [&target](const char*, const std::string&) { target = Request::version; }};
}

std::string answer(Request request, const char* tool, const std::function<std::string()>& help) {
  return request == Request::help ? help() : text("%s of ringside %s\n", tool, kVersion);
}

OptionSetter to_true(bool& target) {
  return [&target](const char*, const std::string&) { target = true; };
}

OptionSetter to_name(std::string& target) {
  return [&target](const char* option, const std::string& value) {
    if (value.empty()) throw Error(Fault::usage, text("%s wants a name, and '' is none", option));
    target = value;
  };
}

OptionSetter to_bytes(std::size_t& target) {
  return [&target](const char* option, const std::string& value) {
    target = read_bytes(option, value);
  };
}

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

std::vector<std::string> split_at_commas(const std::string& list) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    words.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

void check_sizes(std::size_t begin_bytes, std::size_t end_bytes, std::size_t most_bytes) {
  if (begin_bytes < 1 || begin_bytes > end_bytes || end_bytes > most_bytes)
    throw Error(Fault::usage,
                text("sizes run from -b to -e, at least 1 and at most %zuG; %zu to %zu do not",
                     most_bytes >> 30, begin_bytes, end_bytes));
}

std::string padded(std::string words, std::size_t columns) {
  const std::size_t taken = columns_of(words);
  return taken < columns ? words.append(columns - taken, ' ') : words;
}

std::string count_words(std::size_t count, const char* what) {
  return text("%zu %s%s", count, what, count == 1 ? "" : "s");
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
