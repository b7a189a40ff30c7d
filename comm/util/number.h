// Numbers as text, alike in every locale. A program that has called setlocale() may well live in
// one where strtod reads 0.5 as 0, and printf writes 0,5. Written they are by text() (error.h).
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace ringside {

struct NumberRead {
  double value;
  std::string_view rest;  // what stands behind it
};

// The number that `words` begin with ("0.5", "1e3", "inf"). None if they begin with none, or it is
// too large.
inline std::optional<NumberRead> leading_number(std::string_view words) {
  NumberRead read{};
  const char* end = words.data() + words.size();
  const auto [behind, error] = std::from_chars(words.data(), end, read.value);
  if (error != std::errc()) return std::nullopt;
  read.rest = {behind, static_cast<std::size_t>(end - behind)};
  return read;
}

}  // namespace ringside
