// Readers of connections: ranks that meet over TCP, and the control channel between them.
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "comm/bootstrap/origin.h"
#include "comm/bootstrap/tcp.h"
#include "comm/control/link.h"
#include "comm/control/wire.h"
#include "comm/error.h"
#include "comm/util/handshake.h"
#include "tests/fuzz/targets.h"

namespace ringside::test {
namespace {

// comm/bootstrap/rendezvous.cc
constexpr std::array<char, 8> kMagic = {'r', 'i', 'n', 'g', 's', 'i', 'd', '2'};
constexpr std::size_t kHelloBytes = 8 + sizeof(Origin), kWelcomeBytes = 472;

// What one rank of two hears from the other; the first byte says which rank it is, whether the
// other knows the job's secret, and whether it then says what lets a rank in.
struct Meeting {
  bool of_rank_0, knows_secret, is_let_in;
  std::string rest;
  const Secret secret{std::byte{7}};

  explicit Meeting(const std::string& bytes)
      : of_rank_0((bytes[0] & 1) != 0),
        knows_secret((bytes[0] & 2) != 0),
        is_let_in((bytes[0] & 4) != 0),
        rest(bytes.substr(1)) {}

  // What the other side says in this session: with the secret, damage is proved too.
  std::string said(Session session, Side side) const {
    if (!knows_secret) return rest;
    std::string words = rest;
    words.resize(side == Side::caller ? kHelloBytes : kWelcomeBytes);
    if (is_let_in) {
      const std::int32_t rank_and_size[] = {1, 2}, yes[] = {0, 0};
      std::memcpy(words.data(), side == Side::caller ? rank_and_size : yes, sizeof yes);
    }
    const Nonce nonce = side == Side::caller ? session.callers_nonce : Nonce{};
    const Digest proof = proof_of(secret, session, side, words.data(), words.size());
    std::string all(reinterpret_cast<const char*>(nonce.data()), nonce.size());
    all += words;
    all.append(reinterpret_cast<const char*>(proof.data()), proof.size());
    return all + rest;
  }

  TcpOptions options(int rank, int port) const {
    TcpOptions it;
    it.rank = rank;
    it.size = 2;
    it.port = port;
    it.secret = secret;
    return it;
  }
};

// Waits for what opens the conversation, says its part, and listens until the other closes: or what
// was said might be dropped unread.
void converse(UniqueFd socket, const Meeting& it, Side side, Deadline deadline) {
  Session session = begin_session(socket.get(), side, kMagic);
  std::vector<std::byte> heard(sizeof(Challenge));
  if (side == Side::listener) {
    send_first_words(socket.get(), session.challenge);
    heard.resize(sizeof(Nonce) + kHelloBytes + sizeof(Digest));
  }
  std::size_t sent = 0, received = 0;
  std::vector<pollfd> waiting = {{socket.get(), POLLIN, 0}};
  const auto listen = [&] {
    const Flow flow = receive_some(socket.get(), heard.data(), heard.size(), received);
    if (flow == Flow::blocked) poll_a_moment(waiting, deadline);
    return deadline.passed() ? Flow::gone : flow;
  };
  for (Flow flow = Flow::blocked; flow == Flow::blocked;) flow = listen();
  void* const first = side == Side::caller ? static_cast<void*>(&session.challenge)
                                           : static_cast<void*>(&session.callers_nonce);
  std::memcpy(first, heard.data(), side == Side::caller ? sizeof(Challenge) : sizeof(Nonce));
  const std::string words = it.said(session, side);
  send_some(socket.get(), words.data(), words.size(), sent);
  ::shutdown(socket.get(), SHUT_WR);
  heard.resize(1024);
  received = 0;
  for (Flow flow{}; flow != Flow::gone; flow = listen())
    if (flow == Flow::complete) received = 0;
}

// It must end, with an Error or with the other's eight bytes.
void meet(const TcpOptions& options, Deadline deadline) {
  try {
    const auto bootstrap = TcpBootstrap::start(options, deadline);
    std::uint64_t mine = 1, all[2];
    bootstrap->all_gather_bytes(&mine, sizeof mine, all, deadline);
    // Rank 1 believes what rank 0 says, of itself too.
    if (options.rank == 0 && all[0] != mine) throw Finding("a rank's own bytes have changed");
  } catch (const Error&) {
  }
}

}  // namespace

void fuzz_bootstrap(const std::string& bytes) {
  if (bytes.empty()) return;
  const Meeting it(bytes);
  // Who is sent away is waited for no longer than this.
  const Deadline deadline = Deadline::after_seconds(it.knows_secret ? 0.05 : 0.005);
  const auto start = Clock::now();
  UniqueFd listener;
  std::jthread other;  // joined first, as it uses all of the above
  if (it.of_rank_0) {
    TcpOptions options = it.options(0, 0);
    options.on_listening = [&](int port) {
      other = std::jthread([&, port] {
        int error = 0;
        UniqueFd socket = connect_once(resolve("127.0.0.1", port)[0], 1, {deadline}, error);
        if (socket) converse(std::move(socket), it, Side::caller, deadline);
      });
    };
    meet(options, deadline);
  } else {
    listener = listen_on(resolve("127.0.0.1", 0));
    const int port = local_address(listener.get()).port();
    other = std::jthread([&] {
      UniqueFd socket;
      for (int error = 0; !socket && !deadline.passed();)
        socket = accept_one(listener.get(), error);
      if (socket) converse(std::move(socket), it, Side::listener, deadline);
      listener = UniqueFd();
    });
    meet(it.options(1, port), deadline);
  }
  if (other.joinable()) other.join();
  if (Clock::now() - start > std::chrono::seconds(30))
    throw Finding("this took longer than allowed");
}

void fuzz_control(const std::string& bytes) {
  constexpr int kRanks = 4;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
    throw_system("cannot make a pair of sockets");
  ControlLink link{UniqueFd(ends[0])};
  UniqueFd other(ends[1]);
  std::size_t sent = 0;
  send_some(other.get(), bytes.data(), std::min(bytes.size(), std::size_t{100'000}), sent);
  other = UniqueFd();
  const auto page = std::make_unique<StatusPage>();
  for (ControlLink::Event event{}; event != ControlLink::Event::gone;) {
    event = link.receive();
    if (event == ControlLink::Event::nothing) break;
    if (event != ControlLink::Event::status || !makes_sense(link.status(), kRanks)) continue;
    update(*page, link.status(), 0);
    // All that a report reads.
    for (const Call& call : page->history()) describe(call.number, call.what);
    const std::optional<WaitNote> wait = page->wait();
    if (wait && (wait->peer < 0 || wait->peer >= kRanks)) throw Finding("a wait for no rank");
    if (page->state() == RankState::broken && std::strlen(page->cause().what()) > 4096)
      throw Finding("a cause without an end");
  }
}

}  // namespace ringside::test
