// What the model checker sees, for a reader: the states of each small world, or the lesson of one
// mistake. (tests/verify/model.cc judges the same worlds.)
//
//   model_check                              a table of all worlds: states, and the time they took
//   model_check --lesson BUG [--slots N]     the shortest way from the start to the harm
//   model_check --lessons [--slots N]        the harm of each mistake in a line
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/verify/model_worlds.h"

namespace ringside {
namespace {

int usage(std::FILE* to) {
  std::fprintf(to,
               "usage: model_check                            the states of every small world\n"
               "       model_check --lesson BUG [--slots N]   a mistake, and what comes of it\n"
               "       model_check --lessons [--slots N]      what comes of each, in a line\n"
               "N is 1 to %d, and 1 by default. BUG is one of\n",
               kModelSlots);
  for (const NamedBug& it : kBugs) std::fprintf(to, "  %-20s %s\n", it.name, it.mistake);
  return to == stdout ? 0 : 2;
}

int table() {
  using Clock = std::chrono::steady_clock;
  std::printf("%-28s %5s %12s %12s %12s %9s\n", "operations", "ranks", "1 slot", "2 slots",
              "3 slots", "time");
  std::size_t states = 0, steps = 0;
  double seconds = 0;
  for (const test::PairOfOperations& pair : test::kPairs)
    for (int ranks = 2; ranks <= kModelRanks; ++ranks) {
      std::printf("%-28s %5d", pair.name, ranks);
      const Clock::time_point start = Clock::now();
      for (int slots = 1; slots <= kModelSlots; ++slots) {
        if (test::is_too_large(ranks, slots)) {
          std::printf(" %12s", "-");
          continue;
        }
        const Exploration found =
            explore(test::operations_of(pair, ranks, slots), {.slots = slots});
        if (!found.holds) return std::printf("\n%s\n", found.why.c_str()), 1;
        std::printf(" %12zu", found.states);
        states += found.states;
        steps += found.steps;
      }
      const double took_s = std::chrono::duration<double>(Clock::now() - start).count();
      std::printf(" %7.3f s\n", took_s);
      std::fflush(stdout);
      seconds += took_s;
    }
  std::printf("all hold: %zu states, %zu steps, %.3f s\n", states, steps, seconds);
  return 0;
}

int lesson(const NamedBug& it, int slots) {
  const Exploration found = test::lesson_of(it.bug, slots);
  std::printf("%s; %d slot%s\n", it.mistake, slots, slots == 1 ? "" : "s");
  for (std::size_t i = 0; i < found.lesson.size(); ++i)
    std::printf("%3zu. %s\n", i + 1, found.lesson[i].c_str());
  if (found.holds) std::printf("does no harm\n");
  return found.holds ? 1 : 0;
}

int lessons(int slots) {
  for (const NamedBug& it : kBugs) {
    const Exploration found = test::lesson_of(it.bug, slots);
    std::printf("%-18s %2zu steps, %3zu states: %s\n", it.name, found.lesson.size(),
                found.states, found.holds ? "does no harm" : found.why.c_str());
  }
  return 0;
}

int run(int argc, char** argv) {
  if (argc == 1) return table();
  const std::string what = argv[1];
  if (what == "--help") return usage(stdout);
  const bool one = what == "--lesson" && argc > 2;
  if (!one && what != "--lessons") return usage(stderr);
  const int rest = one ? 3 : 2;
  int slots = 1;
  if (argc == rest + 2 && std::strcmp(argv[rest], "--slots") == 0)
    slots = std::atoi(argv[rest + 1]);
  else if (argc != rest)
    return usage(stderr);
  if (slots < 1 || slots > kModelSlots) return usage(stderr);
  if (!one) return lessons(slots);
  for (const NamedBug& it : kBugs)
    if (std::strcmp(argv[2], it.name) == 0) return lesson(it, slots);
  return usage(stderr);
}

}  // namespace
}  // namespace ringside

int main(int argc, char** argv) { return ringside::run(argc, argv); }
