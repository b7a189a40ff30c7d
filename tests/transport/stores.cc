// How stores that a peer will read are made, with played times.
#include "comm/transport/stores.h"

#include "tests/support/test.h"

namespace ringside {
namespace {

constexpr std::size_t kSmall = 4096, kLarge = 65536;

// A machine on which a line takes so many ns each way.
struct Machine {
  double cached_ns, past_ns;
};
constexpr Machine kOneCache{8, 3}, kTwoCaches{28, 2};

bool play(StoreChooser& chooser, const Machine& machine, std::size_t bytes, int messages) {
  StoreChooser::Turn turn{};
  for (int i = 0; i < messages; ++i) {
    turn = chooser.next(bytes);
    const double line_ns = turn.streaming ? machine.past_ns : machine.cached_ns;
    if (turn.timed) chooser.note(bytes, turn.streaming, line_ns * static_cast<double>(bytes) / 64);
  }
  return chooser.next(bytes).streaming;
}

RINGSIDE_TEST(stores, what_is_much_faster_is_taken) {
  for (const std::size_t bytes : {kSmall, kLarge}) {
    StoreChooser one, two;
    CHECK(!play(one, kOneCache, bytes, 20));
    CHECK(play(two, kTwoCaches, bytes, 20));
  }
}

RINGSIDE_TEST(stores, each_size_by_itself_and_small_ones_never) {
  StoreChooser chooser;
  CHECK(play(chooser, kTwoCaches, kLarge, 20));
  CHECK(!play(chooser, kOneCache, kSmall, 20));
  CHECK(play(chooser, kTwoCaches, kLarge, 20));
  CHECK(!play(chooser, kTwoCaches, StoreChooser::kLeastBytes - 1, 20));
}

RINGSIDE_TEST(stores, cores_that_move_are_noticed) {
  StoreChooser chooser;
  for (int round = 0; round < 3; ++round) {
    CHECK(!play(chooser, kOneCache, kLarge, 1100));
    CHECK(play(chooser, kTwoCaches, kLarge, 1100));
  }
}

// Calls in place, whose output this rank has just written, in turns with others.
RINGSIDE_TEST(stores, one_cheap_store_in_two_says_nothing) {
  StoreChooser chooser;
  for (int i = 0; i < 20; ++i) {
    const StoreChooser::Turn turn = chooser.next(kLarge);
    const double line_ns = turn.streaming ? 3 : i % 4 < 2 ? 5 : 28;
    if (turn.timed) chooser.note(kLarge, turn.streaming, line_ns * kLarge / 64);
  }
  CHECK(chooser.next(kLarge).streaming);
}

// A rank that loses its core in the middle of a store.
RINGSIDE_TEST(stores, one_long_store_says_nothing) {
  StoreChooser chooser;
  play(chooser, kOneCache, kLarge, 20);
  StoreChooser::Turn turn{};
  while (!turn.timed) turn = chooser.next(kLarge);
  CHECK(!turn.streaming);
  chooser.note(kLarge, false, 4e6);
  CHECK(!chooser.next(kLarge).streaming);
}

RINGSIDE_TEST(stores, what_is_forced_is_not_measured) {
  for (const bool streaming : {false, true}) {
    StoreChooser chooser;
    chooser.force(streaming);
    for (const std::size_t bytes : {std::size_t{64}, kLarge}) {
      CHECK_EQ(play(chooser, streaming ? kOneCache : kTwoCaches, bytes, 20), streaming);
      CHECK(!chooser.next(bytes).timed);
    }
  }
}

}  // namespace
}  // namespace ringside
