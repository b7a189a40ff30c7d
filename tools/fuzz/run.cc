// Steps, calls in flight, and what is looked at between rounds.
#include "tools/fuzz/run.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "comm/error.h"

namespace ringside::tools {
namespace {

using ull = unsigned long long;

constexpr std::size_t kMostInFlight = 32;

// One-shot's end, and the slots: of one, and of all together.
std::vector<std::size_t> sizes_bytes(const Communicator& world) {
  const std::size_t slot = world.options().slot_bytes;
  const auto slots = static_cast<std::size_t>(world.options().slot_count);
  std::vector<std::size_t> sizes = {slot, slot * slots, 4096, 16384, 65536};
  if (world.one_shot_most_bytes() > 0) sizes.push_back(world.one_shot_most_bytes());
  return sizes;
}

// The options of the environment that decide the sizes; they are part of the program.
std::string chosen(const Options& options) {
  const Options usual;
  std::string words;
  if (options.slot_bytes != usual.slot_bytes)
    words += text("RINGSIDE_SLOT_BYTES=%zu ", options.slot_bytes);
  if (options.slot_count != usual.slot_count)
    words += text("RINGSIDE_SLOT_COUNT=%d ", options.slot_count);
  if (options.algorithm != usual.algorithm)
    words += text("RINGSIDE_ALGORITHM=%s%s ", ringside::name_of(options.algorithm),
                  options.group_ranks > 0 ? text(":%d", options.group_ranks).c_str() : "");
  return words;
}

std::string name_of(const Step& step) {
  switch (step.what) {
    case Step::What::collective:
      return ringside::name_of(step.operation.kind);
    case Step::What::messages:
      return step.letters.size() == 1 ? "send, recv" : "exchange";
    case Step::What::split:
      return "split";
    default:
      return "end of a group";
  }
}

}  // namespace

StressRun::StressRun(Communicator& world, std::uint64_t seed, const StressOptions& options,
                     bool counts_resources)
    : world_(world),
      seed_(seed),
      options_(options),
      counts_resources_(counts_resources),
      program_(seed, world.size(), options.bytes_max, sizes_bytes(world)),
      random_(seed * 4096 + static_cast<std::uint64_t>(world.rank())) {}

bool StressRun::run_round() {
  do {
    const Step step = program_.next();
    try {
      run_step(step);
    } catch (const Error& error) {
      stop_all(error);
      throw Error(error.fault(), text("%s; noticed in operation %llu, %s; %s", error.what(),
                                      static_cast<ull>(step.number), describe(step).c_str(),
                                      again(step.number).c_str()));
    }
    tally_.operations = step.number;
  } while (!program_.at_end_of_round() && done() < options_.operations);
  end_round();
  std::int64_t failures = failure_ ? 1 : 0;
  world_.all_reduce(&failures, &failures, 1, DType::i64, Reduction::sum);
  return failures == 0 && done() < options_.operations;
}

int StressRun::member_of(const Group& group) const {
  const auto found = std::find(group.members.begin(), group.members.end(), world_.rank());
  return found == group.members.end() ? -1 : static_cast<int>(found - group.members.begin());
}

void StressRun::run_step(const Step& step) {
  note(step);
  choose_victim(step);
  if (options_.leak != Leak::none && counts_resources_ && step.number % 50 == 0)
    leak(options_.leak);
  if (member_of(step.group) >= 0) {
    Communicator& comm = step.group.number == 0 ? world_ : groups_.at(step.group.number);
    if (step.what == Step::What::split)
      split(step, comm);
    else if (step.what == Step::What::destroy)
      end_group(step.group.number);
    else
      make_call(step, comm);
    if (!step.async) finish_dropped(step.group.number);
  }
  finish_some(step);
}

void StressRun::note(const Step& step) {
  Tally::Row& row = tally_.rows[name_of(step)];
  ++(step.async ? row.async : row.blocking);
  tally_.groups_made += static_cast<std::int64_t>(step.made.size());
  groups_alive_ += step.made.size();
  groups_alive_ -= step.what == Step::What::destroy ? 1 : 0;
  tally_.most_groups = std::max(tally_.most_groups, groups_alive_);
}

// The first rank that the first operation from --spoil on gives a result; all ranks know it.
void StressRun::choose_victim(const Step& step) {
  if (options_.spoil == 0 || spoil_number_ != 0 || step.number < options_.spoil) return;
  for (int member = 0; member < step.group.size() && spoil_number_ == 0; ++member) {
    bool has_result = step.what == Step::What::collective && shape_of(step, member).output > 0;
    for (const Letter& it : step.letters) has_result |= it.to == member && it.count > 0;
    if (!has_result) continue;
    spoil_number_ = step.number;
    victim_ = step.group.members[static_cast<std::size_t>(member)];
  }
}

void StressRun::make_call(const Step& step, Communicator& comm) {
  pending_.push_back({std::make_unique<StressJob>(step, member_of(step.group), random_), false});
  const auto it = std::prev(pending_.end());
  pending_bytes_ += it->job->bytes();
  it->job->start(comm);
  if (!step.async) return finish(it);
  tally_.most_in_flight = std::max(tally_.most_in_flight, pending_.size());
  if (!chance(15)) return;
  // Dropped: nobody will ask this Work. That a later blocking call ends shows that it has ended.
  it->job->work() = Work();
  it->dropped = true;
  ++tally_.dropped;
}

void StressRun::split(const Step& step, Communicator& comm) {
  const auto mine = static_cast<std::size_t>(comm.rank());
  std::optional<Communicator> group = comm.split(step.colors[mine], step.keys[mine]);
  bool expected = false;
  for (const Group& made : step.made) {
    const int member = member_of(made);
    if (member < 0) continue;
    expected = true;
    if (!group || group->rank() != member || group->size() != made.size())
      return fail(step, text("this rank should be %d of %d", member, made.size()));
    groups_.emplace(made.number, *std::move(group));
  }
  if (!expected && group) fail(step, "this rank should have got no group");
}

// Calls may be under way: the end waits for them.
void StressRun::end_group(int group) {
  groups_.erase(group);
  finish_where([&](const Pending& it) {
    const Step& step = it.job->step();
    if (step.group.number != group) return false;
    if (!it.job->work().test()) fail(step, "the communicator has ended, and this call has not");
    return true;
  });
}

template <class Is>
void StressRun::finish_where(const Is& is) {
  for (auto it = pending_.begin(); it != pending_.end();) {
    const auto next = std::next(it);
    if (is(*it)) finish(it);
    it = next;
  }
}

void StressRun::finish(std::list<Pending>::iterator it) {
  it->job->work().wait();
  judge(*it->job);
  pending_bytes_ -= it->job->bytes();
  pending_.erase(it);
}

// After a blocking call all earlier ones of its communicator have ended.
void StressRun::finish_dropped(int group) {
  finish_where(
      [&](const Pending& it) { return it.dropped && it.job->step().group.number == group; });
}

// Asks a few Works, in no order, and waits for one now and then; or for a while only lets them
// become more. Waits where too many are in flight.
void StressRun::finish_some(const Step& step) {
  const bool hoards = (step.number / 50 + static_cast<unsigned>(world_.rank())) % 3 == 0;
  const auto any = [&] {
    auto it = std::next(pending_.begin(), static_cast<std::ptrdiff_t>(random_() % pending_.size()));
    // One that was dropped cannot be asked. The calls after it can; there may be none.
    while (it != pending_.end() && it->dropped) ++it;
    return it;
  };
  for (int i = 0; i < 2 && !pending_.empty() && !hoards; ++i)
    if (const auto it = any(); it != pending_.end() && it->job->work().test()) finish(it);
  const auto too_many = [&] {
    return pending_.size() > kMostInFlight || pending_bytes_ > 8 * options_.bytes_max;
  };
  if (!pending_.empty() && !hoards && chance(10))
    if (const auto it = any(); it != pending_.end()) finish(it);
  finish_where([&](const Pending& it) { return too_many() && !it.dropped; });
}

void StressRun::judge(StressJob& job) {
  const Step& step = job.step();
  if (step.number == spoil_number_ && world_.rank() == victim_) job.spoil();
  const std::string wrong = job.judge();
  if (!wrong.empty()) return fail(step, wrong);
  tally_.rows[name_of(step)].elements += static_cast<std::int64_t>(job.elements());
}

void StressRun::fail(const Step& step, const std::string& what) {
  if (failure_) return;
  failure_ =
      text("rank %d, operation %llu, %s: %s; %s", world_.rank(), static_cast<ull>(step.number),
           describe(step).c_str(), what.c_str(), again(step.number).c_str());
}

// What is under way in other communicators uses buffers that are about to go. So all of it ends.
void StressRun::stop_all(const Error& why) {
  for (auto& [number, group] : groups_) group.abort(why.what());
  groups_.clear();
  world_.abort(why.what());
  try {
    world_.barrier();
  } catch (const Error&) {
    // It is refused, when its turn has come after all that was under way.
  }
}

// How to run this program as far as that operation.
std::string StressRun::again(std::uint64_t number) const {
  return text("again: %s--seed %llu --ops %llu --max-bytes %zu, on %d ranks",
              chosen(world_.options()).c_str(), static_cast<ull>(seed_), static_cast<ull>(number),
              options_.bytes_max, world_.size());
}

void StressRun::end_round() {
  if (counts_resources_) account_.most = most_of(account_.most, resources_held(true));
  finish_where([](const Pending& it) { return !it.dropped; });
  while (!groups_.empty()) end_group(groups_.begin()->first);
  groups_alive_ = 0;
  world_.barrier();
  finish_dropped(0);
  // Nobody begins the next round while somebody still looks.
  world_.barrier();
  if (counts_resources_) look_at_resources();
  world_.barrier();
}

void StressRun::look_at_resources() {
  const Resources now = resources_held();
  account_.end = now;
  account_.most = most_of(account_.most, now);
  if (!account_.start) {
    if (done() * 10 < options_.operations) return;
    account_.start = now;
    account_.start_number = done();
    return;
  }
  for (const auto& [name, held] : kResources) {
    const bool is_memory = held == &Resources::memory_bytes;
    const std::size_t then = *account_.start.*held,
                      growth_max = is_memory ? kMemoryGrowth_bytes : 0;
    if (failure_ || now.*held <= then + growth_max || (is_memory && !memory_can_be_judged()))
      continue;
    failure_ = text(
        "rank %d: its process holds %zu %s after operation %llu, and held %zu after "
        "operation %llu; %s",
        world_.rank(), now.*held, is_memory ? "bytes of memory" : name, static_cast<ull>(done()),
        then, static_cast<ull>(account_.start_number), again(options_.operations).c_str());
  }
}

}  // namespace ringside::tools
