// Starting a rank, watching for its end, and leaving nothing of it; what is promised is in
// rank_process.h.
#include "tools/launcher/rank_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "comm/error.h"
#include "comm/util/fd.h"

extern char** environ;

namespace ringside::tools {
namespace {

// Whether a variable marks a program as a rank of another launcher.
bool belongs_to_another_launcher(std::string_view entry) {
  if (entry.starts_with("OMPI_ALLOW_RUN_AS_ROOT")) return false;  // a permission, not a place
  return entry.starts_with("OMPI_") || entry.starts_with("PMI") ||
         entry.starts_with("RINGSIDE_SECRET_FILE=");
}

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// In the child, from here to exec().
void become(const RankPlan& plan, pid_t launch, char** environment) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // If launch has died before that call nobody will send the signal any more.
  if (::getppid() != launch) ::_exit(127);
  if (plan.in >= 0) ::dup2(plan.in, STDIN_FILENO);
  if (plan.out >= 0) ::dup2(plan.out, STDOUT_FILENO);
  if (plan.err >= 0) ::dup2(plan.err, STDERR_FILENO);
  ::sigprocmask(SIG_SETMASK, &plan.signal_mask, nullptr);
  ::execvpe(plan.program[0], plan.program, environment);
}

}  // namespace

std::vector<std::string> environment_of(int rank, int ranks, int port, const std::string& secret) {
  const std::vector<std::string> ours = {
      text("RANK=%d", rank),        text("LOCAL_RANK=%d", rank),
      text("WORLD_SIZE=%d", ranks), text("LOCAL_WORLD_SIZE=%d", ranks),
      "MASTER_ADDR=127.0.0.1",      text("MASTER_PORT=%d", port),
      "RINGSIDE_SECRET=" + secret};
  std::vector<std::string> all = ours;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view name(*entry, std::strcspn(*entry, "=") + 1);
    bool hidden = belongs_to_another_launcher(*entry);
    for (const std::string& set : ours) hidden |= set.starts_with(name);
    if (!hidden) all.emplace_back(*entry);
  }
  return all;
}

RankProcess::RankProcess(int rank, const RankPlan& plan, int& error) : rank_(rank) {
  // exec() closes the child's end; only if it fails is there something to read.
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_system("cannot make a pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const std::vector<char*> environment = pointers_to(plan.environment);
  const pid_t launch = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw_system(text("cannot start rank %d", rank));
  if (pid_ == 0) {
    become(plan, launch, const_cast<char**>(environment.data()));
    const int why = errno;
    [[maybe_unused]] const ssize_t written = ::write(write_end.get(), &why, sizeof why);
    ::_exit(127);
  }
  // The child does this too; whoever is first, it is done before either goes on.
  ::setpgid(pid_, pid_);
  write_end = UniqueFd();
  error = 0;
  while (::read(read_end.get(), &error, sizeof error) < 0 && errno == EINTR) continue;
}

RankProcess::~RankProcess() {
  signal_group(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool RankProcess::has_ended() {
  if (ended_) return true;
  end_.si_pid = 0;
  const int found = ::waitid(P_PID, static_cast<id_t>(pid_), &end_, WEXITED | WNOHANG | WNOWAIT);
  ended_ = found == 0 && end_.si_pid == pid_;
  return ended_;
}

int RankProcess::status() const {
  return end_.si_code == CLD_EXITED ? end_.si_status : 128 + end_.si_status;
}

std::string RankProcess::how_it_ended() const {
  if (end_.si_code == CLD_EXITED) return text("exited with status %d", end_.si_status);
  return text("was killed by signal %d (%s)", end_.si_status, ::strsignal(end_.si_status));
}

void RankProcess::signal_group(int signal) const { ::kill(-pid_, signal); }

}  // namespace ringside::tools
