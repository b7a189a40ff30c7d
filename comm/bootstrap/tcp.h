// Bootstrap `tcp`: ranks are processes that find each other over TCP, with no MPI. A process learns
// its rank from RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun and tools/launch set
// them.
//
//               rank 0                 a star: every rank has one connection, to rank 0, and
//            ／   |   ＼               what they exchange goes to rank 0 and comes back whole
//      rank 1  rank 2  rank 3
//
// A star and not a ring, since bytes are few here and users want to learn early, and from one
// place, which rank is missing: rank 0 knows. How the star comes about, and whom it trusts, is in
// rendezvous.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/bootstrap/bootstrap.h"
#include "comm/bootstrap/origin.h"
#include "comm/error.h"
#include "comm/util/fd.h"
#include "comm/util/secret.h"

namespace ringside {

struct StopCondition;  // comm/util/tcp_socket.h

inline constexpr int kMostTcpRanks = 4096;

struct TcpOptions {
  int rank = 0;                       // RANK
  int size = 1;                       // WORLD_SIZE
  std::string address = "127.0.0.1";  // MASTER_ADDR: where rank 0 listens, and nowhere else
  // RINGSIDE_PORT, or else MASTER_PORT; but the one after it where torchrun's own store listens
  // there (TORCHELASTIC_USE_AGENT_STORE). Rank 0 may say 0 for any that is free.
  int port = 0;

  // RINGSIDE_SECRET=64 hexadecimal digits, or RINGSIDE_SECRET_FILE=a file that holds them and that
  // only its owner can read. Without a secret only loopback addresses are allowed: there, other
  // users of this host could still join, which is what a secret is for even then.
  std::optional<Secret> secret;

  // Of this process, unless a test says otherwise; looked at where there is no secret.
  std::optional<Origin> origin;

  // When set and non-zero, waits end with Error{interrupted}, as in Options.
  const std::atomic<int>* interrupted = nullptr;

  // Called by rank 0 once it listens, for tests that ask for port 0.
  std::function<void(int port)> on_listening;

  // As in Options, for every wait until all ranks are there and in their exchanges.
  double warn_s = 10;
  std::function<void(const std::string&)> on_warning;

  // So many may be connected at a time without having said who they are; then the oldest goes.
  std::size_t strangers_max = 256;

  // Throws Error{usage} with a sentence that names the variable.
  static TcpOptions from_environment();

  // Throws Error{usage} if a value is out of range.
  void check() const;
};

class TcpBootstrap : public Bootstrap {
 public:
  // Collective: returns when all ranks are there. Rank 0 may come last. Throws Error{usage, system,
  // timeout, interrupted, died, left, protocol, mismatch}; what rank 0 throws, the ranks that have
  // reached it throw too.
  static std::unique_ptr<TcpBootstrap> start(const TcpOptions& options, Deadline deadline);

  ~TcpBootstrap() override;
  TcpBootstrap(const TcpBootstrap&) = delete;
  TcpBootstrap& operator=(const TcpBootstrap&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const char* name() const override { return "tcp"; }
  std::string own_address() const override;

  // As in Bootstrap. A rank that has gone is named at once, on all ranks: Error{died}, or
  // Error{left} if it took its leave. Error{mismatch} if the ranks bring different numbers of
  // bytes. After any error every later call throws the same.
  void all_gather_bytes(const void* mine, std::size_t bytes, void* all, Deadline deadline) override;

 private:
  struct Frame;
  struct Inbox;

  TcpBootstrap(const TcpOptions& options, std::vector<UniqueFd> links);

  // Rank 0's part of an exchange.
  void serve(const void* mine, std::size_t bytes, std::byte* all, const StopCondition& stop);
  bool receive_from(int peer, Inbox& inbox, std::size_t bytes, std::byte* all);
  void send_note();
  void spread(const std::vector<std::byte>& message, const StopCondition& stop);

  // Everybody else's.
  void ask(const void* mine, std::size_t bytes, std::byte* all, const StopCondition& stop);
  void send_to_0(const std::vector<std::byte>& message, const StopCondition& stop);
  void receive_from_0(void* target, std::size_t bytes, const StopCondition& stop);
  [[noreturn]] void throw_what_0_says(const Frame& frame, const StopCondition& stop);

  std::string here() const;  // "rank 2, in start-up exchange #3"
  void say_last_words(const Error* cause) noexcept;

  const int rank_;
  const int size_;
  const std::atomic<int>* const interrupted_;
  const double warn_s_;
  const std::function<void(const std::string&)> on_warning_;
  std::vector<UniqueFd> links_;  // rank 0: one to each rank, by rank; others: [0], to rank 0
  std::uint64_t number_ = 0;     // of the exchange
  std::optional<Error> broken_;
};

}  // namespace ringside
