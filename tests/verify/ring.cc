// The ring, proved with symbols: for 1 to 64 ranks every algorithm computes what it claims, in the
// promised order, on any number of slots and on none, whoever runs first.
//
// What a proof covers stands in comm/verify/prove.h. A proof that accepts everything would pass
// these tests too; that this one does not is shown in tests/verify/ring_mutants.cc, where each
// thing that could be wrong is made wrong and is refuted by name.
//
// Slots 0 is the rendezvous, where a send ends only when somebody takes it: what runs there runs on
// any number of slots. 1 to 4 slots are tried all the same: from 4 on credit travels in batches.
#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "comm/algorithms/chunks.h"
#include "tests/support/test.h"
#include "tests/verify/algorithms.h"

namespace ringside {
namespace {

using namespace test;

// Messages over all edges, as a formula. Each of n ranks sends in each of n − 1 steps; a broadcast
// crosses every edge but the one that comes back to the root.
std::size_t messages_of(Kind kind, int size, std::size_t slices) {
  const auto n = static_cast<std::size_t>(size);
  switch (kind) {
    case Kind::all_reduce:
      return 2 * n * (n - 1) * slices;
    case Kind::reduce_scatter:
    case Kind::all_gather:
      return n * (n - 1) * slices;
    case Kind::broadcast:
    case Kind::gather:
    case Kind::scatter:
      return (n - 1) * slices;
    case Kind::reduce:
      return (n * (n - 1) + (n - 1)) * slices;
    default:  // all_to_all
      return n * (n - 1) * slices;
  }
}

void check_proved(test::Context& t, Kind kind, const std::vector<Program>& programs,
                  std::size_t slices, const ProofRules& rules) {
  const int size = static_cast<int>(programs.size());
  const Proof proof = test::check_holds(t, kind, programs, slices, rules);
  CHECK_MSG(proof.messages == messages_of(kind, size, slices),
            "%s of %d ranks: %zu messages, and not %zu", name_of(kind), size, proof.messages,
            messages_of(kind, size, slices));
}

// Every size, in the usual order of turns.
void check_every_size(test::Context& t, Kind kind) {
  constexpr std::size_t kSlices = 2;
  for (int size = 1; size <= kMostProvedRanks; ++size) {
    const std::vector<Program> programs = programs_of(kind, size, kSlices);
    for (int slots = 0; slots <= 3; ++slots)
      for (const bool in_place : {false, true})
        check_proved(t, kind, programs, kSlices,
                     {.slots = slots, .in_place = in_place, .exposes = slots % 2 == 0});
  }
}

void check_several_roots(test::Context& t, Kind kind) {
  constexpr std::size_t kSlices = 3;
  for (int size = 1; size <= kMostProvedRanks; ++size)
    for (int root = 0; root < size; ++root) {
      const bool chosen =
          size <= 8 || root == 0 || root == 1 || root == size / 2 || root == size - 1;
      // A reduce has a ring's length besides, so a large one does with less.
      const bool large = kind == Kind::reduce && size > 16;
      if (!chosen || (large && root > 1)) continue;
      const std::vector<Program> programs = programs_of(kind, size, kSlices, root);
      const int slots_step = large ? 3 : 1;
      for (int slots = 0; slots <= 3; slots += slots_step)
        for (const Turns turns : {Turns::round_robin, Turns::eager, Turns::eager_down})
          check_proved(t, kind, programs, kSlices,
                       {.slots = slots,
                        .in_place = slots % 2 == 0,
                        .turns = turns,
                        .root = root,
                        .exposes = turns == Turns::eager});
    }
}

void check_schedules(test::Context& t, Kind kind, int size, std::size_t slices) {
  const std::vector<Program> programs = programs_of(kind, size, slices);
  for (int slots = 0; slots <= 4; ++slots)
    for (const int which : {0, 1, 2, 3}) {
      const ProofRules rules{.slots = slots, .in_place = which % 2 == 1, .exposes = which >= 2};
      if (rules.in_place && kind == Kind::all_to_all) continue;
      for (const ProofRules& it : test::in_every_order(rules))
        check_proved(t, kind, programs, slices, it);
    }
}

// What one rank sends, in elements, of a buffer of `count`.
std::size_t elements_sent(const Program& program, Chunks chunks, std::size_t slice_count) {
  std::size_t sent = 0;
  for (const Step& step : program)
    if (step.send) sent += slice_of(chunks[step.send->chunk], step.slice, slice_count).count;
  return sent;
}

}  // namespace

RINGSIDE_TEST(proof, all_reduce_for_1_to_64_ranks) { check_every_size(t, Kind::all_reduce); }
RINGSIDE_TEST(proof, reduce_scatter_for_1_to_64_ranks) {
  check_every_size(t, Kind::reduce_scatter);
}
RINGSIDE_TEST(proof, all_gather_for_1_to_64_ranks) { check_every_size(t, Kind::all_gather); }

// all_to_all is not called in place (communicator.h).
RINGSIDE_TEST(proof, all_to_all_for_1_to_64_ranks) {
  for (int size = 1; size <= kMostProvedRanks; ++size) {
    const std::vector<Program> programs = programs_of(Kind::all_to_all, size, 2);
    for (int slots = 0; slots <= 3; ++slots)
      for (const bool exposes : {false, true})
        check_proved(t, Kind::all_to_all, programs, 2, {.slots = slots, .exposes = exposes});
  }
}

RINGSIDE_TEST(proof, broadcast_for_1_to_64_ranks_from_several_roots) {
  check_several_roots(t, Kind::broadcast);
}
RINGSIDE_TEST(proof, reduce_for_1_to_64_ranks_to_several_roots) {
  check_several_roots(t, Kind::reduce);
}
RINGSIDE_TEST(proof, gather_for_1_to_64_ranks_to_several_roots) {
  check_several_roots(t, Kind::gather);
}
RINGSIDE_TEST(proof, scatter_for_1_to_64_ranks_from_several_roots) {
  check_several_roots(t, Kind::scatter);
}

RINGSIDE_TEST(proof, holds_whoever_runs_first) {
  for (const Kind kind : kSpecified) {
    for (int size = 1; size <= (test::kSanitized ? 8 : 16); ++size)
      check_schedules(t, kind, size, 1 + size % 3);
    check_schedules(t, kind, test::kSanitized ? 11 : 31, 1);
  }
  const std::vector<Program> programs = programs_of(Kind::all_reduce, kMostProvedRanks, 1);
  for (const Turns turns : {Turns::eager, Turns::eager_down, Turns::random})
    check_proved(t, Kind::all_reduce, programs, 1, {.slots = 2, .turns = turns});
}

// 2(n−1)/n of the buffer is the least that an all-reduce can make each rank send (ring.h), and it
// is what this one sends: exactly, where n divides the count, and on average over the ranks always.
RINGSIDE_TEST(proof, each_rank_sends_the_lower_bound) {
  for (int size = 1; size <= kMostProvedRanks; ++size) {
    const auto n = static_cast<std::size_t>(size);
    for (const std::size_t slice_count : {std::size_t{5}, std::size_t{1000}}) {
      const std::size_t divided = 12 * n, uneven = 12 * n + n / 2;
      const std::size_t slices = slices_for(Chunks{uneven, size}.longest(), slice_count);
      const std::vector<Program> programs = programs_of(Kind::all_reduce, size, slices);
      std::size_t together = 0;
      for (const Program& program : programs) {
        CHECK_EQ(elements_sent(program, Chunks{divided, size}, slice_count),
                 2 * (n - 1) * divided / n);
        together += elements_sent(program, Chunks{uneven, size}, slice_count);
      }
      CHECK_EQ(together, 2 * (n - 1) * uneven);
    }
  }
}

// "All-reduce = reduce-scatter + all-gather", word for word.
RINGSIDE_TEST(proof, all_reduce_is_reduce_scatter_then_all_gather) {
  for (const int size : {1, 2, 3, 4, 7, 8})
    for (const std::size_t slices : {1u, 3u})
      for (int rank = 0; rank < size; ++rank) {
        const Ring ring{rank, size};
        const Program whole = record(slices, [&](auto& executor) { all_reduce(executor, ring); });
        const Program halves = record(slices, [&](auto& executor) {
          for (std::size_t slice = 0; slice < slices; ++slice) {
            reduce_scatter_slice(executor, ring, slice);
            all_gather_slice(executor, ring, slice);
          }
        });
        CHECK_EQ(show(whole), show(halves));
      }
}

// With one slice it is even the two public collectives, one after the other, in place: the chunk
// that a rank contributes to the all-gather is in its output already, goes out from there, and need
// not be copied.
RINGSIDE_TEST(proof, all_reduce_of_one_slice_is_the_two_collectives) {
  for (const int size : {2, 3, 4, 7}) {
    for (int rank = 0; rank < size; ++rank) {
      const Ring ring{rank, size};
      Program halves = record(1, [&](auto& executor) { reduce_scatter(executor, ring); });
      Program gather = record(1, [&](auto& executor) { all_gather(executor, ring); });
      CHECK_EQ(show(gather.back()), text("copy_input: receive output %d; slice 0", rank));
      CHECK(gather[0].send->place == Place::input);
      gather[0].send->place = Place::output;
      halves.insert(halves.end(), gather.begin(), gather.end() - 1);
      CHECK_EQ(show(record(1, [&](auto& executor) { all_reduce(executor, ring); })), show(halves));
    }
  }
}

// `rests` is said of a received piece where it is true, and wherever it is.
RINGSIDE_TEST(proof, what_rests_is_not_sent_on) {
  const auto sends = [](const Step& step, const Piece& piece) {
    return step.send && step.send->place == piece.place && step.send->chunk == piece.chunk;
  };
  std::size_t resting = 0;
  for (const Kind kind : kSpecified)
    for (const int size : {2, 3, 4, 7})
      for (const Program& program : programs_of(kind, size, 2, size - 1))
        for (std::size_t at = 0; at < program.size(); ++at) {
          const std::optional<Piece>& received = program[at].receive;
          if (program[at].primitive == Primitive::post_op ||
              program[at].primitive == Primitive::copy_input)
            continue;
          if (!received || received->place == Place::partial) continue;
          const bool sent_on =
              std::any_of(program.begin() + static_cast<std::ptrdiff_t>(at) + 1, program.end(),
                          [&](const Step& later) {
                            return later.slice == program[at].slice && sends(later, *received);
                          });
          CHECK_EQ(received->streaming, !sent_on);
          resting += received->streaming ? 1 : 0;
        }
  CHECK(resting > 100);
}

// The picture at the top of ring.h, rank 0's column, in words.
RINGSIDE_TEST(proof, three_ranks_as_in_the_picture) {
  const Program program = record(1, [](auto& executor) { all_reduce(executor, Ring{0, 3}); });
  CHECK_EQ(show(program),
           "exchange_reduce: send input 2, receive partial 1; slice 0\n"
           "exchange_reduce: send partial 1, receive output 0; slice 0\n"
           "post_op: receive output 0; slice 0\n"
           "exchange: send output 0, receive output 2; slice 0\n"
           "exchange: send output 2, receive output 1; slice 0\n");
}

// A ring of one sends nothing, and still hands its input over.
RINGSIDE_TEST(proof, one_rank_keeps_its_own) {
  for (const Kind kind : kSpecified) {
    const Proof proof = prove(programs_of(kind, 1, 2), kind, 2, {});
    CHECK(proof.holds);
    CHECK_EQ(proof.messages, 0u);
  }
}

}  // namespace ringside
