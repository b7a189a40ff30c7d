// Hands this rank's memory file descriptors to peers that know the job's secret.
//
//     peer                                     this rank's server thread
//       connect to an abstract Unix socket  ──▶  accept; same user? (SO_PEERCRED)
//       {secret, which memory}              ──▶  right secret? known memory?
//       {ok} + descriptor (SCM_RIGHTS)      ◀──
//
// Why a socket and not a name under /dev/shm: an abstract socket and an anonymous memory file
// vanish with the last process that holds them, even after kill -9, and a container's 64 MB limit
// on /dev/shm does not count.
//
// Why a thread: opening a window is one-sided, its owner may be busy computing. The thread sleeps
// in poll(2) and costs nothing until somebody connects.
//
// Nobody is hung up on for being slow: a peer on a busy machine may be kept from running between
// any two of its lines. Those who are connected and silent wait beside each other, and when they
// are too many the oldest goes. Who was hung up on before it was heard comes again.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "comm/util/deadline.h"
#include "comm/util/fd.h"
#include "comm/util/secret.h"

namespace ringside {

// An abstract Unix socket's name: random, so nobody can guess or squat it.
using SocketName = std::array<std::byte, 16>;

class FdServer {
 public:
  // Starts listening. Throws Error{system}.
  explicit FdServer(const Secret& secret);
  ~FdServer();
  FdServer(const FdServer&) = delete;
  FdServer& operator=(const FdServer&) = delete;

  const SocketName& name() const { return name_; }

  // From now on `fd` is handed out for `window`. (Allocations, allocations.h, are handed out as
  // long as they are there, without being offered.) The descriptor stays the caller's and outlives
  // withdraw().
  void offer(std::uint32_t window, int fd);
  void withdraw(std::uint32_t window);

 private:
  void serve();
  void take_in(std::vector<UniqueFd>& silent);
  void turn_away();
  bool answer(int connection);

  Secret secret_;
  SocketName name_;
  UniqueFd listener_;
  UniqueFd stop_;
  UniqueFd spare_;    // given up to accept, and turn away, a peer when descriptors have run out
  std::mutex mutex_;  // guards offered_
  std::map<std::uint32_t, int> offered_;
  std::thread thread_;
};

// What a peer can ask for: a window, or an allocation.
enum class Shared : std::uint64_t { window, allocation };

// The other side: asks the server `name` for a memory by its number. `owner` names the rank in
// sentences.
class FdRequest {
 public:
  FdRequest(const SocketName& name, const Secret& secret, Shared kind, std::uint64_t number,
            int owner);

  // The descriptor, or an empty one if it has not come yet; waits for it for at most `wait_ms`.
  // Throws Error{system, protocol}.
  UniqueFd poll(int wait_ms = 0);

  std::uint64_t number() const { return number_; }

 private:
  enum class Stage { calls, has_asked, was_too_slow };
  void start_anew();
  bool ask();
  UniqueFd checked(UniqueFd fd) const;
  void throw_if_full_for_long();

  SocketName name_;
  Secret secret_;
  Shared kind_;
  std::uint64_t number_;
  int owner_;
  UniqueFd socket_;
  Stage stage_ = Stage::calls;
  std::optional<Deadline> full_until_;  // since the owner said that it is
};

// The same, and waits for the answer. Throws Error{system, protocol, timeout}.
UniqueFd fetch_fd(const SocketName& name, const Secret& secret, Shared kind, std::uint64_t number,
                  int owner, Deadline deadline);

}  // namespace ringside
