// Who cleans up when launch itself is killed with kill -9?
//
// The kernel kills the ranks (PR_SET_PDEATHSIG), but not what they have started: a script's program
// would live on. So launch has a helper: a process that does nothing but read from a socket whose
// other end launch alone holds, and a rank's process until it becomes the rank's program. Should
// launch die, however, the stream ends; then the helper kills the process groups that it knows of.
// Each rank's process makes its group known itself, before there is anything in it to forget. When
// launch ends in good order, it ends the helper.
//
// The helper may be killed too. Then launch starts another (keep_alive). Only somebody who kills
// both within the same moment leaves what the ranks have started; so that nobody does it by name
// (pkill launch), the helper has a name of its own.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "comm/error.h"
#include "comm/util/fd.h"

namespace ringside::tools {

class Reaper {
 public:
  // `words`: main()'s argv, which the helper writes its own name over. Throws Error{system}.
  explicit Reaper(char** words) : words_(words) { start({}); }
  ~Reaper() {
    ::kill(helper_, SIGKILL);
    ::waitpid(helper_, nullptr, 0);
  }
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // Is called by the group's leader between fork() and exec(), and allocates nothing.
  void add_group(pid_t group) const {
    [[maybe_unused]] const ssize_t sent = ::send(socket_.get(), &group, sizeof group, MSG_NOSIGNAL);
  }

  // Replaces a helper that has ended by one that knows what groups() returns. Throws Error{system}.
  template <class Groups>
  void keep_alive(const Groups& groups) {
    if (::waitpid(helper_, nullptr, WNOHANG) == 0) return;
    start(groups());
  }

 private:
  static constexpr char kName[] = "ringside-reaper";

  // Returns once the helper is where nothing that is sent to launch's group reaches it.
  void start(std::vector<pid_t> groups) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
      throw_system("cannot make a pair of sockets");
    UniqueFd theirs(ends[0]);
    socket_ = UniqueFd(ends[1]);
    helper_ = ::fork();
    if (helper_ < 0) throw_system("cannot start a process");
    if (helper_ == 0) watch(theirs.get(), std::move(groups));
    theirs = UniqueFd();  // so that this ends too if the helper is killed before it is ready
    char ready;
    while (::recv(socket_.get(), &ready, 1, 0) < 0 && errno == EINTR) continue;
  }

  [[noreturn]] void watch(int socket, std::vector<pid_t> groups) const {
    take_name();
    // Out of launch's group and session: what is sent to these (Ctrl-C, a kill -9 of the whole
    // group) is what the helper is there to outlive.
    ::setsid();
    // And without launch's end, or the stream would never end, nor that of any rank's pipe.
    constexpr int kSocket = STDERR_FILENO + 1;
    ::dup2(socket, kSocket);
    ::closefrom(kSocket + 1);
    ::send(kSocket, "", 1, MSG_NOSIGNAL);
    for (pid_t group = 0;;) {
      const ssize_t got = ::recv(kSocket, &group, sizeof group, 0);
      if (got == sizeof group)
        groups.push_back(group);
      else if (got >= 0 || errno != EINTR)
        break;
    }
    for (const pid_t group : groups) ::kill(-group, SIGKILL);
    ::_exit(0);
  }

  // The words of a command line lie one behind the other.
  void take_name() const {
    ::prctl(PR_SET_NAME, kName);
    char* end = words_[0];
    for (char** word = words_; *word != nullptr; ++word) end = *word + std::strlen(*word);
    std::memset(words_[0], 0, static_cast<std::size_t>(end - words_[0]));
    std::strncpy(words_[0], kName, static_cast<std::size_t>(end - words_[0]));
  }

  char** words_;
  pid_t helper_ = -1;
  UniqueFd socket_;
};

}  // namespace ringside::tools
