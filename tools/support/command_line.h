// What reading a command line means in every tool: strictly, and whatever cannot be meant is
// refused in one sentence. Each throws Error{usage}.
#pragma once

#include <getopt.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "comm/util/function_ref.h"

namespace ringside::tools {

// "64K", "1000"
std::size_t read_bytes(const char* option, const std::string& value);

// Digits and nothing else.
std::uint64_t read_number(const char* option, const std::string& value, std::uint64_t least,
                          std::uint64_t most);
int read_int(const char* option, const std::string& value, int least, int most);

// getopt_long, with sentences of ours. Calls on_option(letter, value) for each option, and returns
// the index of the first word that is none. `letters` as for getopt: begin with ':', or with "+:"
// if the first word that is no option ends the tool's own.
int read_options(int argc, char** argv, const char* letters, const option* long_options,
                 FunctionRef<void(int letter, const char* value)> on_option);

// For tools that take nothing but options.
void refuse_rest(int argc, char** argv, int first);

// "8", "64K", "64M": a number of bytes in as few characters as say it exactly; read_bytes() reads
// it.
std::string short_bytes(std::size_t bytes);

// Microseconds, with as many decimals as are worth reading.
std::string time_words(double time_us);

}  // namespace ringside::tools
