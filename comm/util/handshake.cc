// What a proof is made of; see handshake.h.
#include "comm/util/handshake.h"

#include <string_view>

namespace ringside {
namespace {

template <class T>
std::string_view bytes_of(const T& it) {
  static_assert(std::has_unique_object_representations_v<T>);
  return {reinterpret_cast<const char*>(&it), sizeof it};
}

}  // namespace

Session begin_session(int socket, Side own, const std::array<char, 8>& magic) {
  const bool calls = own == Side::caller;
  Session session;
  session.caller = (calls ? local_address(socket) : peer_address(socket)).packed();
  session.listener = (calls ? peer_address(socket) : local_address(socket)).packed();
  Nonce& nonce = calls ? session.callers_nonce : session.challenge.nonce;
  fill_random(nonce.data(), nonce.size());
  if (!calls) session.challenge.magic = magic;
  return session;
}

// All parts are of a fixed size, so that no two conversations make the same text.
Digest proof_of(const Secret& secret, const Session& session, Side speaker, const void* words,
                std::size_t bytes) {
  std::string text;
  text += bytes_of(session.challenge);
  text += bytes_of(session.callers_nonce);
  text += bytes_of(session.caller);
  text += bytes_of(session.listener);
  text += static_cast<char>(speaker);
  text += std::string_view(static_cast<const char*>(words), bytes);
  return hmac_sha256(secret, text);
}

}  // namespace ringside
