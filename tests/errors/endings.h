// How calls end, for tests of errors: with which Fault, which sentence, and after how long.
//
// Rank threads note their endings, and the test looks at all of them once every rank is done.
#pragma once

#include <barrier>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/support/test.h"
#include "tools/fuzz/resources.h"

namespace ringside::test {

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

inline void nap_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

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
  } catch (const std::exception& error) {
    ending.failed = true;
    ending.fault = Fault::system;
    ending.sentence = std::string("no ringside::Error: ") + error.what();
  }
  ending.seconds = seconds_since(start);
  return ending;
}

// It failed so, with all of these parts in its sentence. `who` says whose ending it is, where the
// sentence does not.
inline void check_fault(Context& t, const Ending& it, Fault fault,
                        const std::vector<std::string>& parts, const std::string& who = "") {
  std::string missing;
  for (const std::string& part : parts)
    if (!contains(it.sentence, part)) missing += " '" + part + "'";
  CHECK_MSG(it.failed && it.fault == fault && missing.empty(), "%s: wanted %s%s%s, got %s: %s",
            who.c_str(), name_of(fault), missing.empty() ? "" : " with", missing.c_str(),
            it.failed ? name_of(it.fault) : "nothing", it.sentence.c_str());
}

// Who has been answered may go on before the thread that has answered closes the connection. So it
// is counted until the numbers stay.
inline tools::Resources settled_resources() {
  tools::Resources last = tools::resources_held(true);
  for (int alike = 0; alike < 5;) {
    nap_ms(5);
    const tools::Resources now = tools::resources_held(true);
    const bool stays = now.descriptors == last.descriptors && now.windows == last.windows &&
                       now.threads == last.threads;
    alike = stays ? alike + 1 : 0;
    last = now;
  }
  return last;
}

inline void check_nothing_kept(Context& t, const tools::Resources& before) {
  const tools::Resources after = settled_resources();
  CHECK_EQ(after.descriptors, before.descriptors);
  CHECK_EQ(after.windows, before.windows);
  CHECK_EQ(after.threads, before.threads);
}

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
    check_fault(t, first, fault, {words}, text("rank %zu", rank));
    check_fault(t, later, fault, {words}, text("rank %zu, later", rank));
    CHECK_MSG(later.seconds < 0.5, "rank %zu: a broken communicator took %g s", rank,
              later.seconds);
  }
}

}  // namespace ringside::test
