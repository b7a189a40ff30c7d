// Writing JSON: the one part of it that is easy to get wrong. Nothing here reads any.
#pragma once

#include <string>

namespace ringside {

// Quoted and escaped. Text that was cut in the middle of a character (UTF-8) loses the rest of it.
std::string json_string(const std::string& words);

}  // namespace ringside
