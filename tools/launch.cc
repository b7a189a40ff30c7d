// launch: starts N ranks of a program on this host, without MPI.
//
//     launch ──fork, exec──▶ rank 0 … rank N−1    each leads a process group
//        │                      ▲
//        │ signals, in order:   │ what launch itself gets (SIGINT, SIGTERM, SIGTSTP, SIGUSR1 …)
//        │                      │ SIGTERM, a grace after the first rank failed
//        │                      │ SIGKILL, a second after that
//        └──one poll()────── its own signals (signalfd), the ranks' lines, the terminal
//
// The ranks find each other by the tcp bootstrap. launch gives them a port for that and does not
// use it itself; see PortHold for what can go wrong there.
//
// What launch promises: when it ends, all ranks have ended and been reaped, and all else in their
// process groups has been killed; even after a kill -9 of launch itself (reaper.h). What a
// rank starts in a process group of its own (a daemon) is the rank's affair.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/error.h"
#include "comm/util/deadline.h"
#include "comm/util/fd.h"
#include "comm/util/secret.h"
#include "comm/util/tcp_socket.h"
#include "tools/launcher/first_failure.h"
#include "tools/launcher/group_members.h"
#include "tools/launcher/options.h"
#include "tools/launcher/output_relay.h"
#include "tools/launcher/rank_process.h"
#include "tools/launcher/reaper.h"
#include "tools/launcher/signal_reader.h"
#include "tools/launcher/terminal_stdin.h"
#include "tools/support/die_by_signal.h"

namespace {

using namespace ringside;
using namespace ringside::tools;

constexpr double kKill_s = 1;  // from SIGTERM to SIGKILL
constexpr int kHourMs = 3'600'000;
constexpr rlim_t kOtherFiles = 16;  // at most open at once, beside the ranks' pipes
constexpr int kTimeoutStatus = 124, kCannotStartStatus = 126, kNotFoundStatus = 127;

// A free port for rank 0, bound here and never listened on: so the kernel gives it to nobody who
// asks for any port, and yet lets rank 0 listen on it (both set SO_REUSEADDR, as servers do, and
// one listener is the limit). What remains is a small race: until rank 0 listens, a process that
// asks for this very port can have it. Then rank 0 fails with a sentence; and the other ranks,
// which call whoever listens, believe nobody who cannot answer with the job's secret.
class PortHold {
 public:
  PortHold() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    sockaddr_in any_port{};
    any_port.sin_family = AF_INET;
    any_port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!socket_ || ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::bind(socket_.get(), reinterpret_cast<sockaddr*>(&any_port), sizeof any_port) != 0)
      throw_system("there is no free port");
  }
  int port() const { return local_address(socket_.get()).port(); }

 private:
  UniqueFd socket_;
};

std::string hexadecimal(const Secret& secret) {
  std::string digits;
  for (const std::byte byte : secret) digits += text("%02x", std::to_integer<unsigned>(byte));
  return digits;
}

class Job {
 public:
  Job(const LaunchOptions& options, char** argv)
      : options_(options), ends_(Deadline::after_seconds(options.timeout_s)), reaper_(argv) {}

  ~Job() { end_ranks(); }  // of a job that could not be started whole
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  int run() {
    if (!start_all()) return status_;
    for (bool running = true; running;) {
      wait_for_something(ms_until_next_deed());
      take_signals();
      reaper_.keep_alive([&] { return groups(); });
      stdin_.step();
      stdout_.step();
      stderr_.step();
      check_output();
      for (const auto& rank : ranks_) judge(*rank);
      running = count_running() > 0;
      announce(first_failure_.decide(!running));
      keep_time();
    }
    end_ranks();
    print_the_rest();
    return status_;
  }

  // The signal that ended the job in place of a status; 0: none did.
  int ended_by() const { return ended_by_; }

 private:
  // False, with a sentence, if PROGRAM cannot be started.
  bool start_all() {
    if (options_.prefix) check_open_files();
    const UniqueFd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::string secret = hexadecimal(draw_secret());
    for (int rank = 0; rank < options_.ranks; ++rank) {
      RankPlan plan{.program = options_.program,
                    .ranks = options_.ranks,
                    .environment = environment_of(rank, options_.ranks, port_.port(), secret),
                    .in = rank == 0 ? stdin_.for_rank_0() : nothing.get(),
                    .reaper = reaper_,
                    .signal_mask = signals_.mask_before()};
      UniqueFd out, err;
      if (options_.prefix) {
        out = relay(rank, stdout_);
        err = relay(rank, stderr_);
        plan.out = out.get();
        plan.err = err.get();
      }
      int error = 0;
      ranks_.push_back(std::make_unique<RankProcess>(rank, plan, error));
      if (rank == 0) stdin_.rank_0_has_it();
      if (error != 0) {
        say(text("cannot start %s: %s", options_.program[0], std::strerror(error)));
        status_ = error == ENOENT || error == ENOTDIR ? kNotFoundStatus : kCannotStartStatus;
        end_ranks();
        print_the_rest();
        return false;
      }
      reaper_.keep_alive([&] { return groups(); });
    }
    return true;
  }

  void check_open_files() const {
    const rlim_t needed = 2 * static_cast<rlim_t>(options_.ranks) + kOtherFiles;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < needed)
      throw_error(Fault::usage,
                  "--prefix takes two open files a rank, %llu with launch's own, and %llu are "
                  "allowed: say ulimit -n %llu or more first",
                  static_cast<unsigned long long>(needed),
                  static_cast<unsigned long long>(limit.rlim_cur),
                  static_cast<unsigned long long>(needed));
  }

  // A pipe into `lines`; the end for the rank to write to.
  static UniqueFd relay(int rank, LineRelay& lines) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_system("cannot make a pipe");
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    lines.add(rank, UniqueFd(ends[0]));
    return UniqueFd(ends[1]);
  }

  std::vector<pid_t> groups() const {
    std::vector<pid_t> all;
    for (const auto& rank : ranks_) all.push_back(rank->pid());
    return all;
  }

  // And with them whatever is left in their groups. None shall see another go, and blame it.
  void end_ranks() {
    signal_all(SIGSTOP);
    ranks_.clear();
  }

  int count_running() const {
    int count = 0;
    for (const auto& rank : ranks_) count += rank->has_ended() ? 0 : 1;
    return count;
  }

  void wait_for_something(int most_ms) {
    std::vector<pollfd> waiting = {{signals_.fd(), POLLIN, 0}};
    stdin_.add_to(waiting);
    stdout_.add_to(waiting);
    stderr_.add_to(waiting);
    // One more, since Deadline::poll_ms rounds down.
    if (::poll(waiting.data(), waiting.size(), most_ms + 1) < 0 && errno != EINTR)
      throw_system("cannot wait");
  }

  int ms_until_next_deed() const {
    constexpr int kLookMs = 500;
    int most_ms = stdin_.wants_to_look_again() ? kLookMs : kHourMs;
    if (!timed_out_) most_ms = ends_.poll_ms(most_ms);
    for (const std::optional<Deadline>& next :
         {first_failure_.due(), kill_at_ ? kill_at_ : terminate_at_})
      if (next) most_ms = next->poll_ms(most_ms);
    return most_ms;
  }

  // All signals that have come. True: to stop was one of them.
  bool take_signals() {
    bool told = false;
    while (const auto arrival = signals_.next()) told |= take(*arrival);
    return told;
  }

  bool take(const SignalReader::Arrival& arrival) {
    switch (arrival.signal) {
      case SIGCHLD:
        for (const auto& rank : ranks_)
          if (rank->pid() == arrival.child) judge(*rank);
        return false;
      case SIGUSR1:
      case SIGUSR2:
        ask_groups(groups(), arrival.signal);
        return false;
      case SIGTSTP:  // Ctrl-Z, of which the ranks, in groups of their own, have not heard
        signal_all(SIGTSTP);
        ::raise(SIGSTOP);  // until somebody sends SIGCONT
        return false;
      case SIGCONT:
        signal_all(SIGCONT);
        return false;
      default:
        told_to_stop_ = arrival.signal;
        signal_all(arrival.signal);
        end_within(options_.grace_s);
        return true;
    }
  }

  void judge(RankProcess& rank) {
    if (!rank.has_ended() || rank.status() == 0) return;
    first_failure_.consider(rank);
    end_within(options_.grace_s);
  }

  // The first rank that fails decides how the job ends; what the others do then is its consequence.
  void announce(const RankProcess* guilty) {
    if (guilty == nullptr || status_ != 0) return;
    status_ = guilty->status();
    if (told_to_stop_ != 0 && (guilty->was_killed() || status_ == 128 + told_to_stop_)) {
      ended_by_ = told_to_stop_;
      say(text("told to stop by signal %d (%s), and so were the ranks", ended_by_,
               ::strsignal(ended_by_)));
      return;
    }
    // As pipelines end (launch | head), without a word.
    if (status_ == 128 + SIGPIPE && (nobody_reads(STDOUT_FILENO) || nobody_reads(STDERR_FILENO))) {
      ended_by_ = SIGPIPE;
      return;
    }
    say(text("rank %d (pid %d) %s", guilty->rank(), guilty->pid(), guilty->how_it_ended().c_str()));
  }

  static bool nobody_reads(int fd) {
    pollfd it{fd, POLLOUT, 0};
    return ::poll(&it, 1, 0) > 0 && (it.revents & (POLLERR | POLLHUP)) != 0;
  }

  // Whether what the ranks print has somewhere to go. Their own ends, by SIGPIPE, follow from this.
  void check_output() {
    for (const LineRelay* it : {&stdout_, &stderr_}) {
      const int error = it->failure();
      if (error == 0 || error == EPIPE || status_ != 0) continue;
      status_ = 1;
      say(text("what the ranks print cannot be written: %s", std::strerror(error)));
      end_within(options_.grace_s);
    }
  }

  void end_within(double seconds) {
    if (!terminate_at_) terminate_at_ = at_in(seconds);
  }

  void keep_time() {
    if (!timed_out_ && ends_.passed()) {
      timed_out_ = true;
      say(text("the job has not ended within %g s and is stopped", options_.timeout_s));
      if (!first_failure_.has_suspect()) status_ = kTimeoutStatus;
      terminate_at_ = at_in(0);
    }
    if (kill_at_ ? !kill_at_->passed() : !(terminate_at_ && terminate_at_->passed())) return;
    if (kill_at_)
      say(text("%d of the ranks did not end on SIGTERM, and are killed", count_running()));
    signal_all(kill_at_ ? SIGKILL : SIGTERM);
    kill_at_ = at_in(kKill_s);
  }

  static Deadline at_in(double seconds) {
    return Deadline::after_seconds(std::max(seconds, 1e-6));  // 0 would be never
  }

  void signal_all(int signal) const {
    for (const auto& rank : ranks_) rank->signal_group(signal);
  }

  void say(const std::string& sentence) {
    stderr_.say("launch: " + sentence + "\n");
    stderr_.step();
  }

  // What is still to be printed waits for its reader; but not when the job was to end.
  void print_the_rest() {
    stdout_.finish();
    stderr_.finish();
    const Deadline until = told_to_stop_ != 0 || timed_out_ ? at_in(kKill_s) : ends_;
    for (;;) {
      stdout_.step();
      stderr_.step();
      if (stdout_.is_empty() && stderr_.is_empty()) return;
      if (take_signals()) ended_by_ = told_to_stop_;
      if (ended_by_ != 0 || until.passed()) return;
      wait_for_something(until.poll_ms(kHourMs));
    }
  }

  const LaunchOptions& options_;
  const Deadline ends_;
  const SignalReader signals_;
  Reaper reaper_;
  const PortHold port_;
  TerminalStdin stdin_;
  const LineRelay *stdout_line_ = nullptr, *stderr_line_ = nullptr;
  LineRelay stdout_{STDOUT_FILENO, stdout_line_};
  LineRelay stderr_{STDERR_FILENO,
                    same_place(STDOUT_FILENO, STDERR_FILENO) ? stdout_line_ : stderr_line_};
  std::vector<std::unique_ptr<RankProcess>> ranks_;
  FirstFailure first_failure_;  // one of ranks_
  int status_ = 0;
  int told_to_stop_ = 0, ended_by_ = 0;  // signals
  bool timed_out_ = false;
  std::optional<Deadline> terminate_at_, kill_at_;
};

// Somebody may start launch with some of 0, 1 and 2 closed. What is opened next would take their
// numbers, and a rank would find a pipe of launch's where it prints.
void open_standard_descriptors() {
  int fd = ::open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDWR);
  ::close(fd);
}

int run(const LaunchOptions& options, char** argv) {
  int status = 0, signal = 0;
  {
    Job job(options, argv);
    status = job.run();
    signal = job.ended_by();
  }
  if (signal != 0) die_by_signal(signal);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    open_standard_descriptors();
    const LaunchOptions options = parse_launch_options(argc, argv);
    if (options.request == Request::none) return run(options, argv);
    const auto help = [&] { return launch_help(argv[0]); };
    std::fputs(answer(options.request, "launch", help).c_str(), stdout);
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
    throw Error(Fault::system, "the output could not be written");
  } catch (const Error& error) {
    std::fprintf(stderr, "launch: %s\n", error.what());
    return error.fault() == Fault::usage ? 2 : 1;
  }
}
