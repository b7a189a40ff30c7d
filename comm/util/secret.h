// The job's secret: 32 random bytes that rank 0 draws and the bootstrap hands to every rank.
//
// A process that connects to a rank shows it before anything else that it says is believed. This is
// no cryptography: a random token on a private channel, compared in a time that does not depend on
// how much of it was right.
#pragma once

#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "comm/error.h"

namespace ringside {

using Secret = std::array<std::byte, 32>;

inline void fill_random(void* target, std::size_t bytes) {
  // Up to 256 bytes come whole or not at all (getrandom(2)).
  if (::getrandom(target, bytes, 0) != static_cast<ssize_t>(bytes))
    throw_system("getrandom failed");
}

inline Secret draw_secret() {
  Secret secret;
  fill_random(secret.data(), secret.size());
  return secret;
}

// What one side of a new connection says to prove itself, if the caller speaks first: it shows
// the first half and is shown the second (handshake.h). The other half's place is left zero.
enum class Side { caller, listener };
inline Secret proof_of(const Secret& secret, Side side) {
  Secret proof{};
  const std::size_t middle = secret.size() / 2, begin = side == Side::caller ? 0 : middle;
  for (std::size_t i = begin; i < begin + middle; ++i) proof[i] = secret[i];
  return proof;
}

inline bool same_secret(const Secret& a, const Secret& b) {
  std::byte difference{0};
  for (std::size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == std::byte{0};
}

// A random number that is this process's alone. Two processes may have the same pid (in two
// containers).
inline std::uint64_t process_nonce() {
  static const std::uint64_t nonce = [] {
    std::uint64_t bits = 0;
    fill_random(&bits, sizeof bits);
    return bits;
  }();
  // A forked child inherits the number; its pid makes it another.
  return nonce ^ static_cast<std::uint64_t>(::getpid()) << 32;
}

}  // namespace ringside
