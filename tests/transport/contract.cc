// The checks; which promise each tries is in the header.
#include "tests/transport/contract.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "comm/allocate.h"
#include "comm/error.h"
#include "comm/transport/shm/allocations.h"
#include "comm/transport/shm/shm.h"
#include "tests/support/test.h"

namespace ringside::test {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kSizes[] = {0, 1, 7, 55, 56, 57, 64, 4096, kMiB};

Deadline soon() { return Deadline::after_seconds(10); }

// A byte that depends on where it is and on when: neither a shifted nor an old one is taken for it.
std::byte pattern(std::size_t i, std::uint32_t round) {
  const std::size_t mixed = (i * 131 + round * 7919u) ^ (i >> 8);
  return static_cast<std::byte>(mixed % 251 + 1);
}

void fill(std::byte* at, std::size_t bytes, std::uint32_t round) {
  for (std::size_t i = 0; i < bytes; ++i) at[i] = pattern(i, round);
}

// Index of the first byte that is not the pattern's; `bytes` if there is none.
std::size_t first_wrong(const std::byte* at, std::size_t bytes, std::uint32_t round) {
  for (std::size_t i = 0; i < bytes; ++i)
    if (at[i] != pattern(i, round)) return i;
  return bytes;
}

bool all_zero(const std::byte* at, std::size_t bytes) {
  return std::all_of(at, at + bytes, [](std::byte b) { return b == std::byte{0}; });
}

bool is_on_a_line(const void* at) { return reinterpret_cast<std::uintptr_t>(at) % kLineBytes == 0; }

std::size_t round_bytes(std::uint32_t round) { return kSizes[1 + round % 7]; }  // 1 to 4096

template <class Done>
bool drive_until(std::initializer_list<Transport*> ends, const Done& done) {
  const Deadline deadline = soon();
  for (int spins = 0; !done(); ++spins) {
    for (Transport* end : ends) end->progress();
    if (spins < 100) continue;
    if (deadline.passed()) return false;
    ::sched_yield();
  }
  return true;
}

}  // namespace

bool wait_for(std::initializer_list<Transport*> ends, const Cell& cell, std::uint32_t sequence) {
  return drive_until(ends, [&] { return ahead(cell.acquire().sequence, sequence) >= 0; });
}

bool send_all(Transport& transport, const PeerWindow& window) {
  return drive_until({&transport}, [&] { return window.all_sent(); });
}

TransportUnderTest shm_of_threads() {
  return {"shm, mapping shared by threads",
          [](const Secret& secret) {
            const ShmOptions options{.serve = false, .share_in_process = true};
            return std::make_unique<ShmTransport>(secret, options);
          },
          false};
}

TransportUnderTest around(const char* name, const Options::Decorate& decorate) {
  return {name,
          [decorate](const Secret& secret) { return decorate(shm_of_threads().make(secret)); },
          false};
}

Pair::Pair(const TransportUnderTest& it, std::size_t data_bytes, int cells) {
  const Secret secret = draw_secret();
  left = it.make(secret);
  right = it.make(secret);
  left_window = left->expose(data_bytes, cells);
  right_window = right->expose(data_bytes, cells);
  to_right = left->open(1, right_window->handle(), soon());
  to_left = right->open(0, left_window->handle(), soon());
}

std::string check_starts_zeroed(const TransportUnderTest& it) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, kMiB}) {
    // Memory that somebody used before is what a careless allocator would hand out again.
    for (int again = 0; again < 2; ++again) {
      Pair pair(it, bytes, 70);
      Window& window = *pair.right_window;
      if (window.bytes() != bytes || window.cells() != 70) return "a window of another size";
      if (!all_zero(window.data(), bytes)) return "data that is not zero";
      if (!is_on_a_line(window.data())) return "data that does not start on a cache line";
      for (int i = 0; i < window.cells(); ++i) {
        if (!is_on_a_line(&window.cell(i))) return "a cell across two cache lines";
        if (pack(window.cell(i).acquire()) != 0 || !all_zero(window.cell(i).payload, kInlineBytes))
          return "a cell that is not zero";
      }
      fill(window.data(), bytes, 1);
    }
  }
  return "";
}

std::string check_put_lands_exactly(const TransportUnderTest& it) {
  const std::size_t window_bytes = kMiB + 300;
  Pair pair(it, window_bytes);
  std::vector<std::byte> source(kMiB + 8), expected(window_bytes);
  std::uint32_t round = 0;
  for (const std::size_t bytes : kSizes)
    for (const std::size_t offset : {0, 1, 63, 64, 300}) {
      ++round;
      // Sources lie anywhere, too.
      std::byte* from = source.data() + round % 8;
      fill(from, bytes, round);
      pair.to_right->put(offset, from, bytes);
      pair.to_right->signal(0, {round, 1});
      if (bytes > 0) std::memcpy(expected.data() + offset, from, bytes);
      if (!pair.arrives(0, round)) return "a signal never came";
      if (std::memcmp(pair.right_window->data(), expected.data(), window_bytes) != 0)
        return text("after a put of %zu bytes at %zu the window is not what it should be", bytes,
                    offset);
    }
  return "";
}

std::string check_payload(const TransportUnderTest& it) {
  Pair pair(it, 64);
  for (std::uint32_t bytes = 0; bytes <= kInlineBytes; ++bytes) {
    std::array<std::byte, kInlineBytes> payload;
    fill(payload.data(), payload.size(), bytes);
    pair.to_right->signal(3, {bytes + 1, 0xffff'fff0u + bytes}, payload.data(), bytes);
    if (!pair.arrives(3, bytes + 1)) return "a signal never came";
    const Cell& cell = pair.right_window->cell(3);
    if (cell.acquire().fingerprint != 0xffff'fff0u + bytes) return "another fingerprint";
    if (first_wrong(cell.payload, bytes, bytes) != bytes)
      return text("a payload of %u bytes came out differently", bytes);
  }
  return all_zero(pair.right_window->data(), 64) ? "" : "a payload spilled into the data";
}

// The reader answers each round before the next one begins, so the rounds reuse the same bytes.
std::string check_signal_after_put(const TransportUnderTest& it, int rounds) {
  Pair pair(it, 3 * 4096);
  std::string verdict;
  std::thread reader([&] {
    for (std::uint32_t round = 1; round <= static_cast<std::uint32_t>(rounds); ++round) {
      if (!wait_for({pair.right.get()}, pair.right_window->cell(0), round)) {
        verdict = text("signal %u never came", round);
        break;
      }
      const std::size_t bytes = round_bytes(round);
      for (std::size_t part = 0; part < 3 && verdict.empty(); ++part) {
        const std::size_t wrong =
            first_wrong(pair.right_window->data() + part * 4096, bytes, round + 1000 * part);
        if (wrong != bytes)
          verdict = text("signal %u was seen before byte %zu of put %zu (of %zu bytes)", round,
                         wrong, part, bytes);
      }
      if (!verdict.empty()) break;
      pair.to_left->signal(0, {round, 2});
    }
    // Lets the writer end, whatever was found.
    pair.to_left->signal(0, {static_cast<std::uint32_t>(rounds), 2});
    send_all(*pair.right, *pair.to_left);
  });
  std::vector<std::byte> source(4096);
  for (std::uint32_t round = 1; round <= static_cast<std::uint32_t>(rounds); ++round) {
    for (std::uint32_t part = 0; part < 3; ++part) {
      fill(source.data(), round_bytes(round), round + 1000 * part);
      pair.to_right->put(part * 4096, source.data(), round_bytes(round));
    }
    pair.to_right->signal(0, {round, 1});
    if (!wait_for({pair.left.get()}, pair.left_window->cell(0), round)) break;
    // The reader has stopped: the rest would be written while nobody looks.
    if (pair.left_window->cell(0).acquire().sequence > round) break;
  }
  reader.join();
  return verdict;
}

std::string check_signals_only_grow(const TransportUnderTest& it, int rounds) {
  Pair pair(it, 64);
  const auto last = static_cast<std::uint32_t>(rounds);
  std::thread writer([&] {
    for (std::uint32_t i = 1; i <= last; ++i) pair.to_right->signal(5, {i, ~i});
    send_all(*pair.left, *pair.to_right);
  });
  std::string verdict;
  std::uint32_t seen = 0;
  const Deadline deadline = soon();
  while (seen != last && verdict.empty()) {
    pair.right->progress();
    const Signal now = pair.right_window->cell(5).acquire();
    if (now.sequence < seen) verdict = text("%u after %u", now.sequence, seen);
    if (now.sequence != 0 && now.fingerprint != ~now.sequence) verdict = "half of a signal";
    if (deadline.passed()) verdict = "the last signal never came";
    seen = now.sequence;
  }
  writer.join();
  return verdict;
}

std::string check_cells_are_apart(const TransportUnderTest& it) {
  constexpr int kCells = 300;  // cells of several pages
  Pair pair(it, 64, kCells);
  for (int i = kCells - 1; i >= 0; --i) {
    const auto value = static_cast<std::uint32_t>(i + 1);
    pair.to_right->signal(i, {value, value}, &value, sizeof value);
  }
  for (int i = 0; i < kCells; ++i) {
    if (!pair.arrives(i, static_cast<std::uint32_t>(i + 1))) return "a signal is missing";
    const Cell& cell = pair.right_window->cell(i);
    std::uint32_t payload = 0;
    std::memcpy(&payload, cell.payload, sizeof payload);
    if (cell.acquire().sequence != payload) return text("cell %d holds another's signal", i);
  }
  return "";
}

std::string check_put_frees_source(const TransportUnderTest& it, int rounds) {
  Pair pair(it, kMiB);
  const std::size_t bytes = kMiB / 64;
  std::vector<std::byte> source(bytes);
  for (std::uint32_t round = 1; round <= static_cast<std::uint32_t>(rounds); ++round) {
    for (std::size_t part = 0; part < 64; ++part) {
      fill(source.data(), bytes, round + static_cast<std::uint32_t>(part));
      pair.to_right->put(part * bytes, source.data(), bytes);
      std::fill(source.begin(), source.end(), std::byte{0xee});
    }
    pair.to_right->signal(0, {round, 1});
    if (!pair.arrives(0, round)) return "a signal never came";
    for (std::size_t part = 0; part < 64; ++part)
      if (first_wrong(pair.right_window->data() + part * bytes, bytes,
                      round + static_cast<std::uint32_t>(part)) != bytes)
        return "what was written into a source after its put arrived in its place";
  }
  return "";
}

// Two ranks write to one window, each to cells and bytes of its own.
std::string check_two_writers(const TransportUnderTest& it, int rounds) {
  const Secret secret = draw_secret();
  const std::unique_ptr<Transport> owner = it.make(secret);
  const std::unique_ptr<Window> window = owner->expose(2 * 4096, 2);
  const auto write = [&](int who) {
    const std::unique_ptr<Transport> transport = it.make(secret);
    const std::unique_ptr<PeerWindow> peer = transport->open(0, window->handle(), soon());
    std::vector<std::byte> source(4096);
    for (std::uint32_t round = 1; round <= static_cast<std::uint32_t>(rounds); ++round) {
      fill(source.data(), source.size(), round * 2 + static_cast<std::uint32_t>(who));
      peer->put(static_cast<std::size_t>(who) * 4096, source.data(), source.size());
      peer->signal(who, {round, static_cast<std::uint32_t>(who) + 1});
      send_all(*transport, *peer);
    }
  };
  std::thread first(write, 0), second(write, 1);
  const auto last = static_cast<std::uint32_t>(rounds);
  std::string verdict;
  for (int who = 0; who < 2; ++who) {
    if (!wait_for({owner.get()}, window->cell(who), last))
      verdict = "a writer's signals never came";
  }
  first.join();
  second.join();
  for (std::size_t who = 0; who < 2 && verdict.empty(); ++who)
    if (first_wrong(window->data() + who * 4096, 4096,
                    last * 2 + static_cast<std::uint32_t>(who)) != 4096)
      verdict = "one writer's data is in the other's place";
  return verdict;
}

std::string check_outlives_owner(const TransportUnderTest& it) {
  Pair pair(it, kMiB);
  std::vector<std::byte> source(kMiB, std::byte{1});
  pair.right_window.reset();
  pair.to_left.reset();
  pair.right.reset();
  for (std::uint32_t round = 1; round < 20; ++round) {
    pair.to_right->put(0, source.data(), source.size());
    pair.to_right->signal(0, {round, 1}, source.data(), kInlineBytes);
  }
  return send_all(*pair.left, *pair.to_right) ? "" : "what goes nowhere is never sent";
}

std::string check_zero_copy(const TransportUnderTest& it) {
  constexpr std::size_t kCount = 3, kBytes = 100'000;
  Pair pair(it, 64);
  if (!pair.to_left->takes_zero_copy()) return "";
  std::byte* owned[kCount];
  ZeroCopyRef zero_copies[kCount];
  const std::byte* seen[kCount] = {};
  std::string verdict;
  for (std::size_t i = 0; i < kCount; ++i) {
    owned[i] = static_cast<std::byte*>(allocate(kBytes));
    zero_copies[i] = Allocations::of_this_process().find(owned[i] + i * 1001).from;
  }
  for (std::uint32_t round = 0; round < 10 && verdict.empty(); ++round)
    for (std::uint32_t i = 0; i < kCount; ++i) {
      fill(owned[i], kBytes, round * 10 + i);
      const std::byte* at = read_exposed_from(*pair.to_left, zero_copies[i], kBytes - i * 1001);
      if (seen[i] != nullptr && at != seen[i])
        verdict = "a zero-copy message lies elsewhere the second time";
      if (std::memcmp(at, owned[i] + i * 1001, kBytes - i * 1001) != 0)
        verdict = "what is exposed is not what is read";
      seen[i] = at;
    }
  for (std::byte* memory : owned) deallocate(memory);
  pair.left_window.reset();
  pair.to_right.reset();
  pair.left.reset();
  // To read on is pointless, and no fault. All but the last page is gone.
  for (std::size_t i = 0; i < kCount; ++i) {
    if (!all_zero(seen[i], kBytes - 2 * kPageBytes)) verdict = "what was given back is still there";
    [[maybe_unused]] const volatile std::byte last = seen[i][kBytes - i * 1001 - 1];
  }
  return verdict;
}

std::string check_no_zero_copy(const TransportUnderTest& it) {
  constexpr std::size_t kBytes = 10'000;
  Pair pair(it, 64);
  if (!pair.to_left->takes_zero_copy()) return "";
  void* memory = allocate(kBytes);
  void* past = allocate(kBytes);
  const std::uint64_t number = Allocations::of_this_process().find(memory).from.allocation;
  const std::uint64_t gone = Allocations::of_this_process().find(past).from.allocation;
  deallocate(past);
  constexpr std::uint64_t kFar = UINT64_MAX;
  const struct {
    ZeroCopyRef ref;
    std::size_t bytes;
    const char* part;
  } cases[] = {
      {{number, 0}, 3 * kPageBytes + 1, "exposes bytes that lie outside of its allocation"},
      {{number, 3 * kPageBytes}, 1, "exposes bytes that lie outside"},
      {{number, 3 * kPageBytes + 1}, 0, "exposes bytes that lie outside"},
      {{number, kFar}, 2, "exposes bytes that lie outside"},
      {{number, kFar - 10}, 100, "exposes bytes that lie outside"},
      {{number, 8}, SIZE_MAX, "exposes bytes that lie outside"},
      {{gone, 0}, 1, "g"},  // has given back, or: it is gone
      {{0, 0}, 1, "g"},
      {{number + 1'000'000, 0}, 1, "g"},
  };
  std::string verdict;
  // Twice: what was refused must not be known afterwards.
  for (int again = 0; again < 2; ++again)
    for (const auto& bad : cases) {
      std::string sentence = "nothing";
      try {
        read_exposed_from(*pair.to_left, bad.ref, bad.bytes);
      } catch (const Error& error) {
        sentence = error.what();
      }
      if (!sentence.starts_with("rank 0 ") || sentence.find(bad.part) == std::string::npos)
        verdict =
            text("allocation %llu, %zu bytes: %s",
                 static_cast<unsigned long long>(bad.ref.allocation), bad.bytes, sentence.c_str());
    }
  read_exposed_from(*pair.to_left, {number, 0}, kBytes);
  deallocate(memory);
  return verdict;
}

const std::byte* read_exposed_from(PeerWindow& owner, const ZeroCopyRef& ref, std::size_t bytes) {
  for (int i = 0; i < 10'000; ++i) {
    if (const std::byte* at = owner.read_exposed(ref, bytes)) return at;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  throw Error(Fault::timeout, "a zero-copy message was not there within 10 s");
}

}  // namespace ringside::test
