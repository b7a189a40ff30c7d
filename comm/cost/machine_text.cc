// Reading a machine line by line, strictly: what is not understood is refused, with its line.
#include "comm/cost/machine_text.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "comm/error.h"
#include "comm/options.h"
#include "comm/util/number.h"

namespace ringside {
namespace {

using Words = std::vector<std::string>;

struct Unit {
  const char* name;
  double factor;
};
constexpr Unit kTimes[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
constexpr Unit kRates[] = {{"GB/s", 1}, {"MB/s", 1e-3}, {"TB/s", 1e3}};

constexpr int kMostRanks = 1'000'000;
constexpr double kMostTime_ns = 1e15;  // 11 days: so that no sum of times is infinite
constexpr double kLeastRate_gbs = 1e-6, kMostRate_gbs = 1e9;

// How many bytes the UTF-8 character at the beginning has, or 0 if there is none that can be
// printed. Enough to keep binary files off the terminal; what is printable is not looked up.
std::size_t character(const std::string& words, std::size_t at) {
  const auto byte = [&](std::size_t i) { return i < words.size() ? words[i] & 0xff : 0; };
  const int first = byte(at);
  if (first < 0x80) return first > ' ' && first < 0x7f ? 1 : 0;
  const std::size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  const int second = byte(at + 1);
  const bool control = first == 0xc2 && second < 0xa0;
  const bool too_long = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second > 0x9f;
  const bool beyond = first > 0xf4 || (first == 0xf4 && second > 0x8f);
  return control || too_long || surrogate || beyond ? 0 : length;
}

class Reader {
 public:
  explicit Reader(const std::string& where) : where_(where) {}

  Machine read(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      ++line_;
      std::istringstream stream(line.substr(0, line.find('#')));
      Words words;
      for (std::string word; stream >> word;) words.push_back(word);
      if (!words.empty()) take(words);
    }
    check_whole();
    return machine_;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw_error(Fault::usage, "%s, line %d: %s", where_.c_str(), line_, why.c_str());
  }

  // Before anything is quoted in a sentence.
  void check_printable(const Words& words) const {
    for (const std::string& word : words)
      for (std::size_t at = 0, length = 0; at < word.size(); at += length)
        if (length = character(word, at); length == 0)
          refuse(
              ringside::text("byte 0x%02x is no printable text (ASCII or UTF-8); is this a "
                             "description of a machine?",
                             static_cast<unsigned>(word[at] & 0xff)));
  }

  void take(const Words& words) {
    check_printable(words);
    const std::map<std::string, std::function<void(const Words&)>> facts = {
        {"name", [&](const Words& w) { name(w); }},
        {"hosts", [&](const Words& w) { machine_.hosts = number(w, 1); }},
        {"ranks-per-host", [&](const Words& w) { machine_.ranks_per_host = number(w, 1); }},
        {"cores-per-host", [&](const Words& w) { machine_.cores_per_host = number(w, 1); }},
        {"call", [&](const Words& w) { machine_.call_ns = time_ns(w, 1); }},
        {"message", [&](const Words& w) { machine_.message_ns = time_ns(w, 1); }},
        {"slot", [&](const Words& w) { machine_.slot_ns = time_ns(w, 1); }},
        {"link", [&](const Words& w) { link(w); }},
        {"copy", [&](const Words& w) { rate(w, machine_.copy); }},
        {"reduce", [&](const Words& w) { rate(w, machine_.reduce); }},
        {"ring-slots", [&](const Words& w) { slots(w, machine_.ring); }},
        {"mesh-slots", [&](const Words& w) { slots(w, machine_.mesh); }},
    };
    const auto fact = facts.find(words[0]);
    if (fact == facts.end()) {
      std::string known;
      for (const auto& [name, reader] : facts) known += (known.empty() ? "" : ", ") + name;
      refuse("there is no fact '" + words[0] + "'; there are " + known);
    }
    const bool many = words[0] == "copy" || words[0] == "reduce" || words[0] == "link";
    if (!many && !said_.insert(words[0]).second) refuse(words[0] + " is said twice");
    fact->second(words);
  }

  const std::string& word(const Words& words, std::size_t at, const char* wanted) const {
    if (at >= words.size()) refuse(words[0] + " wants " + wanted + " here");
    return words[at];
  }
  void end(const Words& words, std::size_t at) const {
    if (at < words.size()) refuse("what does '" + words[at] + "' mean after " + words[0] + "?");
  }

  void name(const Words& words) {
    machine_.name = word(words, 1, "a name");
    end(words, 2);
  }

  int number(const Words& words, std::size_t at) const {
    const char* wanted = "a whole number from 1";
    const std::string& digits = word(words, at, wanted);
    int value = 0;
    const char* last = digits.data() + digits.size();
    const auto [rest, error] = std::from_chars(digits.data(), last, value);
    if (error == std::errc::result_out_of_range) refuse("'" + digits + "' is too large");
    if (error != std::errc() || rest != last || value < 1)
      refuse("'" + digits + "' is not " + wanted);
    if (words[0] != "ring-slots" && words[0] != "mesh-slots") end(words, at + 1);
    return value;
  }

  std::size_t size(const Words& words, std::size_t at) const {
    const std::string& digits = word(words, at, "a size such as 64KiB");
    std::size_t bytes = 0;
    if (!parse_bytes(digits.c_str(), bytes) || bytes == 0)
      refuse("'" + digits + "' is no size such as 65536, 64K or 64KiB");
    return bytes;
  }

  template <std::size_t N>
  double quantity(const std::string& words, const Unit (&units)[N], const char* wanted) const {
    const std::optional<NumberRead> read = leading_number(words);
    for (const Unit& unit : units)
      if (read && read->rest == unit.name && std::isfinite(read->value) && read->value >= 0)
        return read->value * unit.factor;
    refuse("'" + words + "' is not " + wanted);
  }
  double time_ns(const Words& words, std::size_t at) const {
    const char* wanted = "a time such as 600ns or 0.6us";
    if (words[0] != "link") end(words, at + 1);
    const double ns = quantity(word(words, at, wanted), kTimes, wanted);
    if (ns > kMostTime_ns)
      refuse("'" + words[at] + "' is too long; a million seconds are the most");
    return ns;
  }
  double rate_gbs(const Words& words, std::size_t at) const {
    const char* wanted = "a rate such as 40GB/s";
    const double gbs = quantity(word(words, at, wanted), kRates, wanted);
    if (gbs <= 0) refuse("nothing is ever done at 0 GB/s");
    if (gbs < kLeastRate_gbs || gbs > kMostRate_gbs)
      refuse("'" + words[at] + "' is no rate of a machine; 0.000001 to 1000000000 GB/s are");
    end(words, at + 1);
    return gbs;
  }

  void link(const Words& words) {
    const std::string& which = word(words, 1, "same-host or between-hosts");
    if (which != "same-host" && which != "between-hosts")
      refuse("'" + which + "' is no link; there are same-host and between-hosts");
    if (!said_.insert("link " + which).second) refuse("link " + which + " is said twice");
    if (word(words, 2, "the word latency") != "latency")
      refuse("'" + words[2] + "' stands where the word latency should");
    Link link;
    link.latency_ns = time_ns(words, 3);
    if (words.size() > 4) {
      if (words[4] != "bandwidth")
        refuse("'" + words[4] + "' stands where the word bandwidth should");
      link.bandwidth_gbs = rate_gbs(words, 5);
    }
    if (which == "same-host") machine_.same_host = link;
    if (which == "between-hosts") machine_.between_hosts = link, machine_.joins_hosts = true;
  }

  void rate(const Words& words, std::vector<Rate>& rates) {
    const Rate rate{size(words, 1), rate_gbs(words, 2)};
    if (!rates.empty() && rate.bytes <= rates.back().bytes)
      refuse("sizes of " + words[0] + " grow from line to line");
    rates.push_back(rate);
  }

  void slots(const Words& words, ChannelShape& shape) {
    shape.slots = number(words, 1);
    if (shape.slots > kMaxSlots) refuse(ringside::text("there are at most %d slots", kMaxSlots));
    if (word(words, 2, "the letter x, as in 4 x 128KiB") != "x")
      refuse("'" + words[2] + "' stands where the letter x should, as in 4 x 128KiB");
    shape.slot_bytes = size(words, 3);
    if (shape.slot_bytes < kMinSlotBytes || shape.slot_bytes > kMaxSlotBytes)
      refuse("a slot has 8 bytes to 64 MiB");
    end(words, 4);
  }

  void check_whole() const {
    if (line_ == 0)
      throw Error(Fault::usage, where_ + " says nothing; a machine has a name at least");
    if (static_cast<long long>(machine_.hosts) * machine_.ranks_per_host > kMostRanks)
      refuse(ringside::text("%d hosts of %d ranks are more than %d ranks", machine_.hosts,
                            machine_.ranks_per_host, kMostRanks));
    if (machine_.name.empty()) refuse("the machine has no name");
    if (machine_.ranks_per_host > 1 && !said_.contains("link same-host"))
      refuse("there are several ranks on a host and no link same-host");
    if (machine_.hosts > 1 && !said_.contains("link between-hosts"))
      refuse("there are several hosts and no link between-hosts");
  }

  std::string where_;
  int line_ = 0;
  Machine machine_;
  std::set<std::string> said_;
};

// Four digits: more than is known of any machine.
std::string digits(double value) { return text("%.4g", value); }
std::string time_words(double ns) {
  return ns >= 1000 ? digits(ns / 1000) + "us" : digits(ns) + "ns";
}
std::string size_words(std::size_t bytes) {
  if (bytes % (1 << 20) == 0) return text("%zuMiB", bytes >> 20);
  if (bytes % (1 << 10) == 0) return text("%zuKiB", bytes >> 10);
  return text("%zu", bytes);
}
std::string link_words(const char* which, const Link& link) {
  std::string words =
      text("link           %s latency %s", which, time_words(link.latency_ns).c_str());
  if (link.is_wire()) words += " bandwidth " + digits(link.bandwidth_gbs) + "GB/s";
  return words + "\n";
}
std::string rate_words(const char* what, const std::vector<Rate>& rates) {
  std::string words;
  for (const Rate& it : rates)
    words += text("%-14s %s %sGB/s\n", what, size_words(it.bytes).c_str(), digits(it.gbs).c_str());
  return words;
}
std::string slot_words(const char* what, const ChannelShape& shape) {
  return text("%-14s %d x %s\n", what, shape.slots, size_words(shape.slot_bytes).c_str());
}

}  // namespace

Machine parse_machine(const std::string& words, const std::string& where) {
  return Reader(where).read(words);
}

std::string write_machine(const Machine& it) {
  std::string words = text("name           %s\n", it.name.c_str()) +
                      text("hosts          %d\n", it.hosts) +
                      text("ranks-per-host %d\n", it.ranks_per_host);
  if (it.cores_per_host > 0) words += text("cores-per-host %d\n", it.cores_per_host);
  words += text("call           %s\n", time_words(it.call_ns).c_str()) +
           text("message        %s\n", time_words(it.message_ns).c_str());
  if (it.slot_ns > 0) words += text("slot           %s\n", time_words(it.slot_ns).c_str());
  if (it.ranks_per_host > 1) words += link_words("same-host", it.same_host);
  if (it.joins_hosts) words += link_words("between-hosts", it.between_hosts);
  return words + rate_words("copy", it.copy) + rate_words("reduce", it.reduce) +
         slot_words("ring-slots", it.ring) + slot_words("mesh-slots", it.mesh);
}

}  // namespace ringside
