// Damaged input for every reader of other people's input (tests/fuzz/targets.h): make fuzz.
//
//   fuzz [--seconds S] [--seed N] [CORPORA [TARGET…]]    damages examples, S seconds (5) a target
//
// Built with libFuzzer (clang; RINGSIDE_LIBFUZZER) it takes libFuzzer's arguments in place of
// these, and RINGSIDE_FUZZ says which target it is for.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "comm/error.h"
#include "comm/util/fd.h"
#include "tests/fuzz/targets.h"

namespace {

using namespace ringside;
using namespace ringside::test;

const FuzzTarget* find(const std::string& name) {
  for (const FuzzTarget& it : kFuzzTargets)
    if (name == it.name) return &it;
  return nullptr;
}

#ifndef RINGSIDE_LIBFUZZER

// Whoever crashes says no last word: so the input is written down before.
void write_down(int file, const std::string& bytes) {
  if (::pwrite(file, bytes.data(), bytes.size(), 0) < 0 ||
      ::ftruncate(file, static_cast<off_t>(bytes.size())) != 0)
    throw_system("cannot write down the input");
}

bool run(const FuzzTarget& target, const std::string& corpora, double seconds, std::uint64_t seed) {
  const std::vector<std::string> examples = examples_of(target, corpora);
  const UniqueFd file(
      ::open(text("build/fuzz-%s", target.name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  std::mt19937_64 dice(seed);
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < examples.size() || Clock::now() < end; ++i, ++count) {
    const std::string bytes = i < examples.size() ? examples[i] : damaged(examples, dice);
    write_down(file.get(), bytes);
    try {
      target.run(bytes);
    } catch (const std::exception& error) {
      std::printf("%s: %s\n  the input is in build/fuzz-%s\n", target.name, error.what(),
                  target.name);
      return false;
    }
  }
  std::printf("%-12s %9llu inputs, none was too much\n", target.name,
              static_cast<unsigned long long>(count));
  std::fflush(stdout);
  return true;
}

int usage() {
  std::fprintf(stderr, "usage: fuzz [--seconds S] [--seed N] [CORPORA [TARGET...]]\n");
  return 2;
}

#endif

}  // namespace

#ifdef RINGSIDE_LIBFUZZER

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  static const FuzzTarget* const target =
      find(std::getenv("RINGSIDE_FUZZ") == nullptr ? "" : std::getenv("RINGSIDE_FUZZ"));
  if (target == nullptr) {
    std::fprintf(stderr, "fuzz: RINGSIDE_FUZZ names no target\n");
    std::exit(2);
  }
  target->run(std::string(reinterpret_cast<const char*>(data), bytes));
  return 0;
}

#else

int main(int argc, char** argv) {
  double seconds = 5;
  std::uint64_t seed =
      static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  std::string corpora = "tests/fuzz/corpus";
  int at = 1;
  for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
    if (std::strcmp(argv[at], "--seconds") == 0)
      seconds = std::atof(argv[at + 1]);
    else if (std::strcmp(argv[at], "--seed") == 0)
      seed = std::strtoull(argv[at + 1], nullptr, 10);
    else
      return usage();
  }
  if (at < argc) corpora = argv[at++];
  std::vector<const FuzzTarget*> targets;
  for (; at < argc; ++at) targets.push_back(find(argv[at]));
  if (targets.empty())
    for (const FuzzTarget& it : kFuzzTargets) targets.push_back(&it);
  bool well = true;
  std::printf("fuzz: seed %llu\n", static_cast<unsigned long long>(seed));
  for (const FuzzTarget* target : targets) {
    if (target == nullptr) return usage();
    well &= run(*target, corpora, seconds, seed);
  }
  return well ? 0 : 1;
}

#endif
