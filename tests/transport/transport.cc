// Every transport is held to the contract of comm/transport/transport.h, by the same checks.
//
// A new transport joins by one line in transports(). What is shm's alone (descriptors, mappings,
// the socket through which they go) is tested at the end.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>

#include "comm/allocate.h"
#include "comm/error.h"
#include "comm/transport/shm/allocations.h"
#include "comm/transport/shm/shm.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"
#include "tests/support/test.h"
#include "tests/transport/contract.h"
#include "tests/transport/network_transport.h"

using namespace ringside;
using namespace ringside::test;

namespace {

const TransportUnderTest kShmSocket = {
    "shm, descriptor through the socket", [](const Secret& secret) {
      const ShmOptions options{.serve = true, .share_in_process = false};
      return std::make_unique<ShmTransport>(secret, options);
    }};

// Its windows lie in the room of a file in which a communicator's window lies already.
class OfGroup : public Transport {
 public:
  explicit OfGroup(std::unique_ptr<Transport> parent)
      : first_(parent->expose(1 << 20, 100)), group_(parent->for_group()) {}

  const char* name() const override { return group_->name(); }
  std::unique_ptr<Window> expose(std::size_t data_bytes, int cell_count,
                                 Deadline deadline) override {
    return group_->expose(data_bytes, cell_count, deadline);
  }
  std::unique_ptr<PeerWindow> open(int peer, const WindowHandle& handle,
                                   Deadline deadline) override {
    return group_->open(peer, handle, deadline);
  }

 private:
  std::unique_ptr<Window> first_;
  std::unique_ptr<Transport> group_;
};

TransportUnderTest group_of(const TransportUnderTest& it, const char* name) {
  return {
      name,
      [make = it.make](const Secret& secret) { return std::make_unique<OfGroup>(make(secret)); },
      it.asks_owner};
}

std::vector<TransportUnderTest> shm_transports() {
  std::vector<TransportUnderTest> all;
  all.push_back(shm_of_threads());
  all.push_back(group_of(all[0], "shm of threads, a group's"));
  if (!kUnderTsan) all.push_back(group_of(kShmSocket, "shm through the socket, a group's"));
  // ThreadSanitizer takes two mappings of one page for two pages: there it sees no release and no
  // acquire, and so nothing worth looking at.
  if (!kUnderTsan) all.push_back(kShmSocket);
  return all;
}

std::vector<TransportUnderTest> transports() {
  std::vector<TransportUnderTest> all = shm_transports();
  all.push_back({"network", [](const Secret&) { return make_network_transport(); }, false});
  return all;
}

template <class Check, class... Arguments>
void hold(Context& t, const Check& check, Arguments... arguments) {
  for (const TransportUnderTest& it : transports()) {
    const std::string verdict = check(it, arguments...);
    CHECK_MSG(verdict.empty(), "%s: %s", it.name, verdict.c_str());
  }
}

constexpr int kRounds = kUnderTsan ? 500 : 5000;

// What `action` throws, or an empty sentence.
template <class Action>
std::string error_of(const Action& action) {
  return ending_of(action).sentence;
}

std::size_t open_descriptors() { return settled_resources().descriptors; }
std::size_t memfd_mappings() { return tools::resources_held(true).windows; }

// A stranger at a window's socket. Knows its name, and that is all.
class MismatchedMessage {
 public:
  // The name stands in the handle after the process's nonce and an address
  // (comm/transport/shm/shm.cc).
  static constexpr std::size_t kNameAt = 16;
  explicit MismatchedMessage(const WindowHandle& handle)
      : fd_(::socket(AF_UNIX, SOCK_SEQPACKET, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, handle.bytes.data() + kNameAt, sizeof(SocketName));
    const auto bytes =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + sizeof(SocketName));
    connected = ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), bytes) == 0;
  }
  void say(const std::vector<std::byte>& words) {
    [[maybe_unused]] const ssize_t sent =
        ::send(fd_.get(), words.data(), words.size(), MSG_NOSIGNAL);
  }
  // What the server answers: 0 when it hangs up.
  ssize_t listen() {
    char reply[64];
    return ::recv(fd_.get(), reply, sizeof reply, 0);
  }
  bool connected = false;

 private:
  UniqueFd fd_;
};

}  // namespace

RINGSIDE_TEST(transport, window_starts_zeroed) { hold(t, check_starts_zeroed); }
RINGSIDE_TEST(transport, put_lands_exactly) { hold(t, check_put_lands_exactly); }
RINGSIDE_TEST(transport, payload_travels_with_its_signal) { hold(t, check_payload); }
RINGSIDE_TEST(transport, signal_comes_after_its_puts) { hold(t, check_signal_after_put, kRounds); }
RINGSIDE_TEST(transport, signals_only_grow) { hold(t, check_signals_only_grow, 20 * kRounds); }
RINGSIDE_TEST(transport, cells_are_apart) { hold(t, check_cells_are_apart); }
RINGSIDE_TEST(transport, put_frees_its_source) { hold(t, check_put_frees_source, 3); }
RINGSIDE_TEST(transport, two_writers_of_one_window) { hold(t, check_two_writers, kRounds); }
RINGSIDE_TEST(transport, peer_window_outlives_its_owner) { hold(t, check_outlives_owner); }
RINGSIDE_TEST(transport, zero_copy_messages_are_read_where_they_lie) { hold(t, check_zero_copy); }
RINGSIDE_TEST(transport, what_cannot_be_zero_copy_is_refused) { hold(t, check_no_zero_copy); }

RINGSIDE_TEST(transport, wrong_secret_is_refused_with_a_sentence) {
  for (const TransportUnderTest& it : transports()) {
    if (!it.asks_owner) continue;
    const auto owner = it.make(draw_secret()), other = it.make(draw_secret());
    const auto window = owner->expose(64, 1);
    const std::string sentence =
        error_of([&] { other->open(3, window->handle(), Deadline::after_seconds(5)); });
    CHECK_MSG(contains(sentence, "rank 3") && contains(sentence, "secret"), "%s: '%s'", it.name,
              sentence.c_str());
  }
}

RINGSIDE_TEST(transport, withdrawn_window_is_an_error_in_time) {
  for (const TransportUnderTest& it : transports()) {
    if (!it.asks_owner) continue;
    const Secret secret = draw_secret();
    auto owner = it.make(secret);
    const auto other = it.make(secret);
    auto window = owner->expose(64, 1);
    const WindowHandle handle = window->handle();
    window.reset();
    const auto open = [&] { other->open(2, handle, Deadline::after_seconds(5)); };
    const Clock::time_point start = Clock::now();
    CHECK(contains(error_of(open), "rank 2"));
    owner.reset();
    CHECK(contains(error_of(open), "rank 2"));
    CHECK(Clock::now() - start < std::chrono::seconds(5));
  }
}

RINGSIDE_TEST(transport, open_and_close_leave_nothing_behind) {
  for (const TransportUnderTest& it : shm_transports()) {
    // Once before counting: the first time may open something for good.
    check_payload(it);
    const std::size_t descriptors = open_descriptors(), mappings = memfd_mappings();
    for (int i = 0; i < 200; ++i) {
      const Pair pair(it, 4096);
      CHECK_MSG(memfd_mappings() > mappings, "%s: the mappings are not where we look", it.name);
    }
    CHECK_EQ(open_descriptors(), descriptors);
    CHECK_EQ(memfd_mappings(), mappings);
  }
}

// More than a file can hold. (More than the machine has is not tried: Linux hands out a memory
// file's pages until the last one is gone.)
RINGSIDE_TEST(transport, memory_that_cannot_be_had_is_an_error) {
  constexpr std::size_t kTooMuch = std::size_t{1} << 63;
  for (const TransportUnderTest& it : shm_transports()) {
    const auto transport = it.make(draw_secret());
    const std::size_t descriptors = open_descriptors();
    const std::string sentence = error_of([&] { transport->expose(kTooMuch, 1); });
    CHECK_MSG(contains(sentence, "shared memory"), "%s: '%s'", it.name, sentence.c_str());
    CHECK_EQ(open_descriptors(), descriptors);
  }
}

RINGSIDE_TEST(shm, strangers_get_nothing_and_stop_nobody) {
  if (kUnderTsan) SKIP("ThreadSanitizer does not see through two mappings of one page");
  const Secret secret = draw_secret();
  auto owner = kShmSocket.make(secret);
  const auto other = kShmSocket.make(secret);
  auto window = owner->expose(64, 1);
  MismatchedMessage silent(window->handle()), rude(window->handle()), brief(window->handle());
  REQUIRE(silent.connected && rude.connected && brief.connected);
  rude.say(std::vector<std::byte>(100'000, std::byte{0x5a}));
  brief.say({std::byte{1}});
  const Clock::time_point start = Clock::now();
  const auto peer = other->open(0, window->handle(), Deadline::after_seconds(10));
  CHECK(Clock::now() - start < std::chrono::seconds(3));
  peer->put(0, "x", 1);
  peer->signal(0, {1, 1});
  CHECK(wait_for({owner.get()}, window->cell(0), 1));
  CHECK(rude.listen() <= 0);
  CHECK(brief.listen() <= 0);
  window.reset();  // until its owner ends the silent one may stay
  owner.reset();
  CHECK(silent.listen() <= 0);
}

RINGSIDE_TEST(shm, right_length_but_wrong_secret_gets_no_descriptor) {
  const auto owner = kShmSocket.make(draw_secret());
  const auto window = owner->expose(64, 1);
  MismatchedMessage guesser(window->handle());
  REQUIRE(guesser.connected);
  // A window is asked for by the secret, what it is and its number.
  guesser.say(std::vector<std::byte>(sizeof(Secret) + 2 * sizeof(std::uint64_t)));
  CHECK(guesser.listen() <= 0);
}

// The control of the one above: with the secret, these very bytes get an answer.
RINGSIDE_TEST(shm, right_length_and_right_secret_get_an_answer) {
  const Secret secret = draw_secret();
  const auto owner = kShmSocket.make(secret);
  const auto window = owner->expose(64, 1);
  MismatchedMessage friendly(window->handle());
  REQUIRE(friendly.connected);
  std::vector<std::byte> words(sizeof(Secret) + 2 * sizeof(std::uint64_t));
  std::memcpy(words.data(), secret.data(), sizeof secret);
  friendly.say(words);
  CHECK(friendly.listen() > 0);
}

// A mistake of this rank's must not damage what is another's: the kernel itself does not write
// there.
RINGSIDE_TEST(shm, zero_copy_memory_can_only_be_read) {
  if (kUnderTsan) SKIP("ThreadSanitizer does not see through two mappings of one page");
  Pair pair(kShmSocket, 64);
  void* memory = allocate(4096);
  const ZeroCopyRef ref = Allocations::of_this_process().find(memory).from;
  const std::byte* foreign = read_exposed_from(*pair.to_left, ref, 4096);
  UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  REQUIRE(zero);
  CHECK_EQ(::read(zero.get(), memory, 1), 1);
  errno = 0;
  CHECK_EQ(::read(zero.get(), const_cast<std::byte*>(foreign), 1), -1);
  CHECK_EQ(errno, EFAULT);
  deallocate(memory);
}

// To map takes longer than to read. So mappings are kept, and those that were given back go when
// there would be more.
RINGSIDE_TEST(shm, mappings_for_zero_copy_are_kept_and_do_not_pile_up) {
  if (kUnderTsan) SKIP("ThreadSanitizer does not see through two mappings of one page");
  Pair pair(kShmSocket, 64);
  const std::size_t before = memfd_mappings(), descriptors = open_descriptors();
  std::vector<void*> owned;
  const auto read_exposed = [&](void* memory) {
    read_exposed_from(*pair.to_left, Allocations::of_this_process().find(memory).from, 100);
  };
  for (std::size_t i = 1; i <= 5; ++i) {
    owned.push_back(allocate(100'000));
    for (int again = 0; again < 3; ++again)
      for (void* memory : owned) read_exposed(memory);
    // The owner's and the reader's.
    CHECK_EQ(memfd_mappings(), before + 2 * i);
  }
  CHECK_EQ(open_descriptors(), descriptors + 5);
  for (void* memory : owned) deallocate(memory);
  CHECK_EQ(memfd_mappings(), before + 5);
  for (int i = 0; i < 20; ++i) {
    void* memory = allocate(100'000);
    read_exposed(memory);
    CHECK_EQ(memfd_mappings(), before + 2);
    deallocate(memory);
  }
  CHECK_EQ(open_descriptors(), descriptors);
  pair.to_left.reset();
  CHECK_EQ(memfd_mappings(), before - 1);  // its window, too
}

RINGSIDE_TEST(shm, owner_ends_while_a_stranger_is_silent) {
  auto owner = kShmSocket.make(draw_secret());
  auto window = owner->expose(64, 1);
  MismatchedMessage silent(window->handle());
  REQUIRE(silent.connected);
  const Clock::time_point start = Clock::now();
  // The server goes with the last of the two.
  owner.reset();
  window.reset();
  CHECK(Clock::now() - start < std::chrono::seconds(3));
  CHECK(silent.listen() <= 0);
}
