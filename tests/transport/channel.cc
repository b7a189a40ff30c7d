// Channels and the arithmetic below them: slots, credits, sequences, chunks, slices.
//
// The ends of a channel never wait, so most of this needs no second thread: one test plays both
// sides and knows at each moment what must be possible.
#include "comm/transport/channel.h"

#include <sched.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "comm/algorithms/chunks.h"
#include "comm/peers/peers.h"
#include "tests/collectives/collective_case.h"
#include "tests/transport/contract.h"
#include "tools/support/faulty_transport.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr std::uint32_t kFingerprint = 0xfeed;

// A channel from left to right, away from the start of the window on purpose.
struct Line {
  explicit Line(ChannelShape chosen, const TransportUnderTest& it = shm_of_threads())
      : shape(chosen),
        pair(it, kFirstByte + shape.total_bytes() + 64, kFirstCell + shape.slots + 1),
        send(*pair.to_right, pair.left_window->cell(kCreditCell), {kFirstCell, kFirstByte}, shape),
        receive(*pair.right_window, *pair.to_left, kCreditCell, {kFirstCell, kFirstByte}, shape) {}

  static constexpr int kCreditCell = 2, kFirstCell = 3;
  static constexpr std::size_t kFirstByte = 128;
  ChannelShape shape;
  Pair pair;
  SendEnd send;
  ReceiveEnd receive;
};

std::byte byte_of(std::size_t message, std::size_t i) {
  return static_cast<std::byte>((message * 31 + i * 7 + i / 256) & 0xff);
}

// Sizes around every boundary: nothing, in the cell, just not in the cell, the whole slot.
std::size_t bytes_of_message(std::size_t message, std::size_t slot_bytes) {
  const std::size_t sizes[] = {0, 1, 55, 56, 57, 64, slot_bytes - 1, slot_bytes};
  return sizes[message % std::size(sizes)];
}

void send_one(SendEnd& end, std::size_t message, std::size_t slot_bytes) {
  std::vector<std::byte> bytes(bytes_of_message(message, slot_bytes));
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = byte_of(message, i);
  std::byte* slot = end.slot();
  // Every third message is stored into the slot itself, where that can be done.
  if (slot != nullptr && bytes.size() > kInlineBytes && message % 3 == 0) {
    std::memcpy(slot, bytes.data(), bytes.size());
    end.publish(kFingerprint);
  } else {
    end.send(kFingerprint, bytes.data(), bytes.size());
  }
}

std::string receive_one(ReceiveEnd& end, std::size_t message, std::size_t slot_bytes) {
  const std::size_t bytes = bytes_of_message(message, slot_bytes);
  const std::byte* at = end.message(bytes);
  for (std::size_t i = 0; i < bytes; ++i)
    if (at[i] != byte_of(message, i))
      return text("message %zu: byte %zu of %zu is wrong", message, i, bytes);
  if (end.flag().fingerprint != kFingerprint) return text("message %zu: fingerprint", message);
  end.release();
  return "";
}

template <class Possible>
bool wait_until(const Possible& possible) {
  const Deadline deadline = Deadline::after_seconds(5);
  while (!possible()) {
    if (deadline.passed()) return false;
    ::sched_yield();
  }
  return true;
}

std::string stream_through(Line& line, std::size_t messages) {
  std::string sender_verdict;
  std::atomic<bool> given_up{false};  // the reader has found something and takes no more
  std::thread sender([&] {
    for (std::size_t m = 1; m <= messages && sender_verdict.empty() && !given_up; ++m) {
      if (!wait_until([&] { return line.send.may_send() || given_up; }))
        sender_verdict = "no credit came";
      else if (!given_up)
        send_one(line.send, m, line.shape.slot_bytes);
    }
  });
  std::string verdict;
  for (std::size_t m = 1; m <= messages && verdict.empty(); ++m) {
    if (!wait_until([&] { return line.receive.arrived() || line.receive.overtaken(); }))
      verdict = text("message %zu never came", m);
    else if (line.receive.overtaken())
      verdict = text("message %zu was overtaken", m);
    else
      verdict = receive_one(line.receive, m, line.shape.slot_bytes);
  }
  given_up = !verdict.empty();
  sender.join();
  return verdict.empty() ? sender_verdict : verdict;
}

}  // namespace

RINGSIDE_TEST(channel, messages_come_whole_and_in_order) {
  for (const TransportUnderTest& it :
       {shm_of_threads(), around("shm without mapped()", unmapped())})
    for (int slots = 1; slots <= 5; ++slots)
      for (const std::size_t slot_bytes : {65, 1000}) {
        Line line({slots, slot_bytes}, it);
        const std::string verdict = stream_through(line, kUnderTsan ? 300 : 1000);
        CHECK_MSG(verdict.empty(), "%s, %d slots of %zu bytes: %s", it.name, slots, slot_bytes,
                  verdict.c_str());
      }
}

RINGSIDE_TEST(channel, sender_stops_exactly_when_all_slots_are_full) {
  for (int slots = 1; slots <= 5; ++slots) {
    Line line({slots, 256});
    CHECK(!line.receive.arrived());
    std::size_t sent = 0, received = 0;
    for (int round = 0; round < 20; ++round) {
      while (line.send.may_send()) send_one(line.send, ++sent, 256);
      // Credit comes in batches, so up to a batch may be read and not yet returned.
      CHECK(sent - received <= static_cast<std::size_t>(slots));
      CHECK(sent - received > static_cast<std::size_t>(slots) - credit_batch(slots));
      if (round == 0) CHECK_EQ(sent, static_cast<std::size_t>(slots));
      const std::size_t take = 1 + static_cast<std::size_t>(round) % (sent - received);
      for (std::size_t i = 0; i < take; ++i) {
        REQUIRE(line.receive.arrived());
        CHECK(!line.receive.overtaken());
        const std::string verdict = receive_one(line.receive, ++received, 256);
        CHECK_MSG(verdict.empty(), "%d slots: %s", slots, verdict.c_str());
      }
    }
  }
}

RINGSIDE_TEST(channel, credit_comes_back_in_batches) {
  for (int slots = 1; slots <= 64; ++slots) {
    Line line({slots, 64});
    std::uint32_t returned = 0;
    for (std::uint32_t message = 1; message <= 200; ++message) {
      REQUIRE(line.send.may_send());
      line.send.send(kFingerprint, &message, sizeof message);
      REQUIRE(line.receive.arrived());
      line.receive.release();
      const Signal credit = line.pair.left_window->cell(Line::kCreditCell).acquire();
      CHECK(message - credit.sequence < credit_batch(slots));
      CHECK(credit.sequence >= returned);
      returned = credit.sequence;
    }
  }
}

// A slot's bytes, and those beside it, stay as they are while messages travel in cells.
RINGSIDE_TEST(channel, small_messages_leave_the_slots_alone) {
  Line line({3, 64});
  std::byte* data = line.pair.right_window->data();
  std::memset(data, 0x77, line.pair.right_window->bytes());
  const std::byte content[kInlineBytes] = {};
  for (int i = 0; i < 10; ++i) {
    REQUIRE(line.send.may_send());
    line.send.send(kFingerprint, content, sizeof content);
    REQUIRE(line.receive.arrived());
    line.receive.release();
  }
  bool untouched = true;
  for (std::size_t i = 0; i < line.pair.right_window->bytes(); ++i)
    untouched &= data[i] == std::byte{0x77};
  CHECK(untouched);
}

// A receiver consumes as much as it can, a sender sends as much as it can, from `first` on.
// Nothing may be overrun, and nobody may wait for ever; also where 32 bits end.
RINGSIDE_TEST(protocol, credits_keep_both_sides_moving_across_the_wrap) {
  for (int slots = 1; slots <= kMaxSlots; ++slots)
    for (const std::uint32_t first : {0u, 0u - 1u, 0u - 7u, 0u - 200u}) {
      std::uint32_t sent = first, consumed = first, returned = first;
      for (int round = 0; round < 10; ++round) {
        const std::uint32_t before = sent;
        while (may_send(sent, returned, slots)) ++sent;
        CHECK(ahead(sent, consumed) <= slots);
        CHECK_MSG(sent != before, "%d slots: stuck at %u after %u", slots, sent, first);
        while (consumed != sent) {
          CHECK(ahead(sent, consumed) > 0);
          if (credit_due(++consumed, slots)) returned = consumed;
        }
      }
    }
}

RINGSIDE_TEST(protocol, signals_pack_and_compare) {
  const Signal signal = unpack(pack({0xffff'ffffu, 0x8000'0001u}));
  CHECK_EQ(signal.sequence, 0xffff'ffffu);
  CHECK_EQ(signal.fingerprint, 0x8000'0001u);
  CHECK_EQ(ahead(0, 0xffff'ffffu), 1);
  CHECK_EQ(ahead(0xffff'ffffu, 0), -1);
  CHECK_EQ(ahead(5, 5), 0);
  for (int slots = 1; slots <= 5; ++slots)
    for (std::uint64_t m = 1; m < 50; ++m)
      CHECK_EQ(slot_of(m + static_cast<std::uint64_t>(slots), slots), slot_of(m, slots));
}

RINGSIDE_TEST(chunks, tile_exactly_the_longer_ones_first) {
  for (std::size_t count = 0; count <= 130; ++count)
    for (int parts = 1; parts <= 17; ++parts) {
      const Chunks chunks{count, parts};
      const std::vector<std::size_t> counts = tools::dealt(count, parts);
      std::size_t next = 0;
      for (int c = 0; c < parts; ++c) {
        CHECK_EQ(chunks[c].begin, next);
        next += chunks[c].count;
        if (c > 0) CHECK(chunks[c].count <= chunks[c - 1].count);
        CHECK_EQ(chunks[c].count, counts[static_cast<std::size_t>(c)]);
      }
      CHECK_EQ(next, count);
      CHECK(chunks.longest() - chunks[parts - 1].count <= 1);
    }
  constexpr Chunks huge{std::size_t{1} << 62, 7};
  static_assert(huge[6].begin + huge[6].count == std::size_t{1} << 62);
}

RINGSIDE_TEST(chunks, slices_cover_a_chunk_exactly_once) {
  for (std::size_t count = 0; count <= 40; ++count)
    for (int parts = 1; parts <= 5; ++parts)
      for (std::size_t slice_count = 1; slice_count <= 12; ++slice_count) {
        const Chunks chunks{count, parts};
        const std::size_t slices = slices_for(chunks.longest(), slice_count);
        CHECK(slices >= 1);
        for (int c = 0; c < parts; ++c) {
          std::size_t next = chunks[c].begin;
          for (std::size_t s = 0; s < slices; ++s) {
            const Range slice = slice_of(chunks[c], s, slice_count);
            CHECK_EQ(slice.begin, next);
            CHECK(slice.count <= slice_count);
            next += slice.count;
          }
          CHECK_EQ(next, chunks[c].begin + chunks[c].count);
        }
      }
}

// Channels lie side by side in a window: no two share a cell, a byte, or even a cache line.
RINGSIDE_TEST(window_plan, places_do_not_overlap) {
  for (const int size : {1, 2, 3, 8, 64, 1000})
    for (const std::size_t slot_bytes : {8, 65, 131072})
      for (const int slots : {1, 3, 4, 64}) {
        const WindowLayout plan = WindowLayout::make(size, slot_bytes, slots);
        CHECK(plan.ring_place().first_cell > WindowLayout::kRingCreditCell);
        int next_cell = plan.ring_place().first_cell + plan.ring.slots;
        std::size_t next_byte = plan.ring_place().first_byte + plan.ring.total_bytes();
        CHECK(plan.ring.total_bytes() >= slot_bytes * static_cast<std::size_t>(slots));
        for (int pair = 0; pair < kUses * size; ++pair) {
          const auto use = static_cast<Use>(pair / size);
          const int peer = pair % size;
          CHECK(plan.pair_credit_cell(use, peer) >= next_cell);
          CHECK(plan.pair_place(use, peer).first_cell > plan.pair_credit_cell(use, peer));
          CHECK(plan.pair_place(use, peer).first_byte >= next_byte);
          CHECK_EQ(plan.pair_place(use, peer).first_byte % kLineBytes, 0u);
          next_cell = plan.pair_place(use, peer).first_cell + plan.pair.slots;
          next_byte = plan.pair_place(use, peer).first_byte + plan.pair.total_bytes();
        }
        CHECK(plan.total_cells() >= next_cell);
        CHECK(plan.total_bytes() >= next_byte);
        CHECK(plan.pair.slot_bytes >= kMinSlotBytes && plan.pair.slot_bytes <= slot_bytes);
      }
}
