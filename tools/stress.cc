// stress: ranks carry out a long random program, all alike, and every result is checked; and the
// process must hold no more at the end than it did when it was warm.
//
// What is drawn is in tools/fuzz/random_program.h, how one call is checked in checked_call.h, how
// many are kept in flight in run.h.
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <random>
#include <string>

#include "comm/communicator.h"
#include "comm/error.h"
#include "comm/util/json.h"
#include "tools/fuzz/options.h"
#include "tools/fuzz/run.h"
#include "tools/report/table.h"
#include "tools/support/command_line.h"
#include "tools/support/run_ranks.h"

namespace {

using namespace ringside;
using namespace ringside::tools;

using ull = unsigned long long;
constexpr const char* kTool = "stress";

// Rank 0 draws it where the command line has none.
std::uint64_t agree_on_seed(Communicator& world, const StressOptions& options) {
  std::int64_t seed = static_cast<std::int64_t>(options.seed.value_or(std::random_device{}()));
  world.broadcast(&seed, 1, DType::i64, 0);
  return static_cast<std::uint64_t>(seed);
}

std::int64_t over_ranks(Communicator& world, std::int64_t value, Reduction reduction) {
  world.all_reduce(&value, &value, 1, DType::i64, reduction);
  return value;
}

// Over the processes; of the ranks that share one, only one counts.
Resources most_over_ranks(Communicator& world, const Resources& mine) {
  Resources most;
  for (const auto& [name, held] : kResources)
    most.*held = static_cast<std::size_t>(
        over_ranks(world, static_cast<std::int64_t>(mine.*held), Reduction::max));
  return most;
}

// All that is reported, the same on all ranks.
struct Story {
  std::uint64_t seed = 0;
  int ranks = 0;
  std::string bootstrap;
  Tally tally;
  Account account;
  std::int64_t failed = 0;  // ranks
};

Story story_of(Communicator& world, const StressRun& run, std::uint64_t seed,
               const char* bootstrap) {
  Story story = {seed, world.size(), bootstrap, run.tally(), run.account(), 0};
  for (auto& [name, row] : story.tally.rows)
    row.elements = over_ranks(world, row.elements, Reduction::sum);
  Tally& tally = story.tally;
  tally.dropped = over_ranks(world, tally.dropped, Reduction::sum);
  tally.most_in_flight = static_cast<std::size_t>(
      over_ranks(world, static_cast<std::int64_t>(tally.most_in_flight), Reduction::max));
  Account& account = story.account;
  account.start = most_over_ranks(world, account.start.value_or(Resources{}));
  account.most = most_over_ranks(world, account.most);
  account.end = most_over_ranks(world, account.end);
  story.failed = over_ranks(world, run.failure() ? 1 : 0, Reduction::sum);
  return story;
}

std::string outcome(const Story& story) {
  const auto failed = static_cast<std::size_t>(story.failed);
  return failed == 0 ? "all right" : "WRONG on " + count_words(failed, "rank");
}

std::string heading(const Story& story) {
  return text("stress: seed %llu, %llu operations on %s (%s): %s\n\n", static_cast<ull>(story.seed),
              static_cast<ull>(story.tally.operations),
              count_words(static_cast<std::size_t>(story.ranks), "rank").c_str(),
              story.bootstrap.c_str(), outcome(story).c_str());
}

std::string table(const Story& story) {
  const Tally& tally = story.tally;
  std::string words =
      text("  %-18s %10s %10s %20s\n", "operation", "blocking", "async", "elements verified");
  Tally::Row all;
  const auto line = [](const std::string& name, const Tally::Row& row) {
    return text("  %-18s %10llu %10llu %20lld\n", name.c_str(), static_cast<ull>(row.blocking),
                static_cast<ull>(row.async), static_cast<long long>(row.elements));
  };
  for (const auto& [name, row] : tally.rows) {
    words += line(name, row);
    all.blocking += row.blocking;
    all.async += row.async;
    all.elements += row.elements;
  }
  words += line("together", all);
  words += text("\n  calls in flight, at most      %6zu on one rank\n", tally.most_in_flight);
  words += text("  Works dropped, not waited for %6lld\n", static_cast<long long>(tally.dropped));
  words += text("  groups made by splits         %6lld, at most %zu alive\n\n",
                static_cast<long long>(tally.groups_made), tally.most_groups);
  return words;
}

// The remark behind the figures of the row about memory.
std::string judgement(std::uint64_t operations) {
  if (operations <= RandomProgram::kRound) return "   one round: nothing to compare with";
  if (!memory_can_be_judged()) return "   not judged: this build has a sanitizer";
  return text("   may grow by %.0f", static_cast<double>(kMemoryGrowth_bytes) / (1 << 20));
}

std::string resources_table(const Story& story) {
  const Resources moments[] = {*story.account.start, story.account.most, story.account.end};
  std::string words =
      text("  %-18s %10s %10s %10s\n", "a process holds", "when warm", "at most", "at the end");
  for (const auto& [name, held] : kResources) {
    const bool is_memory = held == &Resources::memory_bytes;
    words += text("  %-18s", is_memory ? "memory (MiB)" : name);
    for (const Resources& it : moments)
      words += is_memory ? text(" %10.2f", static_cast<double>(it.memory_bytes) / (1 << 20))
                         : text(" %10zu", it.*held);
    words += (is_memory ? judgement(story.tally.operations) : "") + "\n";
  }
  return words;
}

std::string json_of(const Story& story) {
  JsonWriter json(2);
  json.object()
      .field("seed", story.seed, "operations", story.tally.operations, "ranks", story.ranks,
             "bootstrap", story.bootstrap, "ranks_failed", story.failed)
      .object("calls");
  for (const auto& [name, row] : story.tally.rows)
    json.object(name.c_str())
        .field("blocking", row.blocking, "async", row.async, "elements", row.elements)
        .end();
  json.end()
      .field("in_flight_max", story.tally.most_in_flight, "works_dropped", story.tally.dropped,
             "groups_made", story.tally.groups_made, "groups_max", story.tally.most_groups)
      .object("resources");
  const auto at_moment = [&](const char* when, const Resources& it) {
    json.object(when);
    for (const auto& [name, held] : kResources) json.field(name, it.*held);
    json.end();
  };
  at_moment("warm", *story.account.start);
  at_moment("most", story.account.most);
  at_moment("end", story.account.end);
  return json.end().end().text();
}

// One line that changes, on a terminal; nothing anywhere else.
void show_progress(const StressRun& run, const StressOptions& options, bool at_end) {
  if (::isatty(STDERR_FILENO) == 0) return;
  if (at_end)
    std::fputs("\r\033[K", stderr);
  else
    std::fprintf(stderr, "\r%llu of %llu operations", static_cast<ull>(run.done()),
                 static_cast<ull>(options.operations));
  std::fflush(stderr);
}

int run_rank(Bootstrap& bootstrap, const StressOptions& options) {
  Communicator world(bootstrap, tool_options());
  const bool on_0 = world.rank() == 0;
  const std::uint64_t seed = agree_on_seed(world, options);
  if (on_0 && !options.json) {
    // Before anything can go wrong.
    std::printf("stress: seed %llu\n", static_cast<ull>(seed));
    std::fflush(stdout);
  }
  const bool shares_process = std::strcmp(bootstrap.name(), "threads") == 0;
  StressRun run(world, seed, options, on_0 || !shares_process);
  while (run.run_round())
    if (on_0) show_progress(run, options, false);
  if (on_0) show_progress(run, options, true);
  const Story story = story_of(world, run, seed, bootstrap.name());
  if (on_0) {
    const std::string words =
        options.json ? json_of(story) : heading(story) + table(story) + resources_table(story);
    std::fputs(words.c_str(), stdout);
    std::fflush(stdout);
  }
  if (run.failure()) std::fprintf(stderr, "stress: %s\n", run.failure()->c_str());
  if (options.spoil != 0 && !run.has_spoiled())
    throw Error(Fault::usage, text("--spoil %llu: no operation from there on has a result",
                                   static_cast<ull>(options.spoil)));
  world.barrier();
  return story.failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  keep_no_free_memory();
  return run_tool(
      kTool, [&] { return parse_stress_options(argc, argv); }, stress_help, run_rank);
}
