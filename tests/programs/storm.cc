// Storms: the same misfortune many times over, at moments that nobody has chosen. Each time the
// right rank must be named, and nothing left. A few of each are in `make test`
// (tests/faults/storms.cc), and many are to be had by hand:
//
//   storm --kills 1000     kill -9 of a rank; of launch, from its first moment on; of its helper
//                          and then of launch
//   storm --stops 200      a rank is stopped; launch is stopped by Ctrl-Z and continued, and then
//                          loses a rank
//   storm --starve 200     jobs of 8 ranks start at the lowest priority on a machine that is busy
//   storm --seed N         the same again, as far as the machine lets it be
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "comm/error.h"
#include "comm/util/process.h"
#include "tests/support/folder.h"
#include "tests/support/job.h"
#include "tests/support/process.h"

namespace {

using namespace ringside;
using namespace ringside::test;
using namespace std::chrono_literals;

std::mt19937_64 dice;

int below(int bound) { return static_cast<int>(dice() % static_cast<std::uint64_t>(bound)); }

// This program lies in build/FLAVOUR/tests/programs.
std::string built(const std::string& path) { return program_path("../" + path); }

Words job_of(int ranks, const Words& program) {
  return with({built("tools/launch"), "-n", std::to_string(ranks)}, program);
}

Words looping(int ranks, const ReadyFile& ready) {
  return job_of(ranks, {built("tests/programs/rank_program"), "loop", "--ready", ready.path()});
}

template <class Condition>
bool comes_true(const Condition& condition) {
  for (int i = 0; i < 3000 && !condition(); ++i) std::this_thread::sleep_for(10ms);
  return condition();
}

bool is_stopped(pid_t pid) { return stat_of(pid).state == 'T'; }

pid_t helper_of(const Job& job) {
  for (const pid_t pid : job.processes())
    if (read_file(text("/proc/%d/comm", pid)) == "ringside-reaper\n") return pid;
  return -1;
}

// --- what is owed; each returns what is wrong, in words ---

std::string judge_end(const Job& job, const RunResult& result) {
  std::string wrong;
  if (result.timed_out) wrong += "it did not end; ";
  const std::string left = job.retired_windows(10);
  if (!left.empty()) wrong += "left behind: " + left;
  return wrong;
}

std::string judge_death(const RunResult& result, int ranks, int victim, pid_t pid) {
  std::string wrong;
  if (result.exit_code != 128 + SIGKILL) wrong += text("exit status %d; ", result.exit_code);
  const std::string name = text("rank %d (pid %d", victim, pid);
  if (!contains(line_of(result, "launch: "), "launch: " + name + ") was killed by signal 9"))
    wrong += "launch does not name it; ";
  for (int rank = 0; rank < ranks; ++rank)
    if (rank != victim && !contains(line_of(result, text("rank %d: ", rank)), name))
      wrong += text("rank %d does not name it; ", rank);
  return wrong.empty() ? "" : wrong + "all of stderr: " + result.err;
}

std::string judge_stopped(const RunResult& result, int ranks, int victim) {
  std::string wrong;
  for (int rank = 0; rank < ranks; ++rank)
    if (rank != victim &&
        !contains(line_of(result, text("rank %d: ", rank)), text("rank %d (pid ", victim)))
      wrong += text("rank %d does not name it; ", rank);
  if (result.exit_code <= 0) wrong += text("exit status %d; ", result.exit_code);
  return wrong.empty() ? "" : wrong + "all of stderr: " + result.err;
}

// --- misfortunes ---

// A rank of a running job. The judge is doubted each time: no other rank may do.
std::string kill_a_rank(bool stops_before) {
  const int ranks = 2 + below(3), victim = below(ranks), wait_us = below(50'000);
  Job job;
  const ReadyFile ready;
  pid_t pid = -1;
  std::string wrong;
  const RunResult result = job.run(looping(ranks, ready), {.timeout_s = 60}, [&] {
    if (!ready.wait()) return;
    if (stops_before) {
      ::kill(job.command(), SIGTSTP);
      for (int rank = 0; rank < ranks; ++rank)
        if (!comes_true([&] { return is_stopped(job.rank(rank).value_or(0)); }))
          wrong += text("rank %d is not stopped; ", rank);
      ::kill(job.command(), SIGCONT);
    }
    ::usleep(static_cast<useconds_t>(wait_us));
    pid = job.rank(victim).value_or(-1);
    if (pid > 0) ::kill(pid, SIGKILL);
  });
  if (judge_death(result, ranks, (victim + 1) % ranks, pid).empty())
    wrong += "another victim will do; ";
  return wrong + judge_end(job, result) + judge_death(result, ranks, victim, pid);
}

// launch, whatever it is doing; its ranks have programs below them.
std::string kill_launch(bool helper_first) {
  const int wait_us = below(helper_first ? 50'000 : 15'000);
  Job job;
  const RunResult result = job.run(
      job_of(4, {"sh", "-c", "sleep 60 & sleep 60 & sleep 60; true"}), {.timeout_s = 60}, [&] {
        if (helper_first) {
          pid_t first = -1;
          comes_true([&] { return (first = helper_of(job)) > 0; });
          ::kill(first, SIGKILL);
          comes_true([&] { return helper_of(job) > 0 && helper_of(job) != first; });
        }
        ::usleep(static_cast<useconds_t>(wait_us));
        ::kill(job.command(), SIGKILL);
      });
  return judge_end(job, result) + (result.signal == SIGKILL ? "" : "launch was not killed; ");
}

std::string stop_a_rank() {
  const int ranks = 2 + below(3), victim = below(ranks), wait_us = below(50'000);
  Job job;
  const ReadyFile ready;
  const RunResult result =
      job.run(looping(ranks, ready), {.environment = {"RINGSIDE_TIMEOUT=1"}, .timeout_s = 60}, [&] {
        if (!ready.wait()) return;
        ::usleep(static_cast<useconds_t>(wait_us));
        if (const std::optional<pid_t> pid = job.rank(victim)) ::kill(*pid, SIGSTOP);
      });
  return judge_end(job, result) + judge_stopped(result, ranks, victim);
}

std::string start_starved() {
  Job job;
  const RunResult result =
      job.run(with({"nice", "-n", "19"}, job_of(8, {built("tests/programs/rank_program"), "ok"})),
              {.timeout_s = 300});
  const std::string wrong = judge_end(job, result);
  return result.exit_code == 0
             ? wrong
             : wrong + text("exit status %d: %s", result.exit_code, result.err.c_str());
}

// Threads that do nothing, on all processors, all the time.
class Hogs {
 public:
  Hogs() {
    const unsigned count = 2 * std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < count; ++i)
      hogs_.emplace_back([this] {
        while (!stop_.load(std::memory_order_relaxed)) continue;
      });
  }
  ~Hogs() {
    stop_ = true;
    for (std::thread& hog : hogs_) hog.join();
  }
  Hogs(const Hogs&) = delete;
  Hogs& operator=(const Hogs&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> hogs_;
};

// --- the storms ---

int repeat(const char* what, int times, const std::function<std::string(int)>& misfortune) {
  int failed = 0;
  for (int i = 0; i < times; ++i) {
    const std::string wrong = misfortune(i);
    if (wrong.empty()) continue;
    ++failed;
    std::printf("%s %d: %s\n", what, i, wrong.c_str());
  }
  if (times > 0) std::printf("storm: %d %s, %d not as owed\n", times, what, failed);
  std::fflush(stdout);
  return failed;
}

int run(int kills, int stops, int starve) {
  int failed = 0;
  failed += repeat("kills", kills,
                   [](int i) { return i % 4 < 2 ? kill_a_rank(false) : kill_launch(i % 4 == 3); });
  failed +=
      repeat("stops", stops, [](int i) { return i % 2 == 0 ? stop_a_rank() : kill_a_rank(true); });
  std::optional<Hogs> hogs;
  if (starve > 0) hogs.emplace();
  failed += repeat("starved starts", starve, [](int) { return start_starved(); });
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  int kills = 0, stops = 0, starve = 0, seed = static_cast<int>(::getpid());
  const struct {
    std::string name;
    int& value;
  } options[] = {{"--kills", kills}, {"--stops", stops}, {"--starve", starve}, {"--seed", seed}};
  for (int i = 1; i < argc; i += 2) {
    bool known = false;
    for (const auto& it : options)
      if (i + 1 < argc && it.name == argv[i]) {
        it.value = std::atoi(argv[i + 1]);
        known = true;
      }
    if (!known) {
      std::fprintf(stderr, "usage: storm [--kills N] [--stops N] [--starve N] [--seed N]\n");
      return 2;
    }
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a long storm may be watched
  std::printf("storm: seed %d\n", seed);
  dice.seed(static_cast<std::uint64_t>(seed));
  try {
    return run(kills, stops, starve);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "storm: %s\n", error.what());
    return 2;
  }
}
