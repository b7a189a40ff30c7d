// Does the prover, and does the oracle, see what can go wrong with the operations of mesh.h?
// Their commonest mistake is the wrong bucket: every message arrives, every length is right, and
// two parts have changed places. Each such mistake is made here on purpose and must be refuted by a
// sentence that names it.
#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "tests/collectives/collective_case.h"
#include "tests/support/test.h"
#include "tests/verify/algorithms.h"

namespace ringside {
namespace {

constexpr int kSize = 4;

template <class Algorithm>
void check_violation(test::Context& t, Kind kind, const char* sentence,
                     const Algorithm& algorithm) {
  test::check_violation(t, prove(record_all(kSize, 1, algorithm), kind, 1, {.slots = 2}), sentence);
}

// 2 and 3 change places on rank 1.
int confused(const Ring& ring, int bucket) {
  return ring.rank == 1 && bucket >= 2 ? 5 - bucket : bucket;
}

// As in mesh.h, but for the piece that each word names.
template <class Sent, class Received>
auto all_to_all_with(const Sent& sent, const Received& received) {
  return [=](Recorder& executor, const Ring& ring) {
    executor.copy_input(ring.rank, 0);
    for (int k = 1; k < ring.size; ++k) {
      const int to = ring.after(ring.rank, k), from = ring.after(ring.rank, ring.size - k);
      executor.exchange({to}, {Place::input, sent(ring, to)}, {from},
                        {Place::output, received(ring, from)}, 0);
    }
  };
}

int right_one(const Ring&, int bucket) { return bucket; }

}  // namespace

RINGSIDE_TEST(proof_mutants, the_wrong_bucket_of_an_all_to_all_is_named) {
  CHECK(prove(record_all(kSize, 1, all_to_all_with(right_one, right_one)), Kind::all_to_all, 1,
              {.slots = 2})
            .holds);
  check_violation(t, Kind::all_to_all,
                  "rank 2 expects chunk 2 of slice 0 and receives chunk 3 of slice 0",
                  all_to_all_with(confused, right_one));
  check_violation(t, Kind::all_to_all, "rank 1 ends with chunk 2 folded as [3]; [2] was promised",
                  all_to_all_with(right_one, confused));
}

RINGSIDE_TEST(proof_mutants, a_gather_that_mixes_up_its_ranks_is_named) {
  check_violation(t, Kind::gather,
                  "rank 1 expects chunk 3 of slice 0 and receives chunk 2 of slice 0",
                  [](Recorder& executor, const Ring& ring) {
                    if (ring.rank != 1) return executor.send({1}, {Place::input, ring.rank}, 0);
                    executor.copy_input(1, 0);
                    for (const int peer : {2, 3, 0})
                      executor.receive({peer}, {Place::output, confused(ring, peer)}, 0);
                  });
}

RINGSIDE_TEST(proof_mutants, a_scatter_of_the_wrong_part_is_named) {
  check_violation(t, Kind::scatter,
                  "rank 1 expects chunk 1 of slice 0 and receives chunk 3 of slice 0",
                  [](Recorder& executor, const Ring& ring) {
                    if (ring.rank != 0) return executor.receive({0}, {Place::output, ring.rank}, 0);
                    executor.copy_input(0, 0);
                    for (const int peer : {1, 2, 3})
                      executor.send({peer}, {Place::input, 4 - peer}, 0);
                  });
}

// A gather after the reduce-scatter that asks one rank for another's chunk.
RINGSIDE_TEST(proof_mutants, a_reduce_that_expects_the_wrong_chunk_is_named) {
  check_violation(
      t, Kind::reduce, "rank 0 expects chunk 3 of slice 0 and receives chunk 1 of slice 0",
      [](Recorder& executor, const Ring& ring) {
        reduce_scatter_slice(executor, ring, 0, ring.rank == 0 ? Place::output : Place::scratch);
        if (ring.rank != 0) return executor.send({0}, {Place::scratch, ring.rank}, 0);
        for (const int peer : {1, 2, 3}) executor.receive({peer}, {Place::output, 4 - peer}, 0);
      });
}

// The same on bytes: the oracle is asked about a call whose input had two buckets in the wrong
// order on one rank, and sees it on the two ranks that they were for, and on no other.
RINGSIDE_TEST(mutants, the_wrong_bucket_of_an_all_to_all_is_caught_by_the_oracle) {
  using namespace test;
  const std::size_t count = 5, part = count * sizeof(float);
  const Operation what{Kind::all_to_all, DType::f32, Reduction::sum, 0, count};
  const Expectation expected = expect({.what = what}, kSize);
  std::vector<std::string> wrong(kSize);
  on_ranks(kSize, test_options(), [&](Communicator& comm) {
    const auto me = static_cast<std::size_t>(comm.rank());
    Bytes input = expected.inputs[me], output(input.size());
    if (me == 1) std::swap_ranges(&input[2 * part], &input[3 * part], &input[3 * part]);
    comm.all_to_all(input.data(), output.data(), count, DType::f32);
    wrong[me] = difference(output.data(), expected.outputs[me].data(), kSize * count, DType::f32);
    comm.barrier();
  });
  CHECK(wrong[0].empty() && wrong[1].empty());
  CHECK(!wrong[2].empty() && !wrong[3].empty());
}

}  // namespace ringside
