// Quoting (RFC 8259, section 7), commas and lines.
#include "comm/util/json.h"

#include <cmath>

#include "comm/error.h"

namespace ringside {
namespace {

// How many bytes the character has that begins so; 1 for what begins none.
std::size_t bytes_of_character(unsigned char first) {
  if (first >= 0xf0) return 4;
  if (first >= 0xe0) return 3;
  return first >= 0xc0 ? 2 : 1;
}

}  // namespace

std::string json_string(const std::string& words) {
  std::string quoted = "\"";
  for (std::size_t at = 0; at < words.size();) {
    const char c = words[at];
    const auto byte = static_cast<unsigned char>(c);
    const std::size_t bytes = bytes_of_character(byte);
    if (at + bytes > words.size()) break;
    if (c == '"' || c == '\\') quoted += '\\';
    if (byte < 0x20)
      quoted += text("\\u%04x", static_cast<unsigned>(byte));
    else
      quoted += words.substr(at, bytes);
    at += bytes;
  }
  return quoted + "\"";
}

JsonWriter& JsonWriter::add(const char* key, const std::string& written) {
  if (!levels_.empty()) {
    if (!levels_.back().is_empty) text_ += ',';
    begin_line();
    levels_.back().is_empty = false;
  }
  if (key != nullptr) text_ += json_string(key) + ": ";
  text_ += written;
  return *this;
}

JsonWriter& JsonWriter::open(const char* key, char bracket) {
  add(key, std::string(1, bracket));
  levels_.push_back({bracket == '{' ? '}' : ']'});
  return *this;
}

JsonWriter& JsonWriter::end() {
  const Level level = levels_.back();
  const bool own_line = !level.is_empty && levels_.size() <= static_cast<std::size_t>(lines_);
  levels_.pop_back();
  if (own_line) text_ += "\n" + std::string(2 * levels_.size(), ' ');
  text_ += level.closing;
  if (levels_.empty() && lines_ > 0) text_ += '\n';
  return *this;
}

void JsonWriter::begin_line() {
  if (levels_.size() <= static_cast<std::size_t>(lines_))
    text_ += "\n" + std::string(2 * levels_.size(), ' ');
  else if (!levels_.back().is_empty)
    text_ += ' ';
}

std::string JsonWriter::json(double value, int decimals) {
  return std::isfinite(value) ? ringside::text("%.*f", decimals, value) : "null";
}

}  // namespace ringside
