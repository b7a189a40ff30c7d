// Groups made of groups: who is in, in which order, and that one group's fate is not another's.
#include <barrier>
#include <optional>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/bootstrap/wrapper.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr DType kI32 = DType::i32;
constexpr Reduction kSum = Reduction::sum;

// Which of the parent's ranks are in a group, in the group's order: by asking all of them.
std::vector<std::int32_t> members_of(Communicator& group, int rank_in_parent) {
  const std::int32_t mine = rank_in_parent;
  std::vector<std::int32_t> all(index(group.size()), -1);
  group.all_gather(&mine, all.data(), 1, kI32);
  return all;
}

std::int32_t sum_of(Communicator& group, std::int32_t value) {
  std::int32_t sum = -1;
  group.all_reduce(&value, &sum, 1, kI32, kSum);
  return sum;
}

void check_members(Context& t, std::optional<Communicator>& group, int rank_in_parent,
                   const std::vector<std::int32_t>& expected) {
  if (!group) return t.fail(__FILE__, __LINE__, text("rank %d has no group", rank_in_parent));
  CHECK_MSG(group->size() == static_cast<int>(expected.size()), "rank %d: %d members, not %zu",
            rank_in_parent, group->size(), expected.size());
  const std::vector<std::int32_t> members = members_of(*group, rank_in_parent);
  CHECK_MSG(members == expected, "rank %d is in another group, or in another order",
            rank_in_parent);
  CHECK_MSG(expected[index(group->rank())] == rank_in_parent, "rank %d took place %d",
            rank_in_parent, group->rank());
  group->barrier();
}

}  // namespace

RINGSIDE_TEST(split, equal_colours_form_a_group) {
  for (int ranks = 2; ranks <= 6; ++ranks)
    for (const int colours : {1, 2, 3})
      on_ranks(ranks, test_options(), [&](Communicator& comm) {
        const int colour = comm.rank() % colours;
        std::vector<std::int32_t> expected;
        for (int rank = colour; rank < ranks; rank += colours) expected.push_back(rank);
        // Equal keys leave the order of the ranks.
        std::optional<Communicator> group = comm.split(colour, 7);
        check_members(t, group, comm.rank(), expected);
        CHECK_EQ(group->options().slot_bytes, comm.options().slot_bytes);
        comm.barrier();
      });
}

RINGSIDE_TEST(split, keys_decide_the_order) {
  on_ranks(5, test_options(), [&](Communicator& comm) {
    const int me = comm.rank();
    std::optional<Communicator> reversed = comm.split(0, -me);
    check_members(t, reversed, me, {4, 3, 2, 1, 0});
    // Even ranks in front; within each half by rank. Colours need not be small, nor keys positive.
    std::optional<Communicator> sorted = comm.split(1'000'000'007, me % 2 == 0 ? -100 : 100);
    check_members(t, sorted, me, {0, 2, 4, 1, 3});
    std::optional<Communicator> twice = reversed->split(3, -reversed->rank());
    check_members(t, twice, me, {0, 1, 2, 3, 4});
    comm.barrier();
  });
}

RINGSIDE_TEST(split, without_a_colour_there_is_no_group) {
  for (int ranks = 2; ranks <= 4; ++ranks)
    on_ranks(ranks, test_options(), [&](Communicator& comm) {
      const int me = comm.rank();
      std::optional<Communicator> group = comm.split(me == 0 ? kNoColor : 5, 0);
      CHECK_EQ(group.has_value(), me != 0);
      if (group) CHECK_EQ(sum_of(*group, me), ranks * (ranks - 1) / 2);
      CHECK(!comm.split(kNoColor, me));  // nobody
      CHECK_EQ(sum_of(comm, 1), ranks);
    });
}

RINGSIDE_TEST(split, a_group_of_one) {
  on_ranks(3, test_options(), [&](Communicator& comm) {
    std::optional<Communicator> alone = comm.split(comm.rank(), 0);
    check_members(t, alone, comm.rank(), {comm.rank()});
    CHECK_EQ(sum_of(*alone, 17), 17);
    std::optional<Communicator> again = alone->split(0, 0);
    check_members(t, again, comm.rank(), {comm.rank()});
    comm.barrier();
  });
}

// Rows and columns of a grid, as data and tensor parallelism use them; then a split of a row.
RINGSIDE_TEST(split, a_grid_of_groups) {
  on_ranks(6, test_options(), [&](Communicator& comm) {
    const int me = comm.rank(), row = me / 3, column = me % 3;
    std::optional<Communicator> in_row = comm.split(row, column);
    std::optional<Communicator> in_column = comm.split(column, row);
    check_members(t, in_row, me, {3 * row, 3 * row + 1, 3 * row + 2});
    check_members(t, in_column, me, {column, column + 3});
    // A sum along rows, then along columns, is the sum of all.
    CHECK_EQ(sum_of(*in_column, sum_of(*in_row, me)), sum_of(comm, me));
    std::optional<Communicator> ends = in_row->split(column == 1 ? kNoColor : 0, 0);
    CHECK_EQ(ends.has_value(), column != 1);
    if (ends) check_members(t, ends, me, {3 * row, 3 * row + 2});
    comm.barrier();
  });
}

RINGSIDE_TEST(split, a_group_outlives_its_parent) {
  run_as_threads(4, [&](Bootstrap& bootstrap) {
    std::optional<Communicator> group;
    {
      Communicator comm(bootstrap, test_options());
      group = comm.split(comm.rank() % 2, 0);
    }  // and its neighbours there may still be splitting
    const int first = bootstrap.rank() % 2;
    check_members(t, group, bootstrap.rank(), {first, first + 2});
    CHECK_EQ(sum_of(*group, 5), 10);
    group->barrier();
  });
}

// Each rank has its own order of parent and child; within each communicator all have the same.
RINGSIDE_TEST(split, parent_and_child_at_once) {
  on_ranks(4, test_options(), [&](Communicator& comm) {
    std::optional<Communicator> group = comm.split(comm.rank() / 2, 0);
    constexpr int kRounds = 40;
    std::vector<std::int32_t> in_parent(kRounds, 0), in_child(kRounds, 0);
    std::vector<Work> works;
    for (int round = 0; round < kRounds; ++round) {
      std::int32_t &p = in_parent[index(round)] = round, &c = in_child[index(round)] = 100 * round;
      const auto ask = [&](Communicator& whom, std::int32_t& value) {
        works.push_back(whom.all_reduce_async(&value, &value, 1, kI32, kSum));
      };
      if ((comm.rank() + round) % 2 == 0) {
        ask(comm, p);
        ask(*group, c);
      } else {
        ask(*group, c);
        ask(comm, p);
      }
    }
    for (Work& work : works) work.wait();
    for (int round = 0; round < kRounds; ++round) {
      CHECK_EQ(in_parent[index(round)], 4 * round);
      CHECK_EQ(in_child[index(round)], 2 * 100 * round);
    }
    group->barrier();
    comm.barrier();
  });
}

// Splitting takes its turn behind the calls that are under way.
RINGSIDE_TEST(split, with_calls_under_way) {
  on_ranks(3, test_options(), [&](Communicator& comm) {
    std::vector<std::int32_t> values(5000, comm.rank() + 1);
    Work work = comm.all_reduce_async(values.data(), values.data(), values.size(), kI32, kSum);
    std::optional<Communicator> group = comm.split(0, -comm.rank());
    CHECK(work.test());
    CHECK_EQ(values[4999], 6);
    check_members(t, group, comm.rank(), {2, 1, 0});
    comm.barrier();
  });
}

RINGSIDE_TEST(split, an_error_stays_in_its_group) {
  std::barrier together(4);
  on_ranks(4, test_options(), [&](Communicator& comm) {
    const int me = comm.rank();
    std::optional<Communicator> group = comm.split(me % 2, 0);
    const bool broken_one = me % 2 == 1;
    std::vector<float> values(8, 1);
    if (broken_one) {
      const Ending ending = ending_of([&] {
        group->all_reduce(values.data(), values.data(), me == 1 ? 4 : 5, DType::f32, kSum);
      });
      check_fault(t, ending, Fault::mismatch, {});
      CHECK(group->broken() && !comm.broken());
    }
    together.arrive_and_wait();
    CHECK_EQ(sum_of(comm, me), 6);
    if (!broken_one) CHECK_EQ(sum_of(*group, me), 2);
    CHECK_EQ(ending_of([&] { group->barrier(); }).failed, broken_one);
    // The parent works, so it can replace what broke.
    group = comm.split(me % 2, 0);
    CHECK_EQ(sum_of(*group, me), broken_one ? 4 : 2);
    comm.barrier();
    group->barrier();
  });
}

RINGSIDE_TEST(split, a_broken_parent_leaves_its_groups_alone) {
  std::barrier together(4);
  on_ranks(4, test_options(), [&](Communicator& comm) {
    const int me = comm.rank();
    std::optional<Communicator> group = comm.split(me / 2, 0);
    together.arrive_and_wait();  // or a rank might still be splitting when the parent breaks
    float value = 1;
    const Ending ending = ending_of([&] {
      if (me == 3)
        comm.all_reduce(&value, &value, 1, DType::f32, Reduction::max);
      else
        comm.all_reduce(&value, &value, 1, DType::f32, kSum);
    });
    check_fault(t, ending, Fault::mismatch, {});
    CHECK(ending_of([&] { comm.split(0, 0); }).fault == Fault::mismatch);
    CHECK_EQ(sum_of(*group, me), me < 2 ? 1 : 5);
    together.arrive_and_wait();
    group->barrier();
  });
}

// A rank that splits while the others do something else: all hear of it, nobody hangs.
RINGSIDE_TEST(split, splitting_is_a_call_that_all_must_make) {
  const Endings endings = endings_of(3, test_options(), [&](Communicator& comm) {
    if (comm.rank() == 1)
      comm.barrier();
    else
      comm.split(0, 0);
  });
  check_all_broken(t, endings, Fault::mismatch, "the ranks are doing different things");
  for (const Ending& ending : endings.first)
    CHECK(ending.seconds < 5 && contains(ending.sentence, "split #1"));
}

// Not even for the very call that it makes by itself.
RINGSIDE_TEST(split, is_no_all_gather) {
  const Endings endings = endings_of(2, test_options(), [&](Communicator& comm) {
    std::vector<std::uint8_t> bytes(24);
    if (comm.rank() == 1)
      comm.all_gather(bytes.data(), bytes.data() + 8, 8, DType::u8);
    else
      comm.split(0, 0);
  });
  check_fault(t, endings.first[0], Fault::mismatch, {"split here, all_gather there"});
  check_fault(t, endings.first[1], Fault::mismatch, {"all_gather here, split there"});
}

// A rank has a number in its group and one in the world, by which the program's user knows it.
RINGSIDE_TEST(split, errors_in_a_group_say_both_numbers) {
  std::barrier together(4);
  on_ranks(4, test_options(), [&](Communicator& comm) {
    const int me = comm.rank();
    std::optional<Communicator> reversed = comm.split(0, -me);      // 3, 2, 1, 0
    std::optional<Communicator> pair = reversed->split(me % 2, 0);  // 2, 0 and 3, 1
    CHECK_EQ(pair->ranks()[1].world_rank, me % 2);
    if (me == 0) pair.reset();
    if (me == 1) pair->abort("a reason");
    if (me == 2)
      check_fault(t, ending_of([&] { pair->barrier(); }), Fault::left,
                  {"rank 0 (world rank 2), in barrier", "rank 1 (world rank 0, pid "});
    if (me == 3)
      check_fault(t, ending_of([&] { pair->barrier(); }), Fault::aborted,
                  {"rank 0 (world rank 3), in barrier", "rank 1 (world rank 1) has aborted"});
    together.arrive_and_wait();
  });
}

// One rank calls in the wrong group, a grid's row in the place of its column. No message of it is
// wrong: each group waits for a member that is elsewhere. So it is the deadline that ends it, and
// every rank that waited hears whom it waited for.
RINGSIDE_TEST(split, a_call_in_the_wrong_group_ends_at_the_deadline) {
  std::barrier together(4);
  run_as_threads(4, [&](Bootstrap& bootstrap) {
    const Options options = test_options(0.5);
    Communicator comm(bootstrap, options);
    const int me = comm.rank();
    std::optional<Communicator> row = comm.split(me / 2, 0), column = comm.split(me % 2, 0);
    const Ending ending = ending_of([&] { (me == 3 ? row : column)->barrier(); });
    // Ranks 0 and 2 are a column, and content. 1 waits for 3, and 3, in its row, for 2.
    const bool waits = me == 1 || me == 3;
    CHECK_EQ(ending.failed, waits);
    if (waits)
      CHECK_MSG(ending.fault == Fault::timeout && ending.seconds < 3 &&
                    contains(ending.sentence, "is alive, and it has not entered any call yet"),
                "rank %d: %s", me, ending.sentence.c_str());
    together.arrive_and_wait();
  });
}

// How a group is to work stands in the parent's options, on which all have agreed: what can differ
// is how long a rank is willing to wait. The impatient one breaks its group, and only that.
RINGSIDE_TEST(split, a_group_inherits_each_ranks_own_patience) {
  std::barrier together(3);
  run_as_threads(3, [&](Bootstrap& bootstrap) {
    Options options = test_options();
    if (bootstrap.rank() == 2) options.timeout_s = 0.5;
    Communicator comm(bootstrap, options);
    const int me = comm.rank();
    std::optional<Communicator> pair = comm.split(me == 0 ? 0 : 1, 0);
    CHECK_EQ(pair->options().timeout_s, options.timeout_s);
    Ending ending;
    if (me == 2) ending = ending_of([&] { pair->barrier(); });
    together.arrive_and_wait();
    if (me == 1) ending = ending_of([&] { pair->barrier(); });
    if (me > 0) check_fault(t, ending, Fault::timeout, {"RINGSIDE_TIMEOUT=0.5"});
    CHECK(ending.seconds < 1.5);
    if (me == 0) pair->barrier();
    CHECK_EQ(sum_of(comm, 1), 3);
    together.arrive_and_wait();
  });
}

// A rank that fails in the last moment of its start has left the others; they need not wait for it.
RINGSIDE_TEST(split, a_start_that_fails_at_the_very_end_is_a_leaving) {
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    // Rank 0 fails when all others have already started: its parent broke just then, say.
    BootstrapAround failing(bootstrap, kMeetingsOfACommunicator, [&] {
      if (bootstrap.rank() == 0) throw Error(Fault::system, "at the very end");
    });
    const Ending ending = ending_of([&] {
      Communicator comm(failing, test_options());
      comm.barrier();
    });
    CHECK_EQ(failing.meetings(), kMeetingsOfACommunicator);
    const Fault wanted = bootstrap.rank() == 0 ? Fault::system : Fault::left;
    check_fault(t, ending, wanted, {});
    CHECK(ending.seconds < 5);
  });
}

// What its ranks need is there already: groups are made by the dozen.
RINGSIDE_TEST(split, a_group_takes_no_descriptor_no_mapping_and_no_thread) {
  run_as_threads(4, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, test_options());
    comm.barrier();
    tools::Resources before;
    if (comm.rank() == 0) before = tools::resources_held(true);  // it opens a descriptor itself
    comm.barrier();
    std::vector<std::optional<Communicator>> groups;
    for (int i = 0; i < 6; ++i) {
      groups.push_back(comm.split(comm.rank() / 2, 0));
      check_members(t, groups.back(), comm.rank(), {comm.rank() & ~1, comm.rank() | 1});
    }
    comm.barrier();
    if (comm.rank() == 0) check_nothing_kept(t, before);
    comm.barrier();
  });
}
