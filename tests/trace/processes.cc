// --trace, as somebody uses it who has only a shell: a file that is whole and true, under each way
// to start ranks, and above all when the run ends badly.
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/folder.h"
#include "tests/support/job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"
#include "tests/trace/timeline.h"

namespace ringside {
namespace {

using namespace test;

// A short run of ring_allreduce on three ranks, each way in which it can be started.
std::vector<Words> short_runs(const std::string& path) {
  return test::all_ways(
      "ring_allreduce", 3,
      {"--no-demo", "-b", "1M", "-e", "1M", "-n", "2", "-w", "1", "--trace", path});
}

Timeline read(test::Context& t, const std::string& path, std::size_t ranks) {
  Timeline it = read_timeline(read_file(path));
  for (const std::string& finding : it.findings) CHECK_MSG(false, "%s", finding.c_str());
  CHECK_EQ(it.ranks.size(), ranks);
  return it;
}

}  // namespace

RINGSIDE_TEST(trace_processes, a_run_is_a_track_a_rank) {
  const Folder folder;
  const std::string path = folder.file("trace.json");
  for (const Words& argv : short_runs(path)) {
    std::ofstream(path) << "what an earlier run has left";
    Job job;
    const RunResult result = job.run(argv, {.timeout_s = 30});
    CHECK_EQ(result.exit_code, 0);
    CHECK_EQ(result.err, "");
    const Timeline it = read(t, path, 3);
    CHECK(it.half_arrows.empty() && it.arrows > 20);
    std::vector<std::string> calls;  // of rank 0; the others make the same
    for (const auto& [rank, track] : it.ranks) {
      std::vector<std::string> mine;
      for (const Slice* call : track.all("call")) mine.push_back(call->name);
      if (rank == 0) calls = mine;
      CHECK(mine == calls);
      // Three slices of 128 KiB a chunk, 2(n−1) steps each.
      const std::vector<const Slice*> reduces = track.all("call", "all_reduce");
      REQUIRE(!reduces.empty());
      std::size_t moves = 0;
      for (const Slice* step : track.inside(*reduces[0], "step"))
        moves += step->named("step ") ? 1 : 0;
      CHECK_EQ(moves, 3u * 2 * 2);
      // Rank 0 makes the file before anybody begins, and times are counted from there.
      CHECK(track.slices.front().begin_ns < 20'000'000'000);
    }
    CHECK_EQ(job.retired_windows(), "");
  }
  if (test::have_program("python3"))  // a reader that is not ours
    CHECK_EQ(test::run({"python3", "-m", "json.tool", path}).exit_code, 0);
}

// More calls than are kept, in json too, whose output is to stay whole.
RINGSIDE_TEST(trace_processes, the_bench_keeps_the_end) {
  const Folder folder;
  const std::string path = folder.file("trace.json");
  const RunResult result = test::run({tool_path("bench"), "--threads", "2", "--json", "-b", "8",
                                      "-e", "8", "-n", "20000", "-w", "1", "--trace", path});
  CHECK_EQ(result.exit_code, 0);
  CHECK_EQ(test::parse_json(result.out).at("tool").words, "bench");
  CHECK_EQ(lines_of(result.err).size(), 1u);
  CHECK_MSG(result.err.starts_with("bench: " + path + " holds the last 65536 spans of each rank") &&
                contains(result.err, "rank 0 has dropped "),
            "%s", result.err.c_str());
  const Timeline it = read(t, path, 2);
  for (const auto& [rank, track] : it.ranks) {
    CHECK_EQ(track.slices.front().category, "dropped");
    CHECK(contains(track.slices.front().name, " earlier spans are not kept"));
    CHECK_EQ(track.slices.size(), 65536u + 1);
    CHECK(track.all("call").back()->named("barrier #"));
  }
}

// Four ranks that fail; the third is the reason. Each has a track that ends where it stood.
RINGSIDE_TEST(trace_processes, a_stalled_rank_is_what_the_others_wait_for) {
  for (const Words& launcher : launchers(4)) {
    const Folder folder;
    const std::string path = folder.file("trace.json");
    Job job;
    const RunResult result =
        job.run(with(launcher, {tool_path("ring_allreduce"), "--no-demo", "-b", "1K", "-e", "1K",
                                "-n", "3", "--fault", "stall:rank=2,op=5", "--trace", path}),
                {.environment = {"RINGSIDE_TIMEOUT=1"}, .timeout_s = 30});
    CHECK_EQ(result.exit_code, 1);
    const Timeline it = read(t, path, 4);
    for (const auto& [rank, track] : it.ranks) {
      if (rank == 2) continue;
      const std::vector<const Slice*> at_last = track.last();
      REQUIRE(at_last.size() == 3);
      for (const Slice* slice : at_last) CHECK(slice->unfinished());
      CHECK(at_last[2]->named("waits for rank "));
    }
    CHECK_EQ(it.ranks.at(3).last()[2]->name, "waits for rank 2 (unfinished)");
    // The track of rank 2 ends with its fourth call, which went well.
    const Track& culprit = it.ranks.at(2);
    REQUIRE(!culprit.all("call").empty());
    CHECK_MSG(contains(culprit.all("call").back()->name, " #4"), "%s",
              culprit.all("call").back()->name.c_str());
    for (const Slice& slice : culprit.slices) CHECK(!slice.unfinished());
    CHECK_EQ(job.retired_windows(), "");
  }
}

RINGSIDE_TEST(trace_processes, who_is_killed_has_no_track_and_spoils_nothing) {
  const Folder folder;
  const std::string path = folder.file("trace.json");
  const RunResult result = test::run(
      with(test::launch_argv(3), {tool_path("ring_allreduce"), "--no-demo", "-b", "1K", "-e", "1K",
                                  "--fault", "die:rank=2,op=6", "--trace", path}));
  CHECK(result.exit_code > 0);
  const Timeline it = read(t, path, 2);
  for (const auto& [rank, track] : it.ranks) CHECK(track.last().front()->unfinished());
}

RINGSIDE_TEST(trace_processes, a_file_that_cannot_be_made_is_refused_once) {
  const Folder folder;
  const std::string path = folder.file("none/trace.json");
  for (const Words& argv : short_runs(path))
    check_refused(t, "ring_allreduce", argv,
                  "cannot open the trace file " + path + ": No such file");
  const RunResult nothing = test::run({tool_path("bench"), "--threads", "2", "--trace", ""});
  CHECK_EQ(nothing.exit_code, 2);
  CHECK_EQ(nothing.err, "bench: --trace wants the name of a file\n");
  // Tools that measure nothing have no timeline.
  for (const char* tool : {"stress", "price"})
    CHECK_EQ(test::run({tool_path(tool), "--trace", "/tmp/x"}).exit_code, 2);
}

// A limit on files' sizes, as a full disk would be: the ranks are right, the file is not there, and
// what could be written is whole. (Shared memory counts too, so slots are small.)
RINGSIDE_TEST(trace_processes, a_file_that_cannot_be_written_is_an_error) {
  const Folder folder;
  const std::string path = folder.file("trace.json");
  const std::string command = "trap '' XFSZ; ulimit -f 1024; exec " + tool_path("ring_allreduce") +
                              " --threads 2 --no-demo -b 8 -e 8 -n 20000 --trace " + path;
  const RunResult result =
      test::shell(command, {.environment = {"RINGSIDE_SLOT_BYTES=1K"}, .timeout_s = 30});
  CHECK_EQ(result.exit_code, 1);
  check_has(t, result.err, {"cannot write the trace file " + path + ": File too large"});
  const Timeline it = read_timeline(read_file(path));
  CHECK(!it.ranks.empty());
}

}  // namespace ringside
