// How calls end, for tests of errors: with which Fault, which sentence, and after how long.
//
// Rank threads note their endings, and the test looks at all of them once every rank is done.
#pragma once

#include <barrier>
#include <chrono>
#include <string>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/support/test.h"

namespace ringside::test {

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// What became of one rank.
struct Ending {
  bool failed = false;
  Fault fault = Fault::usage;
  std::string sentence;
  double seconds = 0;
};

template <class Action>
Ending ending_of(const Action& action) {
  Ending ending;
  const Clock::time_point start = Clock::now();
  try {
    action();
  } catch (const Error& error) {
    ending.failed = true;
    ending.fault = error.fault();
    ending.sentence = error.what();
  }
  ending.seconds = seconds_since(start);
  return ending;
}

inline std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

// Runs `action` on a communicator of each rank. Communicators live until all ranks have ended, so
// that what is seen is the failure and not somebody's leaving; `later` is a call made after it.
struct Endings {
  std::vector<Ending> first, later;
};
template <class Action>
Endings endings_of(int ranks, const Options& options, const Action& action) {
  Endings endings{std::vector<Ending>(index(ranks)), std::vector<Ending>(index(ranks))};
  std::barrier together(ranks);
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, options);
    const std::size_t me = index(comm.rank());
    endings.first[me] = ending_of([&] { action(comm); });
    together.arrive_and_wait();
    endings.later[me] = ending_of([&] { comm.barrier(); });
    together.arrive_and_wait();
  });
  return endings;
}

// Every rank failed so, with these words in its sentence; and fails again at once, with the cause.
inline void check_all_broken(Context& t, const Endings& endings, Fault fault,
                             const std::string& words) {
  for (std::size_t rank = 0; rank < endings.first.size(); ++rank) {
    const Ending &first = endings.first[rank], &later = endings.later[rank];
    CHECK_MSG(first.failed && first.fault == fault && contains(first.sentence, words),
              "rank %zu: wanted %s with '%s', got %s: %s", rank, name_of(fault), words.c_str(),
              first.failed ? name_of(first.fault) : "nothing", first.sentence.c_str());
    CHECK_MSG(later.failed && later.fault == fault && contains(later.sentence, words),
              "rank %zu, later: wanted %s with '%s', got '%s'", rank, name_of(fault), words.c_str(),
              later.sentence.c_str());
    CHECK_MSG(later.seconds < 0.5, "rank %zu: a broken communicator took %g s", rank,
              later.seconds);
  }
}

}  // namespace ringside::test
