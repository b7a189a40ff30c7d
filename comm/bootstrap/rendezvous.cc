// Rank 0's reception of all others, and their way to it; the picture is in rendezvous.h.
#include "comm/bootstrap/rendezvous.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

#include "comm/util/handshake.h"

namespace ringside {
namespace {

constexpr std::array<char, 8> kMagic = {'r', 'i', 'n', 'g', 's', 'i', 'd', 'e'};
constexpr std::uint32_t kVersion = 1;
constexpr double kAttempt_s = 5;  // for one connection; an unanswered one is tried anew
constexpr int kFirstNapMs = 10, kLongestNapMs = 200;

struct Hello {
  Credential proof;
  std::uint32_t version = kVersion;
  std::int32_t rank = -1;
  std::int32_t size = 0;
  std::uint32_t unused = 0;
};
static_assert(sizeof(Hello) == 56 && std::is_trivially_copyable_v<Hello>);

struct Welcome {
  Credential proof;
  std::uint32_t refused = 0;
  std::uint32_t fault = 0;  // if refused
  std::array<char, 464> sentence{};
};
static_assert(sizeof(Welcome) == 512 && std::is_trivially_copyable_v<Welcome>);

// Without a secret it is zeros; then the magic alone keeps out who came by mistake.
Credential credential_of(Side side, const TcpOptions& options) {
  return credential(options.secret.value_or(Secret{}), side, kMagic);
}

// What MASTER_ADDR stands for, if the job may use it.
std::vector<TcpAddress> allowed_addresses(const TcpOptions& options) {
  std::vector<TcpAddress> addresses = resolve(options.address, options.port);
  for (const TcpAddress& it : addresses) {
    if (it.is_every_interface())
      throw_error(Fault::usage,
                  "MASTER_ADDR=%s stands for every interface of a host, strangers' side included; "
                  "name the address that the job is to use",
                  options.address.c_str());
    if (!options.secret && !it.is_loopback())
      throw_error(Fault::usage,
                  "MASTER_ADDR=%s is reached from other hosts, which takes a secret: set "
                  "RINGSIDE_SECRET (or RINGSIDE_SECRET_FILE) alike for all ranks, to what 'openssl "
                  "rand -hex 32' prints, or use 127.0.0.1",
                  options.address.c_str());
  }
  return addresses;
}

class Reception {
 public:
  Reception(const TcpOptions& options, const StopCondition& stop)
      : options_(options),
        stop_(stop),
        callers_(listen_on(allowed_addresses(options)), "rank 0",
                 credential_of(Side::caller, options), {options.hello_s, options.strangers_max}),
        ranks_(static_cast<std::size_t>(options.size)) {
    if (options.on_listening) options.on_listening(local_address(callers_.listener()).port());
  }

  std::vector<UniqueFd> wait_for_all() {
    try {
      while (!missing().empty()) {
        throw_if_over(stop_, [&] {
          return text("rank 0 waited at %s for %s",
                      local_address(callers_.listener()).words().c_str(),
                      list_ranks(missing()).c_str());
        });
        look_around();
      }
    } catch (const Error& error) {
      for (const UniqueFd& rank : ranks_)
        if (rank) refuse(rank.get(), error);
      throw;
    }
    for (const UniqueFd& rank : ranks_)
      if (rank)
        send_first_words(rank.get(), Welcome{.proof = credential_of(Side::listener, options_)});
    return std::move(ranks_);
  }

 private:
  std::vector<int> missing() const {
    std::vector<int> all;
    for (int rank = 1; rank < options_.size; ++rank)
      if (!ranks_[static_cast<std::size_t>(rank)]) all.push_back(rank);
    return all;
  }

  // Everything that can happen next, in one poll: nobody has to be waited for in particular.
  void look_around() {
    std::vector<pollfd> waiting;
    for (const UniqueFd& rank : ranks_) waiting.push_back({rank.get(), POLLIN, 0});
    callers_.add_to(waiting);
    poll_a_moment(waiting, stop_.deadline);
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
      if (waiting[rank].revents != 0) throw_gone(static_cast<int>(rank));
    callers_.receive([&](const Hello& hello, UniqueFd socket) { admit(hello, std::move(socket)); });
  }

  // A rank that has been admitted has nothing to say until all are there.
  [[noreturn]] void throw_gone(int rank) const {
    throw_error(
        Fault::died,
        "rank %d is gone: it had come, and its connection closed while rank 0 still waited for %s",
        rank, list_ranks(missing()).c_str());
  }

  void admit(const Hello& hello, UniqueFd socket) {
    try {
      check_fits(hello);
    } catch (const Error& error) {
      refuse(socket.get(), error);
      throw;
    }
    ranks_[static_cast<std::size_t>(hello.rank)] = std::move(socket);
  }

  void check_fits(const Hello& hello) const {
    if (hello.version != kVersion)
      throw_error(Fault::mismatch,
                  "a rank speaks version %u of the start-up protocol and rank 0 version %u; run "
                  "the same build everywhere",
                  hello.version, kVersion);
    if (hello.size != options_.size)
      throw_error(Fault::mismatch,
                  "rank %d was started with WORLD_SIZE=%d and rank 0 with WORLD_SIZE=%d; give all "
                  "ranks of a job the same, and each job a MASTER_PORT of its own",
                  hello.rank, hello.size, options_.size);
    if (hello.rank < 0 || hello.rank >= options_.size)
      throw_error(Fault::mismatch, "a process says that it is rank %d, and there are ranks 0 to %d",
                  hello.rank, options_.size - 1);
    if (hello.rank == 0 || ranks_[static_cast<std::size_t>(hello.rank)])
      throw_error(Fault::mismatch,
                  "two processes say that they are rank %d; give each a RANK of its own (or unset "
                  "RANK and WORLD_SIZE under mpirun)",
                  hello.rank);
  }

  void refuse(int socket, const Error& error) const {
    Welcome no{.proof = credential_of(Side::listener, options_), .refused = 1};
    no.fault = static_cast<std::uint32_t>(error.fault());
    std::snprintf(no.sentence.data(), no.sentence.size(), "%s", error.what());
    send_first_words(socket, no);
  }

  const TcpOptions& options_;
  const StopCondition& stop_;
  Callers<Hello> callers_;
  std::vector<UniqueFd> ranks_;
};

// Whether rank 0 may yet be reached after this.
bool may_pass(int error) {
  constexpr std::array kPassing = {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH,  ENETUNREACH, ENETDOWN,
                                   ECONNRESET,   EHOSTDOWN, EADDRNOTAVAIL, EAGAIN,      EINTR};
  return std::find(kPassing.begin(), kPassing.end(), error) != kPassing.end();
}

UniqueFd connect_patiently(const TcpOptions& options, const StopCondition& stop) {
  const std::vector<TcpAddress> addresses = allowed_addresses(options);
  for (int nap_ms = kFirstNapMs;; nap_ms = std::min(2 * nap_ms, kLongestNapMs)) {
    std::string why = "no address";
    bool hope = false;
    for (const TcpAddress& address : addresses) {
      int error = 0;
      if (UniqueFd link = connect_once(address, kAttempt_s, stop, error)) return link;
      why = address.words() + ": " + std::strerror(error);
      hope |= may_pass(error);
    }
    const auto what = [&] {
      return text("rank %d tried to reach rank 0 (%s)", options.rank, why.c_str());
    };
    if (!hope) throw Error(Fault::system, what());
    throw_if_over(stop, what);
    ::poll(nullptr, 0, stop.deadline.poll_ms(nap_ms));
  }
}

Welcome receive_welcome(int link, const TcpOptions& options, const StopCondition& stop) {
  const std::string where = text("%s:%d", options.address.c_str(), options.port);
  Welcome welcome;
  std::vector<pollfd> waiting = {{link, POLLIN, 0}};
  for (std::size_t received = 0;;) {
    const Flow flow = receive_some(link, &welcome, sizeof welcome, received);
    if (flow == Flow::complete) break;
    if (flow == Flow::gone)
      throw_error(
          Fault::left,
          "rank %d: %s took the connection and closed it without a word; is RINGSIDE_SECRET the "
          "same for all ranks, and is it this job's rank 0 that listens there?",
          options.rank, where.c_str());
    throw_if_over(stop, [&] {
      return text("rank %d reached %s and waited there for all other ranks to come", options.rank,
                  where.c_str());
    });
    poll_a_moment(waiting, stop.deadline);
  }
  if (welcome.proof != credential_of(Side::listener, options))
    throw_error(
        Fault::protocol,
        "rank %d: who listens at %s does not know this job's secret; choose another MASTER_PORT",
        options.rank, where.c_str());
  welcome.sentence.back() = '\0';
  return welcome;
}

}  // namespace

std::string list_ranks(const std::vector<int>& ranks) {
  constexpr std::size_t kMostListed = 8;
  std::string words = ranks.size() == 1 ? "rank" : "ranks";
  for (std::size_t i = 0; i < ranks.size() && i < kMostListed; ++i)
    words += text("%s %d", i == 0 ? "" : ",", ranks[i]);
  if (ranks.size() > kMostListed) words += text(" and %zu more", ranks.size() - kMostListed);
  return words;
}

Fault fault_from(std::uint32_t number) {
  const bool known = number <= static_cast<std::uint32_t>(Fault::system);
  return known ? static_cast<Fault>(number) : Fault::protocol;
}

std::vector<UniqueFd> receive_ranks(const TcpOptions& options, const StopCondition& stop) {
  return Reception(options, stop).wait_for_all();
}

UniqueFd call_rank_0(const TcpOptions& options, const StopCondition& stop) {
  UniqueFd link = connect_patiently(options, stop);
  send_first_words(link.get(), Hello{.proof = credential_of(Side::caller, options),
                                     .rank = options.rank,
                                     .size = options.size});
  const Welcome welcome = receive_welcome(link.get(), options, stop);
  if (welcome.refused != 0)
    throw_error(fault_from(welcome.fault), "rank %d cannot start: %s", options.rank,
                welcome.sentence.data());
  return link;
}

}  // namespace ringside
