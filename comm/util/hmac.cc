// The arithmetic of the two standards; names are theirs where they have one.
#include "comm/util/hmac.h"

#include <bit>
#include <cstdint>

namespace ringside {
namespace {

// The first 32 bits of the fractions of the cube roots of the first 64 primes.
constexpr std::array<std::uint32_t, 64> kRoots = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr std::uint32_t sum_of_turns(std::uint32_t x, int a, int b, int c) {
  return std::rotr(x, a) ^ std::rotr(x, b) ^ std::rotr(x, c);
}

class Sha256 {
 public:
  constexpr Sha256& add(std::byte byte) {
    block_[bytes_++ % block_.size()] = byte;
    if (bytes_ % block_.size() == 0) mix();
    return *this;
  }
  constexpr Sha256& add(std::string_view bytes) {
    for (const char byte : bytes) add(static_cast<std::byte>(byte));
    return *this;
  }
  // Of all that has been added. Once.
  constexpr Digest finish();

 private:
  constexpr void mix();

  // The first 32 bits of the fractions of the square roots of the first 8 primes.
  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> block_{};
  std::uint64_t bytes_ = 0;
};

constexpr void Sha256::mix() {
  std::array<std::uint32_t, 64> w{};
  for (std::size_t i = 0; i < block_.size(); ++i)
    w[i / 4] = w[i / 4] << 8 | static_cast<std::uint32_t>(block_[i]);
  for (std::size_t i = 16; i < 64; ++i) {
    const std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
    const std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state_;
  for (std::size_t i = 0; i < 64; ++i) {
    const std::uint32_t choice = (e & f) ^ (~e & g), majority = (a & b) ^ (a & c) ^ (b & c);
    const std::uint32_t t1 = h + sum_of_turns(e, 6, 11, 25) + choice + kRoots[i] + w[i];
    const std::uint32_t t2 = sum_of_turns(a, 2, 13, 22) + majority;
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const std::array<std::uint32_t, 8> more = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < more.size(); ++i) state_[i] += more[i];
}

// A one bit, zeros, and the length in bits fill the last block.
constexpr Digest Sha256::finish() {
  const std::uint64_t bits = 8 * bytes_;
  add(std::byte{0x80});
  while (bytes_ % 64 != 56) add(std::byte{0});
  for (int shift = 56; shift >= 0; shift -= 8) add(static_cast<std::byte>(bits >> shift));
  Digest digest{};
  for (std::size_t i = 0; i < digest.size(); ++i)
    digest[i] = static_cast<std::byte>(state_[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

// "abc", the example of FIPS 180-4.
static_assert(Sha256().add("abc").finish() ==
              std::bit_cast<Digest>(std::to_array<std::uint8_t>(
                  {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                   0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                   0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad})));

}  // namespace

Digest hmac_sha256(const Secret& key, std::string_view words) {
  const auto padded = [&](std::byte pad) {
    Sha256 hash;
    for (std::size_t i = 0; i < 64; ++i) hash.add((i < key.size() ? key[i] : std::byte{0}) ^ pad);
    return hash;
  };
  const Digest inner = padded(std::byte{0x36}).add(words).finish();
  Sha256 outer = padded(std::byte{0x5c});
  for (const std::byte byte : inner) outer.add(byte);
  return outer.finish();
}

}  // namespace ringside
