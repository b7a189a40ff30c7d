// The server of memory descriptors on a machine that is busy or crowded: who is slow is served, who
// is silent holds nobody up, and who was hung up on before it was heard comes again.
#include "comm/transport/shm/fd_server.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/errors/endings.h"
#include "tests/support/test.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr std::uint32_t kWindow = 7;

struct Address {
  sockaddr_un un{};
  socklen_t bytes = offsetof(sockaddr_un, sun_path) + 1 + sizeof(SocketName);
  explicit Address(const SocketName& name) {
    un.sun_family = AF_UNIX;
    std::memcpy(un.sun_path + 1, name.data(), name.size());
  }
  const sockaddr* plain() const { return reinterpret_cast<const sockaddr*>(&un); }
};

UniqueFd unix_socket() { return UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)); }

// Somebody who does by hand, and in its own time, what FdRequest does.
class ByHand {
 public:
  bool call(const SocketName& name) {
    const Address to(name);
    return ::connect(socket_.get(), to.plain(), to.bytes) == 0;
  }
  void ask(const Secret& secret) {
    std::vector<std::byte> words(sizeof secret + 2 * sizeof(std::uint64_t));
    std::memcpy(words.data(), secret.data(), sizeof secret);
    words[sizeof secret + sizeof(std::uint64_t)] = std::byte{kWindow};
    [[maybe_unused]] const ssize_t sent =
        ::send(socket_.get(), words.data(), words.size(), MSG_NOSIGNAL);
  }
  // Whether the owner hands out what was asked for. (The descriptor is thrown away.)
  bool is_served() {
    std::uint32_t kind = 0;
    return ::recv(socket_.get(), &kind, sizeof kind, 0) == sizeof kind && kind == 1;
  }

 private:
  const UniqueFd socket_ = unix_socket();
};

// A server that hands out some file.
struct Served {
  const Secret secret = draw_secret();
  FdServer server{secret};
  UniqueFd file{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  Served() { server.offer(kWindow, file.get()); }
  UniqueFd fetch(double within_s) const {
    return fetch_fd(server.name(), secret, Shared::window, kWindow, 3,
                    Deadline::after_seconds(within_s));
  }
};

// While it lives this process gets no more descriptors.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    int highest = 0;
    for (const auto& it : std::filesystem::directory_iterator("/proc/self/fd"))
      highest = std::max(highest, std::stoi(it.path().filename()));
    const rlimit less{static_cast<rlim_t>(highest) + 1, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &less);
    for (UniqueFd it = one_more(); it; it = one_more()) taken_.push_back(std::move(it));
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  static UniqueFd one_more() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

  rlimit before_{};
  std::vector<UniqueFd> taken_;
};

// An owner that takes `times` callers in and hangs up on them, having heard them or not, before it
// serves one.
class Moody {
 public:
  Moody(int times, bool hears_them) {
    fill_random(name_.data(), name_.size());
    const Address at(name_);
    if (::bind(listener_.get(), at.plain(), at.bytes) != 0 || ::listen(listener_.get(), 8) != 0)
      throw_system("cannot listen");
    thread_ = std::thread([this, times, hears_them] {
      for (int i = 0; i <= times && !stop_; ++i) {
        const UniqueFd caller(::accept(listener_.get(), nullptr, nullptr));
        char words[64];
        if (i < times && !hears_them) continue;
        [[maybe_unused]] const ssize_t heard = ::recv(caller.get(), words, sizeof words, 0);
        if (i == times) hand_out(caller.get());
      }
    });
  }
  ~Moody() {
    stop_ = true;
    ByHand().call(name_);  // should the thread still wait for somebody
    thread_.join();
  }
  UniqueFd fetch() const {
    return fetch_fd(name_, Secret{}, Shared::window, kWindow, 3, Deadline::after_seconds(20));
  }

 private:
  void hand_out(int caller) const {
    std::uint32_t here = 1;
    iovec data{&here, sizeof here};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    *CMSG_FIRSTHDR(&message) = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    const int fd = listener_.get();
    std::memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof fd);
    ::sendmsg(caller, &message, MSG_NOSIGNAL);
  }

  SocketName name_;
  const UniqueFd listener_ = unix_socket();
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace

// A peer that the kernel did not let run for a while. Others are served meanwhile.
RINGSIDE_TEST(fd_server, who_sleeps_before_it_asks_is_served) {
  const Served owner;
  ByHand slow;
  REQUIRE(slow.call(owner.server.name()));
  for (int i = 0; i < 5; ++i) {
    CHECK(owner.fetch(20));
    nap_ms(100);
  }
  slow.ask(owner.secret);
  CHECK(slow.is_served());
}

RINGSIDE_TEST(fd_server, a_crowd_of_silent_ones_holds_nobody_up) {
  const Served owner;
  std::vector<ByHand> crowd(400);
  for (ByHand& it : crowd) REQUIRE(it.call(owner.server.name()));
  CHECK(owner.fetch(20));
}

RINGSIDE_TEST(fd_server, strangers_that_take_all_descriptors_are_let_go) {
  const Served owner;
  std::vector<ByHand> crowd(5);
  for (ByHand& it : crowd) REQUIRE(it.call(owner.server.name()));
  ByHand honest;
  CHECK(owner.fetch(20));  // and so all before have been taken in
  const NoDescriptors none;
  REQUIRE(honest.call(owner.server.name()));
  honest.ask(owner.secret);
  CHECK(honest.is_served());
}

RINGSIDE_TEST(fd_server, who_was_not_heard_comes_again) {
  const Moody owner(3, false);
  CHECK(owner.fetch());
}

// The other half of it: who was heard and hung up on is not wanted.
RINGSIDE_TEST(fd_server, who_was_heard_does_not_come_again) {
  const Moody owner(1, true);
  check_fault(t, ending_of([&] { owner.fetch(); }), Fault::system, {"rank 3", "secret"});
}
