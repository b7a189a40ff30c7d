// Calling the ranks below, being called by those above; the picture is in connect.h.
#include "comm/control/connect.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <type_traits>
#include <utility>

#include "comm/bootstrap/rendezvous.h"
#include "comm/error.h"

namespace ringside {
namespace {

constexpr std::array<char, 8> kMagic = {'r', 's', 'c', 't', 'r', 'l', '0', '2'};
constexpr double kAttempt_s = 20;  // for one connection
constexpr double kProbe_s = 1;

struct Hello {
  std::int32_t rank = -1;
};
struct Welcome {
  std::uint32_t yes = 1;
};

std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

class Mesh {
 public:
  Mesh(int rank, UniqueFd listener, const std::vector<TcpAddress>& addresses, const Secret& secret,
       const StopCondition& stop, std::size_t strangers_max)
      : rank_(rank),
        addresses_(addresses),
        secret_(secret),
        stop_(stop),
        callers_(std::move(listener), text("rank %d", rank), secret, kMagic, strangers_max),
        links_(addresses.size()) {}

  std::vector<UniqueFd> connect() {
    for (int peer = 0; peer < rank_; ++peer) called_.push_back({peer, call(peer)});
    while (!missing().empty()) {
      mind_the_time(stop_, [&] {
        return text("rank %d waited for the control connections of %s%s", rank_,
                    list_ranks(missing()).c_str(), callers_.strangers_in_words().c_str());
      });
      look_around();
      if (next_probe_.passed()) look_after_missing();
    }
    return std::move(links_);
  }

 private:
  using ToPeer = Calling<Hello, Welcome>;

  // Somebody who was called and has not answered yet.
  struct Called {
    int peer;
    ToPeer call;
    bool is_over = false;
  };

  std::vector<int> missing() const {
    std::vector<int> all;
    for (int peer = 0; peer < static_cast<int>(links_.size()); ++peer)
      if (peer != rank_ && !links_[index(peer)]) all.push_back(peer);
    return all;
  }

  void throw_if_refused(int peer, int error) const {
    if (error == ECONNREFUSED)
      throw_error(Fault::left,
                  "rank %d takes no control connection of rank %d any more: its own start has "
                  "failed",
                  peer, rank_);
  }

  ToPeer call(int peer) const {
    int error = 0;
    const TcpAddress& address = addresses_[index(peer)];
    UniqueFd socket = connect_once(address, kAttempt_s, stop_, error);
    throw_if_refused(peer, error);
    if (!socket)
      throw_error(Fault::system,
                  "rank %d cannot reach rank %d at %s, for their control connection: %s", rank_,
                  peer, address.words().c_str(), errno_words(error).c_str());
    return ToPeer(std::move(socket), secret_, kMagic, {.rank = rank_});
  }

  // A rank above that has failed will never call, and no longer listens. (One that has all its
  // connections does not either; but among them is this rank's.)
  void look_after_missing() {
    for (const int peer : missing()) {
      int error = 0;
      if (peer > rank_) connect_once(addresses_[index(peer)], kProbe_s, stop_, error);
      throw_if_refused(peer, error);
    }
    next_probe_ = Deadline::after_seconds(kProbe_s);
  }

  void look_around() {
    std::vector<pollfd> waiting;
    for (const Called& it : called_) waiting.push_back({it.call.fd(), POLLIN, 0});
    callers_.add_to(waiting);
    poll_a_moment(waiting, stop_.deadline);
    for (std::size_t i = 0, count = called_.size(); i < count; ++i) hear(called_[i]);
    std::erase_if(called_, [](const Called& it) { return it.is_over; });
    callers_.receive([&](const Hello& hello, const Session& session, UniqueFd socket) {
      admit(hello, session, std::move(socket));
    });
  }

  void hear(Called& it) {
    const ToPeer::State state = it.call.step();
    if (state == ToPeer::State::calls || state == ToPeer::State::has_said) return;
    if (state == ToPeer::State::welcomed) {
      links_[index(it.peer)] = it.call.take_socket();
      it.is_over = true;
    } else if (state == ToPeer::State::hung_up) {
      ::poll(nullptr, 0, 10);  // it may have been too crowded
      it.call = call(it.peer);
    } else {
      throw_error(
          Fault::protocol,
          "rank %d: who listens at %s, in rank %d's place, does not know the communicator's "
          "secret",
          rank_, addresses_[index(it.peer)].words().c_str(), it.peer);
    }
  }

  // A caller that knows the secret and yet is no rank that is waited for is sent away, too.
  void admit(const Hello& hello, const Session& session, UniqueFd socket) {
    if (hello.rank <= rank_ || index(hello.rank) >= links_.size() || links_[index(hello.rank)])
      return;
    send_proven(socket.get(), secret_, session, Side::listener, Welcome{});
    links_[index(hello.rank)] = std::move(socket);
  }

  const int rank_;
  const std::vector<TcpAddress>& addresses_;
  const Secret& secret_;
  const StopCondition& stop_;
  Callers<Hello, Welcome> callers_;
  std::vector<UniqueFd> links_;
  std::vector<Called> called_;
  Deadline next_probe_ = Deadline::after_seconds(kProbe_s);
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
                                   const StopCondition& stop, std::size_t strangers_max) {
  return Mesh(rank, std::move(listener), addresses, secret, stop, strangers_max).connect();
}

}  // namespace ringside
