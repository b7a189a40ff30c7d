// Quoting for JSON (RFC 8259, section 7).
#include "comm/util/json.h"

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

}  // namespace ringside
