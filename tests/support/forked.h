// Processes by plain fork, and what they tell each other through pipes: for test programs that have
// one thread, and to which a fork costs less than starting a program (process.h) does.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <exception>

#include "comm/error.h"
#include "comm/util/deadline.h"
#include "comm/util/fd.h"
#include "comm/util/function_ref.h"

namespace ringside::test {

// Bytes go in at `in` and come out at `out`.
struct Pipe {
  UniqueFd in, out;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw_system("cannot make a pipe");
    out = UniqueFd(ends[0]);
    in = UniqueFd(ends[1]);
  }
};

template <class T>
void write_whole(int fd, const T& what) {
  if (::write(fd, &what, sizeof what) != static_cast<ssize_t>(sizeof what))
    throw_system("cannot write to a pipe");
}

// False at the end of the stream, or once the deadline has passed.
template <class T>
bool read_whole(int fd, T& what, Deadline deadline) {
  auto* at = reinterpret_cast<char*>(&what);
  for (std::size_t got = 0; got < sizeof what;) {
    pollfd waiting{fd, POLLIN, 0};
    if (::poll(&waiting, 1, deadline.poll_ms(60'000)) <= 0) {
      if (deadline.passed()) return false;
      continue;
    }
    const ssize_t some = ::read(fd, at + got, sizeof what - got);
    if (some <= 0) return false;
    got += static_cast<std::size_t>(some);
  }
  return true;
}

// The child runs `body` and ends with what it returns. It does not outlive its parent.
inline pid_t start(FunctionRef<int()> body) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw_system("cannot fork");
  if (child > 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(3);
  int status = 3;
  try {
    status = body();
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
  }
  std::fflush(nullptr);
  ::_exit(status);
}

inline int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

}  // namespace ringside::test
