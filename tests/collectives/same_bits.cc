// Which algorithm runs changes no bit: the ring, the one-shot, the two-shot and reduce are asked
// the same, and their answers are compared byte for byte.
#include <atomic>
#include <cstring>

#include "comm/algorithms/one_shot.h"
#include "comm/algorithms/two_shot.h"
#include "comm/bootstrap/threads.h"
#include "comm/host/choice.h"
#include "comm/host/plan.h"
#include "tests/collectives/collective_case.h"
#include "tools/support/faulty_transport.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr std::size_t kSlotBytes = 2048;

Options with_algorithm(Algorithm algorithm) {
  Options options = test_options();
  options.slot_bytes = kSlotBytes;
  options.algorithm = algorithm;
  return options;
}

// Communicators of the same ranks that differ in nothing else.
struct Rivals {
  explicit Rivals(Bootstrap& bootstrap)
      : ring(bootstrap, with_algorithm(Algorithm::ring)),
        one_shot(bootstrap, with_algorithm(Algorithm::one_shot)),
        two_shot(bootstrap, with_algorithm(Algorithm::two_shot)),
        automatic(bootstrap, with_algorithm(Algorithm::automatic)) {}
  Communicator ring, one_shot, two_shot, automatic;
};

struct Question {
  std::size_t count;
  DType dtype;
  Reduction reduction;
  bool special;
};

// Which NaN comes out of a NaN is not promised; without them there is nothing to forgive.
bool equal(const Bytes& a, const Bytes& b, const Question& q) {
  if (q.special) return difference(a.data(), b.data(), q.count, q.dtype).empty();
  return a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0;
}

Bytes answer(Communicator& comm, const Bytes& input, const Question& q, bool in_place) {
  Bytes output = in_place ? input : Bytes(input.size());
  comm.all_reduce(in_place ? output.data() : input.data(), output.data(), q.count, q.dtype,
                  q.reduction);
  return output;
}

void compare(Context& t, Rivals& rivals, const Question& q) {
  const int rank = rivals.ring.rank(), size = rivals.ring.size();
  const Bytes input = make_input(rank, q.count, q.dtype, q.reduction, 7, q.special);
  const Bytes wanted = answer(rivals.ring, input, q, false);
  const auto check = [&](const Bytes& got, const char* who) {
    CHECK_MSG(equal(got, wanted, q), "rank %d of %d: %s has other bits than the ring, %s %s × %zu",
              rank, size, who, name_of(q.dtype), name_of(q.reduction), q.count);
  };
  check(answer(rivals.ring, input, q, true), "the ring in place");
  check(answer(rivals.one_shot, input, q, false), "one-shot");
  check(answer(rivals.one_shot, input, q, true), "one-shot in place");
  check(answer(rivals.two_shot, input, q, false), "two-shot");
  check(answer(rivals.two_shot, input, q, true), "two-shot in place");
  check(answer(rivals.automatic, input, q, true), "auto");
  const int root = static_cast<int>(q.count) % size;
  Bytes reduced(input.size());
  rivals.one_shot.reduce(input.data(), rank == root ? reduced.data() : nullptr, q.count, q.dtype,
                         q.reduction, root);
  if (rank == root) check(reduced, "reduce");
}

// The last three: on both sides of what a slot holds, and several slices of each chunk.
std::vector<std::size_t> counts(int ranks, DType dtype) {
  const auto n = static_cast<std::size_t>(ranks);
  const std::size_t fits = kSlotBytes / bytes_of(dtype);
  return {0, 1, n - 1, n, n + 1, 7, 100, fits, fits + 1, 2 * n * fits + 3};
}

void compare_all(Context& t, int ranks) {
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    Rivals rivals(bootstrap);
    for (const DType dtype : kAllDTypes)
      for (const Reduction reduction : kAllReductions)
        for (const std::size_t count : counts(ranks, dtype))
          for (const bool special : {false, true})
            compare(t, rivals, {count, dtype, reduction, special});
    rivals.ring.barrier();
  });
}

// Counts the signals that a rank sends.
class Counted : public PeerWindowAround {
 public:
  Counted(std::unique_ptr<PeerWindow> inner, std::atomic<int>* signals)
      : PeerWindowAround(std::move(inner)), signals_(signals) {}
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    ++*signals_;
    PeerWindowAround::signal(cell, value, payload, payload_bytes);
  }

 private:
  std::atomic<int>* signals_;
};

// How many messages all ranks send in their first all_reduce. With many slots none is credit.
int messages_of(int ranks, Algorithm algorithm, std::size_t bytes) {
  std::atomic<int> signals{0};
  Options options = with_algorithm(algorithm);
  options.slot_count = 64;
  options.decorate = decorate_with<Counted>(&signals);
  on_ranks(ranks, options, [&](Communicator& comm) {
    Bytes data(bytes);
    comm.all_reduce(data.data(), data.data(), bytes, DType::u8, Reduction::sum);
  });
  return signals;
}

}  // namespace

RINGSIDE_TEST(algorithms, ring_one_shot_two_shot_and_reduce_have_the_same_bits) {
  for (int ranks = 1; ranks <= 8; ++ranks) compare_all(t, ranks);
}

// What was compared were really two algorithms, and this is where one ends and the other begins.
RINGSIDE_TEST(algorithms, messages_tell_which_one_ran) {
  for (const int n : {2, 3, 5}) {
    const int ring = 2 * n * (n - 1), one_shot = n * (n - 1);
    CHECK_EQ(messages_of(n, Algorithm::ring, 8), ring);
    CHECK_EQ(messages_of(n, Algorithm::automatic, 8), one_shot);
    CHECK_EQ(messages_of(n, Algorithm::one_shot, kSlotBytes), one_shot);
    CHECK_EQ(messages_of(n, Algorithm::one_shot, kSlotBytes + 1), ring);
  }
}

// The two-shot sends as many messages as the ring, so here the plan says which one runs: between
// the one-shot and the ring where ranks are three or more, everywhere where it is forced.
RINGSIDE_TEST(algorithms, the_plan_names_the_two_shot) {
  const auto algorithm_of = [](int ranks, Algorithm algorithm, std::size_t bytes) {
    const HostSettings settings{{0, ranks}, 131072, 65536, algorithm};
    Bytes data(bytes + 1);
    const Plan plan =
        make_plan(settings.self, {Kind::all_reduce, DType::u8, Reduction::sum, 0, bytes},
                  data.data(), data.data());
    return choose(settings, plan).algorithm;
  };
  using enum Algorithm;
  for (const int ranks : {3, 4, 8}) {
    const std::size_t small = one_shot_pays_up_to(ranks), middle = two_shot_pays_up_to(ranks);
    CHECK(small < middle);
    CHECK(algorithm_of(ranks, automatic, small) == one_shot);
    CHECK(algorithm_of(ranks, automatic, small + 1) == two_shot);
    CHECK(algorithm_of(ranks, automatic, middle) == two_shot);
    CHECK(algorithm_of(ranks, automatic, middle + 1) == ring);
  }
  for (const std::size_t bytes : {0, 1, 65536, 1 << 20}) {
    CHECK(algorithm_of(2, automatic, bytes) != two_shot);
    CHECK(algorithm_of(1, two_shot, bytes) == ring);
    for (const int ranks : {2, 3, 8}) {
      CHECK(algorithm_of(ranks, two_shot, bytes) == two_shot);
      CHECK(algorithm_of(ranks, ring, bytes) == ring);
    }
  }
}

RINGSIDE_TEST(algorithms, the_border_is_the_same_on_all_ranks) {
  for (const int ranks : {1, 2, 3, 8})
    run_as_threads(ranks, [&](Bootstrap& bootstrap) {
      Rivals rivals(bootstrap);
      Communicator large(bootstrap, test_options());
      CHECK_EQ(rivals.ring.one_shot_most_bytes(), 0u);
      if (ranks == 1) {
        CHECK_EQ(rivals.one_shot.one_shot_most_bytes(), 0u);
        return;
      }
      CHECK_EQ(rivals.one_shot.one_shot_most_bytes(), kSlotBytes);
      CHECK_EQ(rivals.automatic.one_shot_most_bytes(), kSlotBytes);
      CHECK_EQ(large.one_shot_most_bytes(), one_shot_pays_up_to(ranks));
    });
}
