// The proofs of the handshake: that they are what the standards say, and that they cannot be taken
// from one connection to another.
#include "comm/util/handshake.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "comm/bootstrap/rendezvous.h"
#include "comm/util/hmac.h"
#include "tests/bootstrap/tcp_job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

Secret key_of(const std::string& bytes) {
  Secret key{};  // HMAC pads shorter keys with zeros, too
  std::memcpy(key.data(), bytes.data(), bytes.size());
  return key;
}

template <class Bytes>
std::string hex_of(const Bytes& bytes) {
  std::string digits;
  for (const auto byte : bytes) digits += text("%02x", static_cast<unsigned>(byte) & 0xff);
  return digits;
}

// Passes on what two ends say to each other, until one of them hangs up.
void relay(const UniqueFd& a, const UniqueFd& b) {
  const Deadline deadline = soon();
  std::vector<pollfd> waiting = {{a.get(), POLLIN, 0}, {b.get(), POLLIN, 0}};
  const auto pass_on = [](int from, int to) {
    char bytes[4096];
    std::size_t received = 0, sent = 0;
    const Flow flow = receive_some(from, bytes, sizeof bytes, received);
    if (received > 0) send_some(to, bytes, received, sent);
    return flow != Flow::gone;
  };
  while (!deadline.passed() && pass_on(a.get(), b.get()) && pass_on(b.get(), a.get()))
    poll_a_moment(waiting, deadline);
}

UniqueFd accept_soon(const UniqueFd& listener) {
  UniqueFd connection;
  std::vector<pollfd> waiting = {{listener.get(), POLLIN, 0}};
  for (int error = 0; !connection; connection = accept_one(listener.get(), error))
    poll_a_moment(waiting, soon());
  return connection;
}

// Somebody who listens in rank 0's place says these words, and then, once he has heard some, those;
// or goes.
struct Impostor {
  std::string heard;
  Ending rank;

  Impostor(const TcpJob& job, const std::string& first, const std::string& then) {
    UniqueFd listener = listen_on(resolve("127.0.0.1", 0));
    const TcpOptions options = job.options(1, local_address(listener.get()).port());
    std::thread caller([&] { rank = ending_of([&] { TcpBootstrap::start(options, soon()); }); });
    UniqueFd connection = accept_soon(listener);
    std::size_t sent = 0, sent_then = 0, received = 0;
    send_some(connection.get(), first.data(), first.size(), sent);
    std::vector<pollfd> waiting = {{connection.get(), POLLIN, 0}};
    heard.resize(4096);
    while (receive_some(connection.get(), heard.data(), heard.size(), received) == Flow::blocked &&
           received == 0)
      poll_a_moment(waiting, soon());
    heard.resize(received);
    send_some(connection.get(), then.data(), then.size(), sent_then);
    if (then.empty()) connection = UniqueFd(), listener = UniqueFd();
    caller.join();
  }
};

}  // namespace

// RFC 4231, those of its test cases whose keys fit.
RINGSIDE_TEST(handshake, proofs_are_the_standards) {
  const struct {
    std::string key, words, digest;
  } cases[] = {{std::string(20, '\x0b'), "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
               {"Jefe", "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
               {std::string(20, '\xaa'), std::string(50, '\xdd'),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"}};
  for (const auto& it : cases) CHECK_EQ(hex_of(hmac_sha256(key_of(it.key), it.words)), it.digest);
}

// Words of every length, as the last block is filled differently for each.
RINGSIDE_TEST(handshake, proofs_are_those_of_openssl) {
  NEEDS_PYTHON();
  const Secret key = draw_secret();
  std::string words, ours;
  for (int length = 0; length < 200; ++length) {
    ours += hex_of(hmac_sha256(key, words)) + "\n";
    words += static_cast<char>(31 * length);
  }
  const RunResult theirs = run(
      {"python3", "-c",
       "import hmac\nkey = bytes.fromhex('" + hex_of(key) +
           "')\nfor n in range(200):\n"
           "  print(hmac.new(key, bytes(31 * i % 256 for i in range(n)), 'sha256').hexdigest())"});
  CHECK_MSG(theirs.out == ours, "%s", theirs.err.c_str());
}

// A stranger on another address of this host, where a rank has gone by mistake, who passes on to
// rank 0 and back whatever each says.
RINGSIDE_TEST(handshake, a_relay_is_found_out) {
  const UniqueFd listener = listen_on(resolve("127.0.0.2", 0));
  std::thread stranger;
  TcpJob job{.size = 2, .timeout_s = 1};
  job.on_listening = [&](int port) {
    stranger = std::thread([&listener, port] {
      int error = 0;
      const UniqueFd rank = accept_soon(listener);
      const TcpAddress rank_0 = resolve("127.0.0.1", port).at(0);
      relay(rank, connect_once(rank_0, 5, {soon()}, error));
    });
  };
  job.change = [&](TcpOptions& options) {
    if (options.rank == 0) return;
    options.address = "127.0.0.2";
    options.port = local_address(listener.get()).port();
  };
  const std::vector<Ending> ends = job.run();
  stranger.join();
  check_fault(t, ends[0], Fault::timeout, {"for rank 1", "1 connection came and was no rank's"});
  check_fault(t, ends[1], Fault::left, {"was sent away"});
}

// Nothing that he hears is any part of the secret, and nothing that he says is believed.
RINGSIDE_TEST(handshake, who_listens_in_rank_0s_place_is_found_out) {
  const TcpJob job{.size = 2};
  const std::string challenge = "ringsid2" + std::string(16, 'n');
  const Impostor clever(job, challenge, std::string(4096, 'x'));
  check_fault(t, clever.rank, Fault::protocol, {"does not know this job's secret"});
  CHECK(clever.heard.size() > sizeof(Digest));
  const std::string secret(reinterpret_cast<const char*>(job.secret.data()), job.secret.size());
  for (std::size_t at = 0; at + 4 <= secret.size(); ++at)
    CHECK(!contains(clever.heard, secret.substr(at, 4)));

  const Impostor rude(job, challenge, std::string(4096, '\0'));
  check_fault(t, rude.rank, Fault::left, {"was sent away"});
  const Impostor dies(job, challenge, "");
  check_fault(t, dies.rank, Fault::died, {"hung up and no longer listens"});
  const Impostor other(job, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "");
  check_fault(t, other.rank, Fault::protocol, {"is no rank 0 of this version"});
}

// Where a name has several addresses nobody calls one on which rank 0 does not listen.
RINGSIDE_TEST(handshake, of_two_addresses_of_this_host_one_is_called) {
  const auto chosen = [](const std::vector<const char*>& names) {
    std::vector<TcpAddress> addresses;
    for (const char* name : names) addresses.push_back(resolve(name, 29500).at(0));
    std::string words;
    for (const TcpAddress& it : those_of_rank_0(addresses)) words += it.words() + " ";
    return words;
  };
  CHECK_EQ(chosen({"127.0.0.1", "127.0.0.2"}), "127.0.0.1:29500 ");
  // Addresses kept free for documents (RFC 5737), so no host has them.
  CHECK_EQ(chosen({"192.0.2.77", "127.0.0.2", "127.0.0.1"}), "127.0.0.2:29500 ");
  CHECK_EQ(chosen({"192.0.2.77", "192.0.2.78"}), "192.0.2.77:29500 192.0.2.78:29500 ");
}

}  // namespace ringside
