// The first words on a new connection, which both sides say to prove that they belong to one job:
//
//     caller                                     listener
//       Hello: first half of the secret,     ──▶  right half? else closed without a word
//         then what else it has to say
//       right half?                          ◀──  Welcome: second half of the secret, and the rest
//
// Neither side looks at anything else of the other before its half is right. The secret goes in
// halves because the caller speaks first: a stranger who has taken the listener's port is given one
// half, and cannot answer with the other. What this is not: cryptography (see secret.h).
//
// Hello and Welcome are structs of fixed size that begin with a Credential. The bootstrap's are in
// comm/bootstrap/rendezvous.cc, the control connections' in comm/control/connect.cc.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "comm/util/secret.h"
#include "comm/util/tcp_socket.h"

namespace ringside {

struct Credential {
  Secret half{};
  std::array<char, 8> magic{};  // says which protocol follows

  bool operator==(const Credential& other) const {
    return same_secret(half, other.half) && magic == other.magic;
  }
};

inline Credential credential(const Secret& secret, Side side, std::array<char, 8> magic) {
  return {proof_of(secret, side), magic};
}

// A fresh connection's buffer takes these few bytes whole. If the other side has gone already, who
// waits for the answer notices.
template <class Words>
void send_first_words(int socket, const Words& words) {
  static_assert(std::is_trivially_copyable_v<Words>);
  std::size_t sent = 0;
  send_some(socket, &words, sizeof words, sent);
}

// Somebody may be connected this long without having said who it is, and so many at a time may be;
// others wait in the kernel's queue.
struct StrangerLimits {
  double hello_s = 5;
  std::size_t strangers_max = 64;
};

// The listener's side: those who have called and not proved themselves yet. They are sent away, and
// hold nobody up, if they say something else, nothing for too long, or hang up.
template <class Hello>
class Callers {
 public:
  Callers(UniqueFd listener, std::string who, const Credential& expected,
          const StrangerLimits& limits)
      : listener_(std::move(listener)),
        who_(std::move(who)),
        expected_(expected),
        limits_(limits) {}

  int listener() const { return listener_.get(); }

  // What poll(2) is to wait for.
  void add_to(std::vector<pollfd>& waiting) const {
    const bool room = callers_.size() < limits_.strangers_max;
    waiting.push_back({room ? listener_.get() : -1, POLLIN, 0});
    for (const Caller& it : callers_) waiting.push_back({it.socket.get(), POLLIN, 0});
  }

  // Takes what has come: admit(hello, socket) for each caller that has proved itself.
  template <class Admit>
  void receive(const Admit& admit) {
    for (Caller& it : callers_) {
      const Flow flow = receive_some(it.socket.get(), &it.hello, sizeof it.hello, it.received);
      if (flow == Flow::blocked && !it.until.passed()) continue;
      UniqueFd socket = std::move(it.socket);
      if (flow == Flow::complete && it.hello.proof == expected_) admit(it.hello, std::move(socket));
    }
    std::erase_if(callers_, [](const Caller& it) { return !it.socket; });
    if (callers_.size() >= limits_.strangers_max) return;
    if (UniqueFd socket = accept_one(listener_.get(), who_))
      callers_.push_back({std::move(socket), Deadline::after_seconds(limits_.hello_s)});
  }

 private:
  static_assert(std::is_trivially_copyable_v<Hello>);
  struct Caller {
    UniqueFd socket;  // empty once the caller has been admitted or sent away
    Deadline until;
    Hello hello{};
    std::size_t received = 0;
  };

  const UniqueFd listener_;
  const std::string who_;
  const Credential expected_;
  const StrangerLimits limits_;
  std::vector<Caller> callers_;
};

}  // namespace ringside
