// Writing and reading a status page; who may write what is in status.h.
#include "comm/control/status.h"

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace ringside {

Call unpacked(const PackedCall& it) {
  Operation what;
  what.kind = static_cast<Kind>(it.words >> 48 & 0x7f);
  what.on_device = (it.words >> 55 & 1) != 0;
  what.dtype = static_cast<DType>(it.words >> 40 & 0xff);
  what.reduction = static_cast<Reduction>(it.words >> 32 & 0xff);
  const auto word = static_cast<std::uint32_t>(it.words);
  if (is_ragged(what.kind))
    what.layout = word;
  else
    what.root = static_cast<std::int32_t>(word);
  what.count = it.count;
  return {it.number,     static_cast<std::uint32_t>(it.marks),
          what,          static_cast<std::uint32_t>(it.marks >> 32),
          it.entered_ms, static_cast<std::int32_t>(it.peer)};
}

bool makes_sense(const PackedCall& it) {
  const Operation what = unpacked(it).what;
  return it.number > 0 && exists(what.kind) &&
         static_cast<std::size_t>(what.dtype) < kAllDTypes.size() &&
         static_cast<std::size_t>(what.reduction) < kAllReductions.size();
}

std::int64_t coarse_now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

void StatusPage::note(const Call& call) {
  const PackedCall it = packed(call);
  Entry& entry = history_[it.number % kHistory];
  // A seqlock with stores that are all releases: on x86 these are plain moves. A reader that
  // acquires a new count or word therefore also sees number 0, and throws the entry away.
  entry.number.store(0, std::memory_order_relaxed);
  entry.count.store(it.count, std::memory_order_release);
  entry.words.store(it.words, std::memory_order_release);
  entry.marks.store(it.marks, std::memory_order_release);
  entry.entered_ms.store(it.entered_ms, std::memory_order_release);
  entry.peer.store(it.peer, std::memory_order_release);
  entry.number.store(it.number, std::memory_order_release);
  latest_.store(it.number, std::memory_order_release);
}

void StatusPage::note_wait(const WaitNote& wait) {
  const std::uint64_t version = wait_.version.load(std::memory_order_relaxed);
  wait_.version.store(version + 1, std::memory_order_relaxed);
  // As in note(): all stores release, so a reader that sees one of them sees the odd version too.
  wait_.peer.store(static_cast<std::uint64_t>(wait.peer) + 1, std::memory_order_release);
  wait_.since_ms.store(wait.since_ms, std::memory_order_release);
  wait_.position.store(wait.position, std::memory_order_release);
  for (std::size_t i = 0; i < kWaitWords; ++i) {
    std::uint64_t word = 0;
    const std::size_t at = std::min(i * sizeof word, wait.words.size());
    std::memcpy(&word, wait.words.data() + at, std::min(sizeof word, wait.words.size() - at));
    wait_.words[i].store(word, std::memory_order_release);
  }
  wait_.version.store(version + 2, std::memory_order_release);
}

void StatusPage::note_wait_over() {
  const std::uint64_t version = wait_.version.load(std::memory_order_relaxed);
  wait_.version.store(version + 1, std::memory_order_relaxed);
  wait_.peer.store(0, std::memory_order_release);
  wait_.version.store(version + 2, std::memory_order_release);
}

std::optional<WaitNote> StatusPage::wait() const {
  const std::uint64_t before = wait_.version.load(std::memory_order_acquire);
  const std::uint64_t peer = wait_.peer.load(std::memory_order_acquire);
  const std::int64_t since_ms = wait_.since_ms.load(std::memory_order_acquire);
  const std::uint64_t position = wait_.position.load(std::memory_order_acquire);
  char text[kWaitWords * sizeof(std::uint64_t) + 1] = {};
  for (std::size_t i = 0; i < kWaitWords; ++i) {
    const std::uint64_t word = wait_.words[i].load(std::memory_order_acquire);
    std::memcpy(text + i * sizeof word, &word, sizeof word);
  }
  const std::uint64_t after = wait_.version.load(std::memory_order_relaxed);
  if (before != after || before % 2 != 0 || peer == 0) return std::nullopt;
  return WaitNote{static_cast<int>(peer - 1), since_ms, text, position};
}

void StatusPage::set_broken(const Error& cause) {
  if (state() != RankState::running) return;
  cause_fault_ = cause.fault();
  std::snprintf(cause_, sizeof cause_, "%s", cause.what());
  state_.store(RankState::broken, std::memory_order_release);
}

std::optional<Call> StatusPage::read(const Entry& entry) const {
  const PackedCall it{.number = entry.number.load(std::memory_order_acquire),
                      .count = entry.count.load(std::memory_order_acquire),
                      .words = entry.words.load(std::memory_order_acquire),
                      .marks = entry.marks.load(std::memory_order_acquire),
                      .entered_ms = entry.entered_ms.load(std::memory_order_acquire),
                      .peer = entry.peer.load(std::memory_order_acquire)};
  const std::uint64_t after = entry.number.load(std::memory_order_relaxed);
  if (!makes_sense(it) || it.number != after) return std::nullopt;
  return unpacked(it);
}

std::optional<Call> StatusPage::latest() const {
  const std::uint64_t number = latest_.load(std::memory_order_acquire);
  return number == 0 ? std::nullopt : read(history_[number % kHistory]);
}

std::optional<Call> StatusPage::call(std::uint64_t number) const {
  const std::optional<Call> call = read(history_[number % kHistory]);
  return call && call->number == number ? call : std::nullopt;
}

template <class Wanted>
std::optional<Call> StatusPage::search(const Wanted& wanted) const {
  const std::uint64_t newest = latest_.load(std::memory_order_acquire);
  for (std::uint64_t back = 0; back < kRecent && back < newest; ++back) {
    std::optional<Call> call = read(history_[(newest - back) % kHistory]);
    if (call && wanted(*call)) return call;
  }
  return std::nullopt;
}

std::vector<Call> StatusPage::history() const {
  const std::uint64_t newest = latest_.load(std::memory_order_acquire);
  std::vector<Call> calls;
  for (std::uint64_t back = std::min(newest, kHistory); back-- > 0;)
    if (const std::optional<Call> call = read(history_[(newest - back) % kHistory]))
      if (calls.empty() || calls.back().number < call->number) calls.push_back(*call);
  return calls;
}

std::optional<Call> StatusPage::find(std::uint32_t wanted) const {
  return search([&](const Call& call) { return call.fingerprint == wanted; });
}

std::optional<Call> StatusPage::find_collective(std::uint32_t collective) const {
  return search([&](const Call& call) { return call.collective == collective; });
}

std::optional<int> StatusPage::count_messages(int sender, int peer, std::uint64_t last) const {
  if (std::max(last, latest_.load(std::memory_order_acquire)) >= kHistory) return std::nullopt;
  int found = 0;
  for (std::uint64_t number = 1; number <= last; ++number) {
    const std::optional<Call> call = read(history_[number % kHistory]);
    if (!call) return std::nullopt;
    const bool is_message = call->what.kind == Kind::send_recv;
    found += is_message && call->what.root == sender && call->peer == peer ? 1 : 0;
  }
  return found;
}

}  // namespace ringside
