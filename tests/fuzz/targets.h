// The readers of input that somebody else has written, each as a function that must come to an end
// in good order whatever the bytes: a value, or an Error with a sentence. What a reader accepts it
// must also keep: where there is a writer, the text that it writes is read back.
//
// Whoever runs them (fuzz.cc as a test, tests/programs/fuzz.cc for as long as one likes, and
// libFuzzer where clang has it) takes what is here as it is. A broken promise is a Finding.
#pragma once

#include <array>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace ringside::test {

struct Finding : std::logic_error {
  using std::logic_error::logic_error;
};

struct FuzzTarget {
  const char* name;  // of its folder of examples too, below tests/fuzz/corpus
  void (*run)(const std::string& bytes);
};

void fuzz_machine(const std::string& bytes);      // texts of machines
void fuzz_words(const std::string& bytes);        // faults on purpose, and sizes
void fuzz_environment(const std::string& bytes);  // NAME=VALUE, line by line
void fuzz_options(const std::string& bytes);      // a tool's command line, a word a line
void fuzz_bootstrap(const std::string& bytes);    // what comes over a connection at the start
void fuzz_control(const std::string& bytes);      // what comes over a control connection

inline constexpr std::array kFuzzTargets = {
    FuzzTarget{"machine", fuzz_machine},         FuzzTarget{"words", fuzz_words},
    FuzzTarget{"environment", fuzz_environment}, FuzzTarget{"options", fuzz_options},
    FuzzTarget{"bootstrap", fuzz_bootstrap},     FuzzTarget{"control", fuzz_control}};

// The examples of a target in the folder that holds all corpora, and one of them damaged.
std::vector<std::string> examples_of(const FuzzTarget& target, const std::string& corpora);
std::string damaged(const std::vector<std::string>& examples, std::mt19937_64& dice);

}  // namespace ringside::test
