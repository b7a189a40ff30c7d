// Calling the ranks below, being called by those above; the picture is in connect.h.
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
  Credential proof;
  std::int32_t rank = -1;
  std::uint32_t unused = 0;
};
static_assert(sizeof(Hello) == 48 && std::is_trivially_copyable_v<Hello>);

struct Welcome {
  Credential proof;
};
static_assert(sizeof(Welcome) == 40 && std::is_trivially_copyable_v<Welcome>);

std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

class Mesh {
 public:
  Mesh(int rank, UniqueFd listener, const std::vector<TcpAddress>& addresses, const Secret& secret,
       const StopCondition& stop, const StrangerLimits& limits)
      : rank_(rank),
        addresses_(addresses),
        secret_(secret),
        stop_(stop),
        callers_(std::move(listener), text("rank %d", rank),
                 credential(secret, Side::caller, kMagic), limits),
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
      throw_error(Fault::system,
                  "rank %d cannot reach rank %d at %s, for their control connection: %s", rank_,
                  peer, address.words().c_str(), std::strerror(error));
    send_first_words(socket.get(),
                     Hello{.proof = credential(secret_, Side::caller, kMagic), .rank = rank_});
    called_.push_back({peer, std::move(socket)});
  }

  void look_around() {
    std::vector<pollfd> waiting;
    for (const Called& it : called_) waiting.push_back({it.socket.get(), POLLIN, 0});
    callers_.add_to(waiting);
    poll_a_moment(waiting, stop_.deadline);
    for (Called& it : called_) receive_welcome(it);
    std::erase_if(called_, [](const Called& it) { return !it.socket; });
    callers_.receive([&](const Hello& hello, UniqueFd socket) { admit(hello, std::move(socket)); });
  }

  void receive_welcome(Called& it) {
    const Flow flow = receive_some(it.socket.get(), &it.welcome, sizeof it.welcome, it.received);
    if (flow == Flow::blocked) return;
    if (flow == Flow::gone)
      throw_error(Fault::left,
                  "rank %d has taken rank %d's control connection and closed it without a word: "
                  "its own start has failed",
                  it.peer, rank_);
    if (it.welcome.proof != credential(secret_, Side::listener, kMagic))
      throw_error(
          Fault::protocol,
          "rank %d: who listens at %s, in rank %d's place, does not know the communicator's secret",
          rank_, addresses_[index(it.peer)].words().c_str(), it.peer);
    links_[index(it.peer)] = std::move(it.socket);
  }

  // A caller that knows the secret and yet is no rank that is waited for is sent away, too.
  void admit(const Hello& hello, UniqueFd socket) {
    if (hello.rank <= rank_ || index(hello.rank) >= links_.size() || links_[index(hello.rank)])
      return;
    send_first_words(socket.get(), Welcome{credential(secret_, Side::listener, kMagic)});
    links_[index(hello.rank)] = std::move(socket);
  }

  const int rank_;
  const std::vector<TcpAddress>& addresses_;
  const Secret& secret_;
  const StopCondition& stop_;
  Callers<Hello> callers_;
  std::vector<UniqueFd> links_;
  std::vector<Called> called_;
};

}  // namespace

std::string control_host(const std::vector<PeerInfo>& everyone, const Bootstrap& bootstrap) {
  if (on_one_host(everyone)) return "127.0.0.1";
  std::string host = bootstrap.own_address();
  if (host.empty())
    throw_error(
        Fault::system,
        "the ranks are on several hosts, and the bootstrap %s does not know by which address they "
        "reach this one; start them with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT",
        bootstrap.name());
  return host;
}

std::vector<UniqueFd> connect_mesh(int rank, UniqueFd listener,
                                   const std::vector<TcpAddress>& addresses, const Secret& secret,
                                   const StopCondition& stop, const StrangerLimits& limits) {
  return Mesh(rank, std::move(listener), addresses, secret, stop, limits).connect();
}

}  // namespace ringside
