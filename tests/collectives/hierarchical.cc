// all_reduce in groups (comm/algorithms/hierarchical.h) by the host executor, against an oracle
// that adds in the order which that file states, byte for byte.
#include <cstring>
#include <vector>

#include "comm/allocate.h"
#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "kernels/loops.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"
#include "tests/support/test.h"

using namespace ringside;
using namespace ringside::test;

namespace {

struct Shape {
  int ranks;  // of a group
  int groups;
};
constexpr Shape kShapes[] = {{1, 1}, {1, 3}, {3, 1}, {2, 2}, {2, 3}, {3, 2}, {4, 2}, {2, 4}};

Bytes in_groups(const std::vector<Bytes>& inputs, Shape shape, std::size_t count, DType dtype,
                Reduction reduction) {
  return tools::expected_output(
      {Kind::all_reduce, dtype, reduction, 0, count},
      {.size = shape.ranks * shape.groups, .group_ranks = shape.ranks}, inputs);
}

Options groups_of(int ranks) {
  Options options = test_options();
  options.slot_bytes = 256;
  options.algorithm = Algorithm::hierarchical;
  options.group_ranks = ranks;
  return options;
}

// Whether every rank has exactly these bytes; in memory from allocate(), or not.
bool all_have(const std::vector<Bytes>& inputs, Shape shape, std::size_t count, DType dtype,
              Reduction reduction, const Bytes& wanted) {
  std::atomic<int> wrong{0};
  run_as_threads(shape.ranks * shape.groups, [&](Bootstrap& bootstrap) {
    Options options = groups_of(shape.ranks);
    options.zero_copy_from_bytes = 64;
    Communicator comm(bootstrap, options);
    const Bytes& input = inputs[static_cast<std::size_t>(comm.rank())];
    const auto is_wanted = [&](const void* output) {
      return wanted.empty() || std::memcmp(output, wanted.data(), wanted.size()) == 0;
    };
    Bytes output(input.size());
    comm.all_reduce(input.data(), output.data(), count, dtype, reduction);
    wrong += !is_wanted(output.data());
    output = input;
    comm.all_reduce(output.data(), output.data(), count, dtype, reduction);
    wrong += !is_wanted(output.data());
    auto* const exposed = static_cast<std::byte*>(allocate(std::max<std::size_t>(input.size(), 1)));
    if (!input.empty()) std::memcpy(exposed, input.data(), input.size());
    comm.all_reduce(exposed, exposed, count, dtype, reduction);
    wrong += !is_wanted(exposed);
    comm.barrier();
    deallocate(exposed);
  });
  return wrong == 0;
}

std::vector<Bytes> inputs_of(int ranks, std::size_t count, DType dtype, Reduction reduction) {
  std::vector<Bytes> inputs;
  for (int rank = 0; rank < ranks; ++rank)
    inputs.push_back(make_input(rank, count, dtype, reduction, 11, false));
  return inputs;
}

}  // namespace

RINGSIDE_TEST(collectives, hierarchical_adds_in_its_stated_order) {
  for (const Shape shape : kShapes)
    for (const std::size_t count : {0, 1, 7, 1000})
      for (const DType dtype : {DType::f32, DType::bf16, DType::i64})
        for (const Reduction reduction : {Reduction::sum, Reduction::avg, Reduction::max}) {
          const auto inputs = inputs_of(shape.ranks * shape.groups, count, dtype, reduction);
          const Bytes wanted = in_groups(inputs, shape, count, dtype, reduction);
          CHECK_MSG(all_have(inputs, shape, count, dtype, reduction, wanted),
                    "%d groups of %d, %zu %s, %s", shape.groups, shape.ranks, count, name_of(dtype),
                    name_of(reduction));
        }
}

// The oracle sees the order: groups of another size have other bits.
RINGSIDE_TEST(collectives_mutants, another_order_than_the_hierarchical_is_caught) {
  const auto inputs = inputs_of(4, 1000, DType::f32, Reduction::sum);
  const Bytes other = in_groups(inputs, {4, 1}, 1000, DType::f32, Reduction::sum);
  CHECK(!all_have(inputs, {2, 2}, 1000, DType::f32, Reduction::sum, other));
  CHECK(all_have(inputs, {4, 1}, 1000, DType::f32, Reduction::sum, other));
}

RINGSIDE_TEST(collectives, groups_that_do_not_divide_the_ranks_are_refused) {
  on_ranks(3, groups_of(2), [&](Communicator& comm) {
    float value = 1;
    const Ending ending =
        ending_of([&] { comm.all_reduce(&value, &value, 1, DType::f32, Reduction::sum); });
    check_fault(t, ending, Fault::usage, {"3 ranks cannot be cut into groups of 2"});
    comm.barrier();
  });
}
