// What travels over a control connection: questions and statuses, each of a fixed size.
//
//     Head{question, n}            what does your status page say?
//     Head{status, n} Status       this: the answer to question n; or, with n = 0, sent unasked:
//                                  at the start, when a call fails, and as a farewell
//
// A status is what it takes to say who is late, dead or different: the state, the cause, the wait,
// and the last calls. It is written into a copy of the status page by the page's own functions, so
// a reader need not know whether it reads the page or a copy.
//
// Numbers travel as they lie in memory: ringside runs on little-endian machines only.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "comm/control/status.h"

namespace ringside {

static_assert(std::endian::native == std::endian::little);

inline constexpr std::uint64_t kCallsReported = 16;  // the last ones

struct Head {
  enum Kind : std::uint32_t { question = 1, status = 2 };
  std::uint32_t kind = 0;
  std::uint32_t unused = 0;
  std::uint64_t number = 0;
};

struct Status {
  std::int64_t now_ms = 0;  // on the sender's clock, by which all its times are meant
  std::uint64_t finished = 0;
  std::uint32_t state = 0, fault = 0;
  std::uint32_t farewell = 0;  // the last message, and not a death
  std::uint32_t call_count = 0;
  std::int64_t wait_since_ms = 0;
  std::uint64_t wait_position = 0;
  std::int32_t wait_peer = -1;  // nobody
  std::uint32_t unused = 0;
  std::array<PackedCall, kCallsReported> calls{};  // the first call_count of them, oldest first
  std::array<char, 160> wait_words{};              // both end in a zero byte
  std::array<char, 1000> cause{};
};

static_assert(sizeof(Head) == 16 && std::has_unique_object_representations_v<Head>);
static_assert(sizeof(PackedCall) == 48 && std::has_unique_object_representations_v<PackedCall>);
static_assert(sizeof(Status) == 1984 && std::has_unique_object_representations_v<Status>);

// What this status page says now.
Status status_of(const StatusPage& status_page, bool farewell);

// Whether every number in it is one that can be, times and ranks included; nothing of it is used
// before.
bool makes_sense(const Status& status, int ranks);

// Fills in what is new. `clock_ahead_ms`: how far this host's clock is ahead of the sender's.
void update(StatusPage& copy, const Status& status, std::int64_t clock_ahead_ms);

}  // namespace ringside
