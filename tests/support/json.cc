// Reading JSON by recursive descent: a function for each kind of value.
#include "tests/support/json.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "tests/support/test.h"

namespace ringside::test {
namespace {

constexpr int kDeepest = 100;

class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {}

  Json whole() {
    const Json value = any(0);
    skip_space();
    if (at_ != text_.size()) refuse("something follows the end");
    return value;
  }

 private:
  [[noreturn]] void refuse(const char* why) const {
    const std::string_view before = std::string_view(text_).substr(0, at_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t column = at_ - (before.rfind('\n') + 1) + 1;
    throw std::runtime_error(text("line %d, column %zu: %s", static_cast<int>(line), column, why));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) {
    if (std::string_view(text_).substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string::npos)
      ++at_;
  }

  Json any(int depth) {
    if (depth > kDeepest) refuse("it is nested too deeply");
    skip_space();
    Json it;
    if (take('{')) {
      read_members(it, depth);
    } else if (take('[')) {
      read_items(it, depth);
    } else if (peek() == '"') {
      it.kind = Json::Kind::string;
      it.words = string();
    } else if (take_word("null")) {
      it.kind = Json::Kind::null;
    } else if (take_word("true")) {
      it.kind = Json::Kind::boolean;
      it.boolean = true;
    } else if (take_word("false")) {
      it.kind = Json::Kind::boolean;
    } else {
      it.kind = Json::Kind::number;
      it.number = number();
    }
    return it;
  }

  void read_members(Json& it, int depth) {
    it.kind = Json::Kind::object;
    skip_space();
    if (take('}')) return;
    do {
      skip_space();
      if (peek() != '"') refuse("a name is missing");
      const std::string key = string();
      if (it.find(key) != nullptr) refuse("a name that was there already");
      skip_space();
      if (!take(':')) refuse("a colon is missing");
      it.members.push_back({key, any(depth + 1)});
      skip_space();
    } while (take(','));
    if (!take('}')) refuse("a comma or } is missing");
  }

  void read_items(Json& it, int depth) {
    it.kind = Json::Kind::array;
    skip_space();
    if (take(']')) return;
    do {
      it.items.push_back(any(depth + 1));
      skip_space();
    } while (take(','));
    if (!take(']')) refuse("a comma or ] is missing");
  }

  std::string string() {
    std::string words;
    take('"');
    while (!take('"')) {
      if (at_ == text_.size()) refuse("a string does not end");
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) refuse("a bare control character in a string");
      ++at_;
      words += c == '\\' ? escaped() : std::string(1, c);
    }
    return words;
  }

  // What follows a backslash. A code point comes out as UTF-8; the halves of a pair one by one.
  std::string escaped() {
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    const char c = peek();
    const std::size_t which = c == '\0' ? std::string::npos : kLetters.find(c);
    if (which != std::string::npos) {
      ++at_;
      return std::string(1, kMeant[which]);
    }
    if (!take('u')) refuse("an unknown escape");
    const std::string hex = text_.substr(at_, 4);
    if (hex.size() != 4 || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
      refuse("four hexadecimal digits are missing");
    at_ += 4;
    const auto code = static_cast<unsigned>(std::strtoul(hex.c_str(), nullptr, 16));
    const auto byte = [](unsigned value) { return static_cast<char>(value); };
    if (code < 0x80) return {byte(code)};
    if (code < 0x800) return {byte(0xc0 | code >> 6), byte(0x80 | (code & 0x3f))};
    return {byte(0xe0 | code >> 12), byte(0x80 | (code >> 6 & 0x3f)), byte(0x80 | (code & 0x3f))};
  }

  void digits() {
    const std::size_t first = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    if (at_ == first) refuse("a value is missing");
  }

  double number() {
    const std::size_t first = at_;
    take('-');
    if (!take('0')) digits();
    if (take('.')) digits();
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      digits();
    }
    return std::strtod(text_.substr(first, at_ - first).c_str(), nullptr);
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

}  // namespace

const Json* Json::find(const std::string& key) const {
  for (const auto& [name, value] : members)
    if (name == key) return &value;
  return nullptr;
}

const Json& Json::at(const std::string& key) const {
  const Json* const value = find(key);
  if (value == nullptr) throw std::runtime_error("there is no member " + key);
  return *value;
}

Json parse_json(const std::string& text) { return Reader(text).whole(); }

}  // namespace ringside::test
