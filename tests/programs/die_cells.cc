// The part of the fault matrix that threads cannot play: `die`, with a rank that is really killed.
//
// For each cell (an algorithm, a number of ranks from 2 to 5, a rank and a step of it) as many
// processes are forked as there are ranks. They meet over the tcp bootstrap; one of them is killed
// at the step; each other one must end with Fault::died and a sentence that names exactly that
// one, with its pid, and its own call. A survivor may have seen the death itself or heard of it by
// another one's alarm: both sentences must say so.
//
//     main ──fork──▶ workers, each with its share of the cells   (a cell mostly waits)
//                        └──fork──▶ the ranks of one cell, fresh ones for each
//     ranks ──one pipe a cell──▶ worker: how each one ended
//
// Whoever forks has one thread. No rank waits for the others before it goes, so a survivor's own
// end must not be taken for the cause by those that are slower.
//
//   die_cells [--ranks N]     at most N ranks, 5 by default (3 under the thread sanitizer)
//
// The last line is the verdict; the exit status is 0 if all is well. Every step, not only a sample:
// RINGSIDE_TEST_EVERY_STEP=1.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "comm/bootstrap/tcp.h"
#include "comm/error.h"
#include "tests/collectives/collective_case.h"
#include "tests/faults/fault_cell.h"
#include "tests/support/forked.h"
#include "tools/fuzz/resources.h"
#include "tools/support/faulty_transport.h"

namespace {

using namespace ringside;
using namespace ringside::test;
using Steady = std::chrono::steady_clock;

constexpr int kWorkers = kUnderTsan ? 2 : 6;
// Nobody has to wait for a deadline, so this one is only met by a mistake.
constexpr double kDeadline_s = 60;
// From the victim's death to the last survivor's word. Long, as the machine may be busy, and short
// beside the deadline.
constexpr double kPromptly_s = 20;

// What a rank sends through the pipe, in one piece (below PIPE_BUF).
struct Told {
  int rank = 0;
  bool failed = false;
  Fault fault = Fault::usage;
  double seconds = 0;
  char sentence[1500] = {};
};
static_assert(sizeof(Told) <= 4096);

// --- one rank ---

// Rank 0 listens on a port of the kernel's choice, and tells the others which.
std::unique_ptr<Bootstrap> meet(int rank, int ranks, const Pipe& port) {
  TcpOptions options;
  options.rank = rank;
  options.size = ranks;
  if (rank > 0 && !read_whole(port.out.get(), options.port, Deadline::after_seconds(kDeadline_s)))
    throw Error(Fault::system, "rank 0 does not listen");
  options.on_listening = [&](int number) {
    for (int other = 1; other < ranks; ++other) write_whole(port.in.get(), number);
  };
  return TcpBootstrap::start(options, Deadline::after_seconds(kDeadline_s));
}

int be_rank(const FaultCell& cell, int rank, const Pipe& port, int told_fd) {
  Told told;
  told.rank = rank;
  {
    const auto bootstrap = meet(rank, cell.ranks, port);
    std::optional<Communicator> comm;
    const Ending ending = run_rank(cell, *bootstrap, kDeadline_s, comm);
    told.failed = ending.failed;
    told.fault = ending.fault;
    told.seconds = ending.seconds;
    std::snprintf(told.sentence, sizeof told.sentence, "%s", ending.sentence.c_str());
    if (ending.failed) bootstrap->abandon();
  }
  write_whole(told_fd, told);
  return told.failed ? 1 : 0;
}

// --- one cell ---

struct Seen {
  std::vector<Ending> endings;
  std::vector<pid_t> pids;
  std::vector<int> statuses;  // as waitpid says them
  std::string wrong;          // with the collecting itself
};

Seen run_processes(const FaultCell& cell) {
  Seen seen{std::vector<Ending>(index(cell.ranks)), {}, {}, ""};
  {
    Pipe port, told_by_all;
    for (int rank = 0; rank < cell.ranks; ++rank)
      seen.pids.push_back(start([&] { return be_rank(cell, rank, port, told_by_all.in.get()); }));
    told_by_all.in = UniqueFd();  // so that the stream ends with the last rank
    Told told;
    const Deadline deadline = Deadline::after_seconds(2 * kDeadline_s);
    while (read_whole(told_by_all.out.get(), told, deadline))
      seen.endings[index(told.rank)] = {told.failed, told.fault, told.sentence, told.seconds};
    if (deadline.passed()) {
      seen.wrong = describe(cell) + ": a rank hangs\n";
      for (const pid_t pid : seen.pids) ::kill(pid, SIGKILL);
    }
  }
  for (const pid_t pid : seen.pids) seen.statuses.push_back(wait_for(pid));
  return seen;
}

int count_of(const std::string& words, const std::string& part) {
  int found = 0;
  for (std::size_t at = words.find(part); at != std::string::npos; at = words.find(part, at + 1))
    ++found;
  return found;
}

// Its own call is the one of the fault, or a barrier after it.
bool names_own_call(const FaultCell& cell, int rank, const std::string& sentence) {
  for (const char* call : {cell.call->name, "barrier"})
    if (sentence.starts_with(text("rank %d, in %s #", rank, call))) return true;
  return false;
}

// What is wrong about a cell in which `cell.fault.rank` died; nothing if it is as it must be.
std::string judge_deaths(const FaultCell& cell, const Seen& seen) {
  std::string wrong = seen.wrong + judge(cell, seen.endings);
  const int victim = cell.fault.rank;
  const std::string culprit = text("rank %d (pid %d on ", victim, seen.pids[index(victim)]);
  for (int rank = 0; rank < cell.ranks; ++rank) {
    const Ending& it = seen.endings[index(rank)];
    const int status = seen.statuses[index(rank)];
    const auto complain = [&](const char* what) {
      wrong += text("%s: rank %d %s (status %x): %s\n", describe(cell).c_str(), rank, what,
                    static_cast<unsigned>(status), it.sentence.c_str());
    };
    if (rank == victim) {
      if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) complain("was not killed");
      continue;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) complain("has another exit status than 1");
    if (count_of(it.sentence, " (pid ") != 1 || !contains(it.sentence, culprit))
      complain("does not name the victim, or not it alone");
    if (!names_own_call(cell, rank, it.sentence)) complain("does not name its own call");
    if (it.seconds > kPromptly_s) complain("was not prompt");
  }
  return wrong;
}

// --- not a death ---

// A rank that looks at the others' status pages so slowly that meanwhile one of them can end.
class SlowToLook : public PeerWindowAround {
 public:
  using PeerWindowAround::PeerWindowAround;
  std::byte* mapped() const override {
    ::usleep(50'000);
    return inner_->mapped();
  }
};

// Rank 0 has an error of its own, says so, and its process ends. Rank 1 may see the end before it
// has heard the words; still they are what it must say.
std::string judge_an_end_by_error() {
  Pipe port, told_by_1;
  const auto be = [&](int rank) {
    const auto bootstrap = meet(rank, 2, port);
    Options options;
    options.timeout_s = kDeadline_s;
    options.decorate = decorate_with<SlowToLook>();
    Communicator comm(*bootstrap, options);
    if (rank == 0) {
      ::usleep(500'000);
      comm.abort("by hand");
      ::_exit(1);
    }
    Told told;
    std::snprintf(told.sentence, sizeof told.sentence, "%s",
                  ending_of([&] { comm.barrier(); }).sentence.c_str());
    write_whole(told_by_1.in.get(), told);
    bootstrap->abandon();
    return 0;
  };
  const pid_t ranks[] = {start([&] { return be(0); }), start([&] { return be(1); })};
  told_by_1.in = UniqueFd();
  Told told;
  read_whole(told_by_1.out.get(), told, Deadline::after_seconds(2 * kDeadline_s));
  for (const pid_t rank : ranks) wait_for(rank);
  const bool right = contains(told.sentence, "rank 1, in barrier #1: rank 0 has aborted: by hand");
  return right ? "" : text("an end by an error is taken for a death: %s\n", told.sentence);
}

// --- a worker's share ---

// What the world is like when nothing is left behind.
std::string retired_windows_here(const tools::Resources& before) {
  std::string left;
  if (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) left += "a child; ";
  const tools::Resources now = tools::resources_held(true);
  if (now.descriptors != before.descriptors)
    left += text("%zu descriptors in place of %zu; ", now.descriptors, before.descriptors);
  if (now.windows != before.windows) left += text("%zu windows; ", now.windows);
  if (now.threads != before.threads) left += text("%zu threads; ", now.threads);
  return left.empty() ? left : "left behind: " + left + "\n";
}

int work(const std::vector<FaultCell>& cells, int worker) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // who is let go by a rank comes here, and is seen
  const tools::Resources before = tools::resources_held(true);
  std::string wrong;
  for (std::size_t at = static_cast<std::size_t>(worker); at < cells.size(); at += kWorkers)
    wrong += judge_deaths(cells[at], run_processes(cells[at]));
  wrong += retired_windows_here(before);
  std::fputs(wrong.c_str(), stdout);
  return wrong.empty() ? 0 : 1;
}

// --- mutants ---

// A judge who accepts anything would accept these. Returns what he accepted.
std::string control_the_judge(const std::vector<FaultCell>& cells) {
  std::string wrong;
  for (std::size_t at = 0; at < cells.size(); at += cells.size() / 8) {
    FaultCell cell = cells[at];
    const Seen seen = run_processes(cell);
    wrong += judge_deaths(cell, seen);
    cell.fault.rank = (cell.fault.rank + 1) % cell.ranks;
    if (judge_deaths(cell, seen).empty()) wrong += describe(cell) + ": another victim will do\n";

    cell = cells[at];
    cell.fault.op = 99;
    const Seen well = run_processes(cell);
    for (const Ending& ending : well.endings)
      if (ending.failed) wrong += describe(cell) + ": no fault, but " + ending.sentence + "\n";
    for (const int status : well.statuses)
      if (status != 0) wrong += describe(cell) + ": no fault, but an exit status\n";
    if (judge_deaths(cell, well).empty()) wrong += describe(cell) + ": no death will do\n";
  }
  return wrong;
}

int run_matrix(int most_ranks) {
  const Steady::time_point start_time = Steady::now();
  std::vector<FaultCell> cells =
      cells_of(Injection::What::die, 0, true, faulty_calls(), most_ranks);
  const std::vector<FaultCell> messages =
      cells_of(Injection::What::die, 0, true, faulty_messages(), most_ranks);
  cells.insert(cells.end(), messages.begin(), messages.end());
  // Some of the dead have exposed, or were about to read what is exposed.
  std::vector<FaultCell> exposing =
      cells_of(Injection::What::die, 0, true, faulty_calls(), std::min(most_ranks, 3));
  for (FaultCell& cell : exposing) cell.exposes = true;
  cells.insert(cells.end(), exposing.begin(), exposing.end());
  // Not earlier: with the first thread, and there were some, a sanitizer starts one of its own.
  const tools::Resources before = tools::resources_held(true);
  std::size_t processes = 0;
  for (const FaultCell& cell : cells) processes += index(cell.ranks);

  std::vector<pid_t> workers;
  for (int worker = 0; worker < kWorkers; ++worker)
    workers.push_back(start([&] { return work(cells, worker); }));
  int failed = 0;
  for (const pid_t worker : workers) failed += wait_for(worker) == 0 ? 0 : 1;
  const std::string wrong =
      control_the_judge(cells) + judge_an_end_by_error() + retired_windows_here(before);
  std::fputs(wrong.c_str(), stdout);
  const bool well = failed == 0 && wrong.empty();
  std::printf("%s: %zu cells of die, %zu of them in messages, %zu processes, %.1f s\n",
              well ? "every survivor names the victim" : "NOT as it should be", cells.size(),
              messages.size(), processes,
              std::chrono::duration<double>(Steady::now() - start_time).count());
  return well ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  int most_ranks = kUnderTsan ? 3 : 5;
  if (argc == 3 && std::strcmp(argv[1], "--ranks") == 0) most_ranks = std::atoi(argv[2]);
  if ((argc != 1 && argc != 3) || most_ranks < 2 || most_ranks > 5) {
    std::fprintf(stderr, "usage: die_cells [--ranks N]     N from 2 to 5\n");
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  try {
    return run_matrix(most_ranks);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "die_cells: %s\n", error.what());
    return 2;
  }
}
