// A program that holds what ringside gives it in places where that is hard on the library:
// tests/transport/allocate.cc and tests/errors/lifetime.cc start it.
//
//   owner at-exit           gives memory back by an object that outlives main
//   owner communicator      the same with a communicator, which has made calls of all kinds
//   owner no-stdio          has closed its stdin, stdout and stderr, and looks at its descriptors
//   owner no-populate       may not ask for pages in advance (madvise): a sandbox, an old kernel
//   owner too-much          wants 1000 MiB
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "comm/allocate.h"
#include "comm/bootstrap/start.h"
#include "comm/communicator.h"
#include "comm/error.h"

namespace {

using namespace ringside;

// Made before the first allocation, and so gone after whatever came with that.
struct Holder {
  void* memory = nullptr;
  ~Holder() {
    try {
      deallocate(memory);
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
  }
};
Holder holder;

// Made in main, and gone after all that came with that.
std::unique_ptr<Bootstrap> bootstrap;
std::optional<Communicator> communicator;

int hold_until_exit() {
  holder.memory = allocate(100'000);
  return 0;
}

// Its line is still in stdout's buffer when main returns.
int use_until_exit() {
  bootstrap = start_bootstrap();
  communicator.emplace(*bootstrap);
  double sum = 1;
  communicator->all_reduce(&sum, &sum, 1, DType::f64, Reduction::sum);
  communicator->all_reduce_async(&sum, &sum, 1, DType::f64, Reduction::max).wait();
  std::printf("rank %d: %g\n", communicator->rank(), sum);
  return hold_until_exit();
}

// Returns 100 and the first descriptor that is not as it should be, 0 if there is none.
int look_at_descriptors() {
  constexpr int kMost = 100;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(fd);
  int flags_before[kMost], ours = 0;
  for (int fd = 0; fd < kMost; ++fd) flags_before[fd] = ::fcntl(fd, F_GETFD);
  use_until_exit();
  for (int fd = 0; fd < kMost; ++fd) {
    if (flags_before[fd] != -1 || ::fcntl(fd, F_GETFD) == -1) continue;
    if (fd <= STDERR_FILENO || (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) return kMost + fd;
    ++ours;
  }
  return ours > 0 ? 0 : 2 * kMost;
}

int allocate_without_populate() {
  const auto load = [](std::size_t offset) {
    return sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset));
  };
  sock_filter rules[] = {
      load(offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
      load(
          offsetof(seccomp_data, args[2])),  // the lower half, on processors that are little-endian
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, MADV_POPULATE_READ, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof rules / sizeof rules[0], rules};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    return 77;
  std::memset(allocate(100'000), 1, 100'000);
  return use_until_exit();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "at-exit") return hold_until_exit();
  try {
    if (mode == "communicator") return use_until_exit();
    if (mode == "no-stdio") return look_at_descriptors();
    if (mode == "too-much") return allocate(std::size_t{1000} << 20) == nullptr ? 1 : 0;
    if (mode == "no-populate") return allocate_without_populate();
  } catch (const Error& error) {
    std::fprintf(stderr, "owner: %s\n", error.what());
    return 1;
  }
  std::fprintf(stderr, "usage: owner at-exit|communicator|no-stdio|no-populate|too-much\n");
  return 2;
}
