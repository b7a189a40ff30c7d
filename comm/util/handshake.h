// The first words on a new connection, by which both ends prove that they belong to one job:
//
//     caller                                     listener
//                                           ◀──  Challenge: which protocol this is, a random number
//       Hello: a random number of its own,  ──▶  the right proof? else "no"
//         what it has to say, a proof
//       the right proof?                    ◀──  Welcome: what it has to say, a proof
//
// A proof is an HMAC, by the secret, of all that makes this conversation another than all others:
// both random numbers, both ends' addresses, whose words these are, and the words. So the secret
// itself is never said; what was heard elsewhere cannot be said again; and a stranger between the
// two, who passes on what each says, is found out by the addresses. (Between two hosts he can still
// read and change what follows: see comm/bootstrap/rendezvous.h.) Neither end looks at the other's
// words before their proof is right.
//
// Nobody is sent away for being slow: on a busy machine a rank may be kept from running for
// seconds between any two of its lines. When too many are silent the one who has been so for the
// longest has to go. A caller that was hung up on without a "no" comes again, until its deadline.
//
// The bootstrap's words are in comm/bootstrap/rendezvous.cc, the control connections' in
// comm/control/connect.cc.
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "comm/error.h"
#include "comm/util/hmac.h"
#include "comm/util/secret.h"
#include "comm/util/tcp_socket.h"

namespace ringside {

using Nonce = std::array<std::byte, 16>;

struct Challenge {
  std::array<char, 8> magic{};  // says which protocol follows, and its version
  Nonce nonce{};
};
static_assert(sizeof(Challenge) == 24);

// What both ends know of their connection, and what no other connection has.
struct Session {
  Challenge challenge;
  Nonce callers_nonce{};
  std::array<std::byte, 18> caller{}, listener{};  // TcpAddress::packed
};

enum class Side : char { caller = 'c', listener = 'l' };

// The session of a connection just made, with a nonce of this side's.
Session begin_session(int socket, Side own, const std::array<char, 8>& magic);

Digest proof_of(const Secret& secret, const Session& session, Side speaker, const void* words,
                std::size_t bytes);

template <class Words>
struct Proven {
  static_assert(std::has_unique_object_representations_v<Words>);
  Nonce nonce{};  // the caller's; the listener has said his own
  Words words{};
  Digest proof{};  // all zeros: "no", which needs none
};

// A fresh connection's buffer takes these few bytes whole. If the other side has gone already, who
// waits for the answer notices.
template <class T>
void send_first_words(int socket, const T& words) {
  std::size_t sent = 0;
  send_some(socket, &words, sizeof words, sent);
}

template <class Words>
void send_proven(int socket, const Secret& secret, const Session& session, Side speaker,
                 const Words& words) {
  const Nonce nonce = speaker == Side::caller ? session.callers_nonce : Nonce{};
  send_first_words(socket, Proven<Words>{nonce, words,
                                         proof_of(secret, session, speaker, &words, sizeof words)});
}

// The listener's side: those who have called and not proved themselves yet.
template <class Hello, class Welcome>
class Callers {
 public:
  static constexpr std::size_t kStrangersMax = 256;

  // `who` listens, in its words.
  Callers(UniqueFd listener, std::string who, const Secret& secret,
          const std::array<char, 8>& magic, std::size_t strangers_max = kStrangersMax)
      : listener_(std::move(listener)),
        who_(std::move(who)),
        secret_(secret),
        magic_(magic),
        strangers_max_(strangers_max) {}

  int listener() const { return listener_.get(); }

  // What poll(2) is to wait for.
  void add_to(std::vector<pollfd>& waiting) const {
    waiting.push_back({listener_.get(), POLLIN, 0});
    for (const Caller& it : callers_) waiting.push_back({it.socket.get(), POLLIN, 0});
  }

  // Takes what has come: admit(words, session, socket) for each caller that has proved itself.
  // Throws Error{system} if there are no descriptors left, and not because of those who are silent.
  template <class Admit>
  void receive(const Admit& admit) {
    for (Caller& it : callers_) {
      const Flow flow = receive_some(it.socket.get(), &it.hello, sizeof it.hello, it.received);
      if (flow == Flow::blocked) continue;
      UniqueFd socket = std::move(it.socket);
      if (flow == Flow::complete && is_right(it)) {
        admit(it.hello.words, it.session, std::move(socket));
        continue;
      }
      ++strangers_;
      if (flow == Flow::complete) send_first_words(socket.get(), Proven<Welcome>{});
    }
    std::erase_if(callers_, [](const Caller& it) { return !it.socket; });
    take_one_in();
  }

  // "; 3 connections came and were no rank's", or nothing.
  std::string strangers_in_words() const {
    if (strangers_ == 0) return "";
    return text("; %zu connection%s no rank's", strangers_,
                strangers_ == 1 ? " came and was" : "s came and were");
  }

 private:
  struct Caller {
    UniqueFd socket;  // empty once the caller has been admitted or sent away
    Session session;
    Proven<Hello> hello{};
    std::size_t received = 0;
  };

  bool is_right(Caller& it) const {
    it.session.callers_nonce = it.hello.nonce;
    const Digest right =
        proof_of(secret_, it.session, Side::caller, &it.hello.words, sizeof it.hello.words);
    return same_secret(it.hello.proof, right);
  }

  // One at a time, after the others have been heard: who answers at once is admitted before a crowd
  // can push him out.
  void take_one_in() {
    int error = 0;
    UniqueFd socket = accept_one(listener_.get(), error);
    if (error != 0 && callers_.empty()) {
      errno = error;
      if (error == EMFILE) throw_system(who_ + " cannot take one more connection");
      ::poll(nullptr, 0, 10);  // the system as a whole is short of something: it may pass
    }
    if (!callers_.empty() && (error != 0 || callers_.size() > strangers_max_)) {
      callers_.erase(callers_.begin());
      ++strangers_;
    }
    if (!socket) return;
    callers_.push_back({std::move(socket), {}});
    Caller& it = callers_.back();
    it.session = begin_session(it.socket.get(), Side::listener, magic_);
    send_first_words(it.socket.get(), it.session.challenge);
  }

  const UniqueFd listener_;
  const std::string who_;
  const Secret secret_;
  const std::array<char, 8> magic_;
  const std::size_t strangers_max_;
  std::size_t strangers_ = 0;
  std::vector<Caller> callers_;  // in the order in which they came
};

// The caller's side of one connection, a step at a time.
template <class Hello, class Welcome>
class Calling {
 public:
  Calling(UniqueFd socket, const Secret& secret, const std::array<char, 8>& magic,
          const Hello& hello)
      : socket_(std::move(socket)),
        secret_(secret),
        session_(begin_session(socket_.get(), Side::caller, magic)),
        magic_(magic),
        hello_(hello) {}

  enum class State {
    calls,     // nothing has come yet
    has_said,  // who it is
    welcomed,
    hung_up,           // without an answer: worth another attempt
    another_protocol,  // speaks there
    refused,           // the listener does not know this secret, and says so
    impostor,          // the listener does not know it, and says something else
  };
  // Takes what has come.
  State step() {
    if (state_ == State::calls) state_ = answer_challenge();
    if (state_ == State::has_said) state_ = receive_welcome();
    return state_;
  }
  bool has_said() const { return has_said_; }
  // After a welcome that is not the last.
  void await_next() { state_ = State::has_said, received_ = 0; }

  int fd() const { return socket_.get(); }
  UniqueFd take_socket() { return std::move(socket_); }
  const Welcome& welcome() const { return welcome_.words; }

 private:
  State answer_challenge() {
    Challenge& challenge = session_.challenge;
    const Flow flow = receive_some(fd(), &challenge, sizeof challenge, received_);
    if (flow == Flow::gone) return State::hung_up;
    if (flow == Flow::blocked) return State::calls;
    if (challenge.magic != magic_) return State::another_protocol;
    received_ = 0;
    has_said_ = true;
    send_proven(fd(), secret_, session_, Side::caller, hello_);
    return State::has_said;
  }

  State receive_welcome() {
    const Flow flow = receive_some(fd(), &welcome_, sizeof welcome_, received_);
    if (flow == Flow::gone) return State::hung_up;
    if (flow == Flow::blocked) return State::has_said;
    if (welcome_.proof == Digest{}) return State::refused;
    const Digest right =
        proof_of(secret_, session_, Side::listener, &welcome_.words, sizeof welcome_.words);
    return same_secret(welcome_.proof, right) ? State::welcomed : State::impostor;
  }

  UniqueFd socket_;
  Secret secret_;
  Session session_;
  std::array<char, 8> magic_;
  Hello hello_;
  Proven<Welcome> welcome_{};
  std::size_t received_ = 0;
  State state_ = State::calls;
  bool has_said_ = false;
};

}  // namespace ringside
