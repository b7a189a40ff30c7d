// From a status page to a status and back.
#include "comm/control/wire.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "comm/error.h"

namespace ringside {
namespace {

// The owner may be in the middle of a call's entry; it is done with it at once.
constexpr int kLooks = 3;

template <std::size_t N>
void copy_text(std::array<char, N>& target, const std::string& words) {
  std::memcpy(target.data(), words.data(), std::min(words.size(), N - 1));
}

template <std::size_t N>
bool ends(const std::array<char, N>& words) {
  return std::find(words.begin(), words.end(), '\0') != words.end();
}

// Times are taken from each other and added to each other, which must not overflow: three such fit.
bool is_time(std::int64_t ms) {
  constexpr std::int64_t kMost_ms = std::int64_t{1} << 60;
  return ms >= -kMost_ms && ms <= kMost_ms;
}

bool is_rank_or_none(std::int64_t peer, int ranks) { return peer >= -1 && peer < ranks; }

void add_calls(const StatusPage& status_page, Status& status) {
  const std::optional<Call> latest = status_page.latest();
  if (!latest) return;
  status.call_count = 0;
  const std::uint64_t first =
      latest->number > kCallsReported ? latest->number - kCallsReported + 1 : 1;
  for (std::uint64_t number = first; number <= latest->number; ++number)
    if (const std::optional<Call> call = status_page.call(number))
      status.calls[status.call_count++] = packed(*call);
}

bool same(const std::optional<WaitNote>& a, const WaitNote& b) {
  return a && a->peer == b.peer && a->since_ms == b.since_ms && a->position == b.position &&
         a->words == b.words;
}

}  // namespace

Status status_of(const StatusPage& status_page, bool farewell) {
  Status status;
  status.farewell = farewell ? 1 : 0;
  // Before the calls: what has not finished yet may finish meanwhile, which is merely old news; a
  // call that had finished before it was entered would be nonsense.
  status.finished = status_page.finished();
  for (int look = 0; look < kLooks && status.call_count == 0; ++look)
    add_calls(status_page, status);
  if (const std::optional<WaitNote> wait = status_page.wait()) {
    status.wait_peer = wait->peer;
    status.wait_since_ms = wait->since_ms;
    status.wait_position = wait->position;
    copy_text(status.wait_words, wait->words);
  }
  const RankState state = status_page.state();
  status.state = static_cast<std::uint32_t>(state);
  if (state == RankState::broken) {
    const Error cause = status_page.cause();
    status.fault = static_cast<std::uint32_t>(cause.fault());
    copy_text(status.cause, cause.what());
  }
  status.now_ms = coarse_now_ms();
  return status;
}

bool makes_sense(const Status& status, int ranks) {
  const auto call_makes_sense = [&](const PackedCall& it) {
    return it.number > 0 && makes_sense(it) && is_rank_or_none(it.peer, ranks) &&
           is_time(it.entered_ms);
  };
  return status.call_count <= kCallsReported && is_rank_or_none(status.wait_peer, ranks) &&
         is_time(status.now_ms) && is_time(status.wait_since_ms) &&
         status.state <= static_cast<std::uint32_t>(RankState::broken) &&
         status.fault <= static_cast<std::uint32_t>(Fault::system) && ends(status.cause) &&
         ends(status.wait_words) &&
         std::all_of(status.calls.begin(), status.calls.begin() + status.call_count,
                     call_makes_sense);
}

// What is there already stays untouched: somebody may be reading it.
void update(StatusPage& copy, const Status& status, std::int64_t clock_ahead_ms) {
  const std::optional<Call> latest = copy.latest();
  for (std::uint32_t i = 0; i < status.call_count; ++i) {
    Call call = unpacked(status.calls[i]);
    call.entered_ms += clock_ahead_ms;
    if (!latest || call.number > latest->number) copy.note(call);
  }
  copy.note_finished(status.finished);
  const WaitNote wait{status.wait_peer, status.wait_since_ms + clock_ahead_ms,
                      status.wait_words.data(), status.wait_position};
  const std::optional<WaitNote> before = copy.wait();
  if (wait.peer < 0 && before) copy.note_wait_over();
  if (wait.peer >= 0 && !same(before, wait)) copy.note_wait(wait);
  if (status.state == static_cast<std::uint32_t>(RankState::broken))
    copy.set_broken(Error(static_cast<Fault>(status.fault), status.cause.data()));
  if (status.farewell != 0) copy.set_left();
}

}  // namespace ringside
