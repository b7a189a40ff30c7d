// Calling the ranks below, being called by those above; the picture is in control_mesh.h.
#include "comm/control/connect.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

#include "comm/bootstrap/rendezvous.h"
#include "comm/error.h"

namespace ringside {
namespace {

constexpr std::array<char, 8> kMagic = {'r', 's', 'c', 't', 'r', 'l', '0', '1'};
constexpr double kAttempt_s = 20;  // for one connection

struct Hello {
  Secret proof{};  // first, since nothing behind it counts until it is right
  std::array<char, 8> magic = kMagic;
  std::int32_t rank = -1;
  std::uint32_t unused = 0;
};
static_assert(sizeof(Hello) == 48 && std::is_trivially_copyable_v<Hello>);

struct Welcome {
  Secret proof{};
  std::array<char, 8> magic = kMagic;
};
static_assert(sizeof(Welcome) == 40 && std::is_trivially_copyable_v<Welcome>);

std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

class Mesh {
 public:
  Mesh(int rank, UniqueFd listener, const std::vector<TcpAddress>& addresses, const Secret& secret,
       const StopCondition& stop, const MeshLimits& limits)
      : rank_(rank),
        listener_(std::move(listener)),
        addresses_(addresses),
        secret_(secret),
        stop_(stop),
        limits_(limits),
        links_(addresses.size()) {}

  std::vector<UniqueFd> connect() {
    for (int peer = 0; peer < rank_; ++peer) call(peer);
    while (!missing().empty()) {
      throw_if_over(stop_, [&] {
        return text("rank %d waited for the control connections of %s", rank_,
                    list_ranks(missing()).c_str());
      });
      look_around();
    }
    return std::move(links_);
  }

 private:
  // Somebody who has called and not said who he is yet.
  struct Caller {
    UniqueFd socket;  // empty once the caller has been admitted or sent away
    Deadline until;
    Hello hello{};
    std::size_t received = 0;
  };
  // Somebody who was called and has not answered yet.
  struct Called {
    int peer;
    UniqueFd socket;
    Welcome welcome{};
    std::size_t received = 0;
  };

  std::vector<int> missing() const {
    std::vector<int> all;
    for (int peer = 0; peer < static_cast<int>(links_.size()); ++peer)
      if (peer != rank_ && !links_[index(peer)]) all.push_back(peer);
    return all;
  }

  void call(int peer) {
    int error = 0;
    const TcpAddress& address = addresses_[index(peer)];
    UniqueFd socket = connect_once(address, kAttempt_s, stop_, error);
    if (!socket)
      throw Error(Fault::system,
                  text("rank %d cannot reach rank %d at %s, for their control connection: %s",
                       rank_, peer, address.words().c_str(), std::strerror(error)));
    Hello hello;
    hello.proof = proof_of(secret_, Side::caller);
    hello.rank = rank_;
    // A fresh connection's buffer takes these few bytes whole.
    std::size_t sent = 0;
    send_some(socket.get(), &hello, sizeof hello, sent);
    called_.push_back({peer, std::move(socket)});
  }

  void look_around() {
    std::vector<pollfd> waiting;
    const bool room = callers_.size() < limits_.strangers_max;
    waiting.push_back({room ? listener_.get() : -1, POLLIN, 0});
    for (const Called& it : called_) waiting.push_back({it.socket.get(), POLLIN, 0});
    for (const Caller& it : callers_) waiting.push_back({it.socket.get(), POLLIN, 0});
    poll_a_moment(waiting, stop_.deadline);
    for (Called& it : called_) hear(it);
    for (Caller& it : callers_) hear(it);
    std::erase_if(called_, [](const Called& it) { return !it.socket; });
    std::erase_if(callers_, [](const Caller& it) { return !it.socket; });
    if (waiting[0].revents == 0) return;
    if (UniqueFd socket = accept_one(listener_.get(), text("rank %d", rank_)))
      callers_.push_back({std::move(socket), Deadline::after_seconds(limits_.hello_s)});
  }

  void hear(Called& it) {
    const Flow flow = receive_some(it.socket.get(), &it.welcome, sizeof it.welcome, it.received);
    if (flow == Flow::blocked) return;
    if (flow == Flow::gone)
      throw Error(Fault::left, text("rank %d has taken rank %d's control connection and closed it "
                                    "without a word: its own start has failed",
                                    it.peer, rank_));
    if (!same_secret(it.welcome.proof, proof_of(secret_, Side::listener)) ||
        it.welcome.magic != kMagic)
      throw Error(Fault::protocol,
                  text("rank %d: who listens at %s, in rank %d's place, does not know the "
                       "communicator's secret",
                       rank_, addresses_[index(it.peer)].words().c_str(), it.peer));
    links_[index(it.peer)] = std::move(it.socket);
  }

  void hear(Caller& it) {
    const Flow flow = receive_some(it.socket.get(), &it.hello, sizeof it.hello, it.received);
    if (flow == Flow::blocked && !it.until.passed()) return;
    UniqueFd socket = std::move(it.socket);
    if (flow == Flow::complete && fits(it.hello)) welcome(it.hello.rank, std::move(socket));
    // else: a stranger, gone, or silent for too long; closed here, without a word
  }

  bool fits(const Hello& hello) const {
    return same_secret(hello.proof, proof_of(secret_, Side::caller)) && hello.magic == kMagic &&
           hello.rank > rank_ && index(hello.rank) < links_.size() && !links_[index(hello.rank)];
  }

  void welcome(int peer, UniqueFd socket) {
    Welcome words;
    words.proof = proof_of(secret_, Side::listener);
    std::size_t sent = 0;
    send_some(socket.get(), &words, sizeof words, sent);
    links_[index(peer)] = std::move(socket);
  }

  const int rank_;
  const UniqueFd listener_;
  const std::vector<TcpAddress>& addresses_;
  const Secret& secret_;
  const StopCondition& stop_;
  const MeshLimits& limits_;
  std::vector<UniqueFd> links_;
  std::vector<Called> called_;
  std::vector<Caller> callers_;
};

}  // namespace

std::string control_host(const std::vector<PeerInfo>& everyone, const Bootstrap& bootstrap) {
  if (on_one_host(everyone)) return "127.0.0.1";
  std::string host = bootstrap.own_address();
  if (host.empty())
    throw Error(Fault::system,
                text("the ranks are on several hosts, and the bootstrap %s does not know by which "
                     "address they reach this one; start them with RANK, WORLD_SIZE, MASTER_ADDR "
                     "and MASTER_PORT",
                     bootstrap.name()));
  return host;
}

std::vector<UniqueFd> connect_mesh(int rank, UniqueFd listener,
                                   const std::vector<TcpAddress>& addresses, const Secret& secret,
                                   const StopCondition& stop, const MeshLimits& limits) {
  return Mesh(rank, std::move(listener), addresses, secret, stop, limits).connect();
}

}  // namespace ringside
