// HMAC-SHA256: proof that whoever says certain words knows a key, from which nobody learns the key.
//
// By the standards FIPS 180-4 (SHA-256) and RFC 2104 (HMAC). The compiler checks the example of the
// first, tests/bootstrap/handshake.cc those of RFC 4231 and what OpenSSL makes of the same words.
// It is written out here, and no library is linked for it, because ringside needs nothing but a
// compiler. It is slow, which does not matter for the few bytes of a handshake.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "comm/util/secret.h"

namespace ringside {

using Digest = std::array<std::byte, 32>;

Digest hmac_sha256(const Secret& key, std::string_view words);

}  // namespace ringside
