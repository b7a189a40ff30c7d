// Starting ranks under a launcher or as threads, and leaving with a sentence.
#include "tools/support/run_ranks.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "comm/bootstrap/start.h"
#include "comm/bootstrap/tcp.h"
#include "comm/bootstrap/threads.h"
#include "comm/error.h"
#include "tools/support/die_by_signal.h"

namespace ringside::tools {
namespace {

constexpr int kDefaultThreads = 4;
constexpr useconds_t kLastWords_us = 300'000;

std::atomic<int> stopped_by{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler stores to it");

void note_signal(int signal) { stopped_by.store(signal, std::memory_order_relaxed); }

void listen_to(int signal, unsigned flags) {
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = static_cast<int>(flags);
  ::sigaction(signal, &action, nullptr);
}

// A write beyond ulimit -f fails, and that is said.
void outlive_file_limit() { ::signal(SIGXFSZ, SIG_IGN); }

// Nothing where the environment says no clear word: then each process speaks for itself.
std::optional<Launcher> launcher_if_clear() {
  try {
    return launcher();
  } catch (const Error&) {
    return std::nullopt;
  }
}

void listen_to_signals() {
  // Asked twice, the process goes at once.
  listen_to(SIGTERM, SA_RESETHAND);
  listen_to(SIGINT, SA_RESETHAND);
  // Nobody reads what this rank prints any more. Threads end with it; ranks that are processes
  // would see it die and not know why.
  if (launcher_if_clear() == Launcher::environment) listen_to(SIGPIPE, 0);
  outlive_file_limit();
}

// launch | head: this rank or another has heard of SIGPIPE. Pipelines end without a word.
constexpr int kPipelineStatus = 128 + SIGPIPE;
bool ends_a_pipeline(const Error& error) {
  return error.fault() == Fault::interrupted &&
         std::string_view(error.what()).ends_with(text("stopped by signal %d", SIGPIPE));
}

// One line, whole, whatever other threads print.
void complain(const char* tool, const char* sentence) {
  const std::string line = text("%s: %s\n", tool, sentence);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

// Output that went nowhere (a full disk, say) is a failure too.
int check_written(const char* tool, int status) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  if (stopped_by == SIGPIPE) return kPipelineStatus;
  struct stat file {};
  rlimit limit{};
  const bool is_full = ::fstat(STDOUT_FILENO, &file) == 0 && S_ISREG(file.st_mode) &&
                       ::getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
                       static_cast<rlim_t>(file.st_size) >= limit.rlim_cur;
  complain(tool, ("the output could not be written" + (is_full ? limit_words(EFBIG) : "")).c_str());
  return status == 0 ? 1 : status;
}

int status_of(const Error& error) {
  if (ends_a_pipeline(error)) return kPipelineStatus;
  if (error.fault() == Fault::interrupted && stopped_by != 0) return 128 + stopped_by;
  return error.fault() == Fault::usage ? 2 : 1;
}

int run_threads(const char* tool, int size, const std::function<int(Bootstrap&)>& body) {
  std::atomic<int> status{0};
  run_as_threads(size, [&](Bootstrap& bootstrap) {
    const int mine = run_guarded(tool, bootstrap.rank(), [&] { return body(bootstrap); });
    int none = 0;
    if (mine != 0) status.compare_exchange_strong(none, mine);
  });
  return status;
}

// This process is one rank of several.
int run_process(const char* tool, const std::function<int(Bootstrap&)>& body) {
  if (launcher() == Launcher::environment) {
    const int ranks = TcpOptions::from_environment().size;
    try {
      check_open_files(ranks);
    } catch (const Error& error) {
      return refuse(tool, error.what());
    }
  }
  const std::unique_ptr<Bootstrap> bootstrap = start_bootstrap(&stopped_by);
  // MPI installs handlers of its own; ours come after.
  listen_to_signals();
  const int status = run_guarded(tool, bootstrap->rank(), [&] { return body(*bootstrap); });
  // A usage error is everybody's: all leave together, in order. After any other, nobody may be left
  // to part from.
  if (status != 0 && status != 2) bootstrap->abandon();
  // mpirun kills the other ranks once one has failed, and may be quick about it: whoever leaves
  // gives them a moment to report what they saw.
  if (status != 0 && launcher() == Launcher::mpi) {
    std::fflush(nullptr);
    ::usleep(kLastWords_us);
  }
  return status;
}

// A rank that needs nobody else for what it prints does not wait for them either: RANK may come
// from a job script, and somebody just asks for --help.
bool another_rank_speaks() {
  const char* rank = std::getenv("RANK");
  return launcher_if_clear() == Launcher::environment && rank != nullptr &&
         std::strcmp(rank, "0") != 0;
}

// Under mpirun only MPI knows who is rank 0. Nothing, if no launcher or another one started this
// process, or if MPI cannot be asked because this build is without it: then each process speaks.
std::optional<int> ask_mpi(const char* tool, const std::function<int(Bootstrap&)>& body) {
  if (launcher_if_clear() != Launcher::mpi) return std::nullopt;
  try {
    return run_process(tool, body);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Only rank 0 speaks, and what is returned is `status`, or 1 for words that could not be written.
int speak_once(const char* tool, int status, const std::function<void()>& speak) {
  if (another_rank_speaks()) return status;
  outlive_file_limit();
  const auto speak_on_0 = [&](Bootstrap& bootstrap) {
    if (bootstrap.rank() == 0) speak();
    // mpirun ends all ranks as soon as one has failed: nobody leaves before rank 0 has spoken.
    if (status != 0) bootstrap.barrier(Deadline::after_seconds(60));
    return check_written(tool, status);
  };
  if (const std::optional<int> done = ask_mpi(tool, speak_on_0)) return *done;
  speak();
  return check_written(tool, status);
}

int run_somehow(const char* tool, int threads, const std::function<int(Bootstrap&)>& body) {
  if (threads == 0 && launcher() != Launcher::none) return run_process(tool, body);
  return run_threads(tool, threads > 0 ? threads : kDefaultThreads, body);
}

}  // namespace

// What every rank would report alike, rank 0 reports.
int run_guarded(const char* tool, int rank, const std::function<int()>& body) {
  try {
    return body();
  } catch (const Error& error) {
    const bool same_on_all = error.fault() == Fault::usage;
    if ((!same_on_all || rank == 0) && !ends_a_pipeline(error)) complain(tool, error.what());
    return status_of(error);
  } catch (const std::exception& error) {
    complain(tool, text("rank %d: %s", rank, error.what()).c_str());
    return 1;
  }
}

int run_ranks(const char* tool, int threads, const std::function<int(Bootstrap&)>& body) {
  listen_to_signals();
  int status = 1;
  try {
    if (threads > 0 && launcher() != Launcher::none)
      return refuse(
          tool,
          "--threads (or -t, -g) makes ranks of threads, but the launcher has made ranks of "
          "processes already; leave one of them out");
    status = check_written(tool, run_somehow(tool, threads, body));
  } catch (const Error& error) {
    if (!ends_a_pipeline(error)) complain(tool, error.what());
    status = status_of(error);
  } catch (const std::exception& error) {
    complain(tool, error.what());
  }
  // A shell looks at the signal, mpirun at the status.
  const bool of_the_signal = stopped_by != 0 && (status == 0 || status == 128 + stopped_by);
  if (of_the_signal && launcher_if_clear() != Launcher::mpi) die_by_signal(stopped_by);
  return status;
}

int refuse(const char* tool, const std::string& sentence) {
  return speak_once(tool, 2, [&] { complain(tool, sentence.c_str()); });
}

int print_once(const char* tool, const std::string& words) {
  return speak_once(tool, 0, [&] { std::fputs(words.c_str(), stdout); });
}

Options tool_options() {
  Options options = Options::from_environment();
  options.interrupted = &stopped_by;
  return options;
}

Options tool_options(const Bootstrap& bootstrap, const std::optional<Injection>& fault) {
  Options options = tool_options();
  if (fault) inject(options, *fault, bootstrap);
  return options;
}

}  // namespace ringside::tools
