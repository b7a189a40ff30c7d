// The command line of every tool: one table of options, from which the line is read and --help is
// printed.
//
//     const std::vector<OptionRow> table = {
//         {"What is measured"},                                               a heading of --help
//         {"-b, --minbytes", "SIZE", "first size (8)", to_bytes(it.begin_bytes)},
//         {"--json", "", "one JSON object, for machines", to_true(it.json)},
//     };
//
// Reading is strict: whatever cannot be meant is refused with one sentence, an Error{usage}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/error.h"

namespace ringside::tools {

// Takes the value of an option that `option` names in sentences; "" if it takes none.
using OptionSetter = std::function<void(const char* option, const std::string& value)>;

struct OptionRow {
  // "-b, --minbytes": sentences call an option by the first of its names. Without a setter the row
  // is a heading.
  std::string names;
  std::string argument = "";  // "SIZE"; empty: the option takes none
  std::string help = "";      // is wrapped; a '\n' begins a new line
  OptionSetter set = nullptr;
};

// Carries the options out in their order and returns the index of the first word that is none.
// `stop_there`: that word ends the tool's own options; else it is refused.
int read_options(int argc, char** argv, const std::vector<OptionRow>& table,
                 bool stop_there = false);

// The table as --help shows it, at most 100 columns wide.
std::string options_help(const std::vector<OptionRow>& table);

// What a tool is asked in place of its work, by the two rows that every table has; and its answer.
enum class Request { none, help, version };
OptionRow help_row(Request& target);
OptionRow version_row(Request& target);
std::string answer(Request request, const char* tool, const std::function<std::string()>& help);

// --- Setters ---
OptionSetter to_true(bool& target);
OptionSetter to_name(std::string& target);   // not empty
OptionSetter to_bytes(std::size_t& target);  // "64K", "1000"
template <class T>
OptionSetter to_number(T& target, std::uint64_t least, std::uint64_t most);
// How the values of most lists are called.
inline constexpr auto kByName = [](auto value) { return name_of(value); };
// One of the values of `all` (an array or a span) by its name; or several, with commas between
// them, or with "all" every one.
template <class T, class List, class Name = decltype(kByName)>
OptionSetter to_one(T& target, const List& all, Name name = {});
template <class T, class List, class Name = decltype(kByName)>
OptionSetter to_several(std::vector<T>& target, const List& all, Name name = {});

// --- Values ---
std::size_t read_bytes(const char* option, const std::string& value);
// Digits and nothing else.
std::uint64_t read_number(const char* option, const std::string& value, std::uint64_t least,
                          std::uint64_t most);
// "2,8,4096": the words between the commas.
std::vector<std::string> split_at_commas(const std::string& list);
// Of a sweep from -b to -e.
void check_sizes(std::size_t begin_bytes, std::size_t end_bytes, std::size_t most_bytes);

// --- Words and numbers in tables ---
// `words`, and blanks up to so many columns. A character of UTF-8 takes one.
std::string padded(std::string words, std::size_t columns);

// "1 rank", "4 ranks"
std::string count_words(std::size_t count, const char* what);

// "8", "64K", "64M": a number of bytes in as few characters as say it exactly; read_bytes() reads
// it.
std::string short_bytes(std::size_t bytes);

// Microseconds, with as many decimals as are worth reading.
std::string time_words(double time_us);

template <class T>
OptionSetter to_number(T& target, std::uint64_t least, std::uint64_t most) {
  return [&target, least, most](const char* option, const std::string& value) {
    target = static_cast<T>(read_number(option, value, least, most));
  };
}

// The names of all values, and perhaps `more`: "f32, bf16 or f16", or with another `last` word.
template <class List, class Name = decltype(kByName)>
std::string list_choices(const List& all, const char* more = nullptr, Name name = {},
                         const char* last = " or ") {
  std::vector<std::string> names;
  for (const auto& value : all) names.emplace_back(name(value));
  if (more != nullptr) names.emplace_back(more);
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i)
    list += (i == 0 ? "" : i + 1 < names.size() ? ", " : last) + names[i];
  return list;
}

// The value that a word names. Another word gets a sentence with the names that there are.
template <class List, class Name = decltype(kByName)>
auto read_one(const char* option, const std::string& word, const List& all,
              const char* more = nullptr, Name name = {}) {
  for (const auto value : all)
    if (word == name(value)) return value;
  throw Error(Fault::usage, text("%s %s is not known; there are %s", option, word.c_str(),
                                 list_choices(all, more, name, " and ").c_str()));
}

template <class T, class List, class Name>
OptionSetter to_one(T& target, const List& all, Name name) {
  return [&target, all, name](const char* option, const std::string& value) {
    target = read_one(option, value, all, nullptr, name);
  };
}

template <class T, class List, class Name>
OptionSetter to_several(std::vector<T>& target, const List& all, Name name) {
  return [&target, all, name](const char* option, const std::string& value) {
    target.clear();
    if (value == "all") return target.assign(all.begin(), all.end());
    for (const std::string& word : split_at_commas(value))
      target.push_back(read_one(option, word, all, "all", name));
  };
}

}  // namespace ringside::tools
