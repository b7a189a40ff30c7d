// The job's secret: 32 random bytes that rank 0 draws and the bootstrap hands to every rank.
//
// Nothing that a process says to a rank is believed before it has shown that it knows it: between
// processes of one user over a Unix socket by saying it (fd_server.h), over TCP by a proof from
// which it cannot be learnt (handshake.h). Both are compared in a time that does not depend on how
// much was right.
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
