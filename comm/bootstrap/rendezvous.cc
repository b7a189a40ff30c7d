// Rank 0's reception of all others, and their way to it; the picture is in rendezvous.h.
#include "comm/bootstrap/rendezvous.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <type_traits>
#include <utility>

#include "comm/util/handshake.h"

namespace ringside {
namespace {

constexpr std::array<char, 8> kMagic = {'r', 'i', 'n', 'g', 's', 'i', 'd', '2'};
constexpr double kAttempt_s = 5;  // for one connection; an unanswered one is tried anew
constexpr int kFirstNapMs = 10, kLongestNapMs = 200;

struct Hello {
  std::int32_t rank = -1;
  std::int32_t size = 0;
  Origin origin;
};

struct Welcome {
  enum Kind : std::uint32_t { yes, not_yet, no };
  std::uint32_t kind = yes;
  std::uint32_t fault = 0;           // of a no
  std::array<char, 464> sentence{};  // why not, or not yet
};

// Without a secret it is zeros; then all that is proved is that both speak this protocol.
Secret secret_of(const TcpOptions& options) { return options.secret.value_or(Secret{}); }

Origin origin_of(const TcpOptions& options) {
  return options.origin ? *options.origin : my_origin();
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
  return those_of_rank_0(addresses);
}

class Reception {
 public:
  Reception(const TcpOptions& options, const StopCondition& stop)
      : options_(options),
        stop_(stop),
        callers_(listen_on(allowed_addresses(options)), "rank 0", secret_of(options), kMagic,
                 options.strangers_max),
        ranks_(static_cast<std::size_t>(options.size)) {
    if (options.on_listening) options.on_listening(local_address(callers_.listener()).port());
  }

  std::vector<UniqueFd> wait_for_all() {
    try {
      while (!ranks_that(false).empty()) {
        if (mind_the_time(stop_, [&] { return progress(); })) tell_all({.kind = Welcome::not_yet});
        look_around();
      }
    } catch (const Error& error) {
      tell_all(no_because(error));
      throw;
    }
    tell_all({.kind = Welcome::yes});
    std::vector<UniqueFd> links;
    for (Rank& it : ranks_) links.push_back(std::move(it.socket));
    return links;
  }

 private:
  struct Rank {
    UniqueFd socket;  // empty until it has come
    Session session;
  };

  // Those that have come, or have not.
  std::vector<int> ranks_that(bool have_come) const {
    std::vector<int> all;
    for (int rank = 1; rank < options_.size; ++rank)
      if (static_cast<bool>(ranks_[static_cast<std::size_t>(rank)].socket) == have_come)
        all.push_back(rank);
    return all;
  }

  std::string progress() const {
    const std::vector<int> come = ranks_that(true);
    return text(
        "rank 0 waited at %s for %s (%s%s%s%s)", local_address(callers_.listener()).words().c_str(),
        list_ranks(ranks_that(false)).c_str(), come.empty() ? "nobody" : list_ranks(come).c_str(),
        come.size() > 1 ? " have come" : " has come", callers_.strangers_in_words().c_str(),
        misfit_.c_str());
  }

  // Everything that can happen next, in one poll: nobody has to be waited for in particular.
  void look_around() {
    std::vector<pollfd> waiting;
    for (const Rank& it : ranks_) waiting.push_back({it.socket.get(), POLLIN, 0});
    callers_.add_to(waiting);
    poll_a_moment(waiting, stop_.deadline);
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
      if (waiting[rank].revents != 0) throw_gone(static_cast<int>(rank));
    callers_.receive([&](const Hello& hello, const Session& session, UniqueFd socket) {
      admit(hello, {std::move(socket), session});
    });
  }

  // A rank that has been admitted has nothing to say until all are there.
  [[noreturn]] void throw_gone(int rank) const {
    throw_error(
        Fault::died,
        "rank %d is gone: it had come, and its connection closed while rank 0 still waited for %s",
        rank, list_ranks(ranks_that(false)).c_str());
  }

  // With the secret whoever does not fit is one of us and has gone wrong; without one it may be a
  // rank of somebody else's, who is no reason to stop.
  void admit(const Hello& hello, Rank rank) {
    try {
      check_fits(hello);
    } catch (const Error& error) {
      tell(rank, no_because(error));
      if (options_.secret) throw;
      misfit_ = text("; one was sent away: %s", error.what());
      return;
    }
    if (stop_.warning != nullptr && stop_.warning->is_given())
      tell(rank, {.kind = Welcome::not_yet});
    ranks_[static_cast<std::size_t>(hello.rank)] = std::move(rank);
  }

  void check_fits(const Hello& hello) const {
    if (!options_.secret && !same_origin(hello.origin, origin_))
      throw_error(
          Fault::mismatch,
          "rank %d belongs to another job than rank 0, whom it has called (%s; rank 0: %s); "
          "give each job a MASTER_PORT of its own, or all ranks of one the same "
          "RINGSIDE_SECRET",
          hello.rank, words_of(hello.origin).c_str(), words_of(origin_).c_str());
    if (hello.size != options_.size)
      throw_error(Fault::mismatch,
                  "rank %d was started with WORLD_SIZE=%d and rank 0 with WORLD_SIZE=%d; give all "
                  "ranks of a job the same, and each job a MASTER_PORT of its own",
                  hello.rank, hello.size, options_.size);
    if (hello.rank < 0 || hello.rank >= options_.size)
      throw_error(Fault::mismatch, "a process says that it is rank %d, and there are ranks 0 to %d",
                  hello.rank, options_.size - 1);
    if (hello.rank == 0 || ranks_[static_cast<std::size_t>(hello.rank)].socket)
      throw_error(Fault::mismatch,
                  "two processes say that they are rank %d; give each a RANK of its own (or unset "
                  "RANK and WORLD_SIZE under mpirun)",
                  hello.rank);
  }

  Welcome no_because(const Error& error) const {
    Welcome no{.kind = Welcome::no, .fault = static_cast<std::uint32_t>(error.fault())};
    std::snprintf(no.sentence.data(), no.sentence.size(), "%s", error.what());
    return no;
  }

  void tell(const Rank& rank, Welcome welcome) const {
    if (welcome.kind == Welcome::not_yet)
      std::snprintf(welcome.sentence.data(), welcome.sentence.size(), "%s",
                    list_ranks(ranks_that(false)).c_str());
    send_proven(rank.socket.get(), secret_of(options_), rank.session, Side::listener, welcome);
  }
  void tell_all(const Welcome& welcome) const {
    for (const Rank& it : ranks_)
      if (it.socket) tell(it, welcome);
  }

  const TcpOptions& options_;
  const StopCondition& stop_;
  const Origin origin_ = origin_of(options_);
  Callers<Hello, Welcome> callers_;
  std::vector<Rank> ranks_;
  std::string misfit_;  // why one was sent away who was none of ours
};

// Whether rank 0 may yet be reached after this.
bool may_pass(int error) {
  constexpr std::array kPassing = {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH,  ENETUNREACH, ENETDOWN,
                                   ECONNRESET,   EHOSTDOWN, EADDRNOTAVAIL, EAGAIN,      EINTR};
  return std::find(kPassing.begin(), kPassing.end(), error) != kPassing.end();
}

// A rank on its way to rank 0.
class Caller {
 public:
  Caller(const TcpOptions& options, const StopCondition& stop)
      : options_(options), stop_(stop), addresses_(allowed_addresses(options)) {}

  UniqueFd reach_rank_0() {
    for (int nap_ms = kFirstNapMs;; nap_ms = std::min(2 * nap_ms, kLongestNapMs)) {
      if (UniqueFd socket = connect_somewhere())
        if (UniqueFd link = talk(std::move(socket))) return link;
      mind_the_time(stop_, [&] { return failure(); });
      ::poll(nullptr, 0, stop_.deadline.poll_ms(nap_ms));
    }
  }

 private:
  using ToRank0 = Calling<Hello, Welcome>;

  std::string failure() const {
    return text("rank %d tried to reach rank 0 (%s: %s)", options_.rank, where_.c_str(),
                why_.c_str());
  }

  UniqueFd connect_somewhere() {
    bool hope = false;
    for (const TcpAddress& address : addresses_) {
      int error = 0;
      where_ = address.words();
      if (UniqueFd link = connect_once(address, kAttempt_s, stop_, error)) return link;
      why_ = errno_words(error);
      hope |= may_pass(error);
      if (error == ECONNREFUSED && has_said_)
        throw_error(Fault::died,
                    "rank %d: rank 0 was at %s, hung up and no longer listens: it has died, or "
                    "started without this rank",
                    options_.rank, where_.c_str());
    }
    if (!hope) throw Error(Fault::system, failure());
    return {};
  }

  // Empty if the other side hung up without a word: it had no room, or was about to end.
  UniqueFd talk(UniqueFd socket) {
    ToRank0 call(std::move(socket), secret_of(options_), kMagic,
                 {.rank = options_.rank, .size = options_.size, .origin = origin_of(options_)});
    std::vector<pollfd> waiting = {{call.fd(), POLLIN, 0}};
    std::string waits_for;  // in rank 0's words
    for (;;) {
      const ToRank0::State state = call.step();
      if (call.has_said() && !std::exchange(has_said_, true) && stop_.warning != nullptr)
        stop_.warning->start_anew();
      if (state == ToRank0::State::hung_up) break;
      if (state == ToRank0::State::welcomed) {
        if (call.welcome().kind == Welcome::yes) return call.take_socket();
        waits_for = sentence_of(call.welcome());
        if (stop_.warning != nullptr) stop_.warning->leave_it();
        call.await_next();
        continue;
      }
      throw_if_hopeless(state);
      mind_the_time(stop_, [&] { return wait_in_words(state, waits_for); });
      poll_a_moment(waiting, stop_.deadline);
    }
    why_ = text("it took the connection and hung up, %d times", ++hang_ups_);
    return {};
  }

  std::string wait_in_words(ToRank0::State state, const std::string& waits_for) const {
    if (state == ToRank0::State::calls)
      return text(
          "rank %d reached %s, where nobody answers (is rank 0 stopped, or the port another "
          "program's?)",
          options_.rank, where_.c_str());
    if (waits_for.empty())
      return text(
          "rank %d reached rank 0 at %s, which has not answered since (it is stopped, or "
          "waits itself)",
          options_.rank, where_.c_str());
    return text("rank %d waited at %s, with rank 0, for %s", options_.rank, where_.c_str(),
                waits_for.c_str());
  }

  void throw_if_hopeless(ToRank0::State state) const {
    if (state == ToRank0::State::another_protocol)
      throw_error(Fault::protocol,
                  "rank %d: who listens at %s is no rank 0 of this version of ringside; choose "
                  "another MASTER_PORT (or RINGSIDE_PORT)",
                  options_.rank, where_.c_str());
    if (state == ToRank0::State::refused)
      throw_error(Fault::left,
                  "rank %d was sent away at %s; is RINGSIDE_SECRET the same for all ranks, and is "
                  "it this job's rank 0 that listens there?",
                  options_.rank, where_.c_str());
    if (state == ToRank0::State::impostor)
      throw_error(Fault::protocol,
                  "rank %d: who listens at %s does not know this job's secret; choose another "
                  "MASTER_PORT (or RINGSIDE_PORT)",
                  options_.rank, where_.c_str());
  }

  // Throws what a no says.
  std::string sentence_of(Welcome welcome) const {
    welcome.sentence.back() = '\0';
    if (welcome.kind == Welcome::no)
      throw_error(fault_from(welcome.fault), "rank %d cannot start: %s", options_.rank,
                  welcome.sentence.data());
    return welcome.sentence.data();
  }

  const TcpOptions& options_;
  const StopCondition& stop_;
  const std::vector<TcpAddress> addresses_;
  std::string where_, why_ = "no address";
  bool has_said_ = false;  // who it is, to rank 0
  int hang_ups_ = 0;
};

}  // namespace

std::vector<TcpAddress> those_of_rank_0(const std::vector<TcpAddress>& addresses) {
  for (const TcpAddress& it : addresses)
    if (it.is_of_this_host()) return {it};
  return addresses;
}

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
  return Caller(options, stop).reach_rank_0();
}

}  // namespace ringside
