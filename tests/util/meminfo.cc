// How much memory there is to be had, as a pretended /proc and /sys say it; and that it is asked
// for all ranks of a host together, before one takes its share.
#include "comm/util/meminfo.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "comm/bootstrap/identity.h"
#include "comm/transport/shm/sealed_memory.h"
#include "tests/errors/endings.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"

using namespace ringside;
using namespace ringside::test;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

class PretendedRoot {
 public:
  explicit PretendedRoot(const std::string& group_line, std::size_t available_mib = 4096) {
    put("/proc/meminfo",
        text("MemTotal: 9999999 kB\nMemAvailable:   %zu kB\n", available_mib << 10));
    put("/proc/self/cgroup", "9:name=systemd:/x\n8:cpu:/y\n" + group_line + "\n");
  }
  void put(const std::string& path, const std::string& contents) const {
    const std::filesystem::path file = folder_.path() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << contents;
  }
  // A control group of version 2 at `path` below the mount ("" or "/a").
  void group(const std::string& path, const std::string& limit, std::size_t used,
             std::size_t caches = 0) const {
    const std::string at = "/sys/fs/cgroup" + path;
    put(at + "/memory.max", limit + "\n");
    put(at + "/memory.current", text("%zu\n", used));
    put(at + "/memory.stat", text("anon 5\ninactive_file %zu\nactive_file 0\n", caches));
  }
  std::string path() const { return folder_.path(); }
  MemoryRoom room() const { return memory_room(path()); }

 private:
  Folder folder_;
};

std::string bytes(std::size_t mib) { return std::to_string(mib * kMiB); }

PeerInfo rank_with(std::size_t room_mib, std::uint64_t room_of, const char* host) {
  PeerInfo it;
  std::strcpy(it.host.data(), host);
  std::strcpy(it.boot_id.data(), host);
  it.room_bytes = room_mib * kMiB;
  it.room_of = room_of;
  std::strcpy(it.room_words.data(), "that is left");
  return it;
}

}  // namespace

RINGSIDE_TEST(meminfo, machine_without_limits_says_what_is_available) {
  const PretendedRoot root("0::/");
  CHECK_EQ(root.room().bytes, 4096 * kMiB);
  CHECK_EQ(root.room().of, 0u);
  root.group("", "max", 7 * kMiB);
  CHECK_EQ(root.room().bytes, 4096 * kMiB);
  CHECK_EQ(PretendedRoot("").room().bytes, 4096 * kMiB);
  CHECK_EQ(memory_room("/nowhere/at/all").bytes, SIZE_MAX);
  CHECK(memory_room().bytes > kMiB);  // of this machine
}

RINGSIDE_TEST(meminfo, limits_of_the_own_group_and_of_those_above_count) {
  const PretendedRoot root("0::/job/step");
  root.group("", "max", 0);
  root.group("/job", bytes(300), 100 * kMiB, 30 * kMiB);
  root.group("/job/step", bytes(1000), 100 * kMiB);
  const MemoryRoom room = root.room();
  CHECK_EQ(room.bytes, 230 * kMiB);  // caches give way
  check_has(t, room.words, {"/sys/fs/cgroup/job/memory.max", bytes(300)});
  CHECK(room.of != 0);
  root.group("/job/step", bytes(150), 100 * kMiB);
  CHECK_EQ(root.room().bytes, 50 * kMiB);
  CHECK(root.room().of != room.of);
  root.group("/job/step", bytes(150), 160 * kMiB, 1000 * kMiB);  // counted at different moments
  CHECK_EQ(root.room().bytes, 150 * kMiB);
  root.group("/job/step", bytes(150), 160 * kMiB);
  CHECK_EQ(root.room().bytes, 0u);
}

// A container sees its own group as the root, and may still be told the host's name for it.
RINGSIDE_TEST(meminfo, container_finds_its_limit_at_the_root) {
  const PretendedRoot root("0::/docker/4711");
  root.group("", bytes(64), 10 * kMiB);
  CHECK_EQ(root.room().bytes, 54 * kMiB);
}

RINGSIDE_TEST(meminfo, first_version_of_control_groups_too) {
  const PretendedRoot root("4:memory:/a/b\n0::/");
  const std::string at = "/sys/fs/cgroup/memory/a";
  root.put(at + "/memory.limit_in_bytes", bytes(200) + "\n");
  root.put(at + "/memory.usage_in_bytes", bytes(100) + "\n");
  root.put(at + "/memory.stat",
           "cache 1\ninactive_file 5\ntotal_inactive_file 1048576\n"
           "total_active_file 1048576\n");
  root.put(at + "/b/memory.limit_in_bytes", "9223372036854771712\n");  // none
  root.put(at + "/b/memory.usage_in_bytes", bytes(100) + "\n");
  CHECK_EQ(root.room().bytes, 102 * kMiB);
  check_has(t, root.room().words, {"memory.limit_in_bytes", bytes(200)});
}

// Each would find enough for itself.
RINGSIDE_TEST(meminfo, windows_of_all_ranks_that_share_memory_are_judged_together) {
  std::vector<PeerInfo> everyone(7, rank_with(700, 0, "alpha"));
  check_memory(everyone, 100 * kMiB);
  const Ending ending = ending_of([&] { check_memory(everyone, 101 * kMiB); });
  check_fault(t, ending, Fault::system,
              {"7 ranks on alpha", bytes(101), bytes(700), "that is left", "RINGSIDE_SLOT_BYTES"});
  everyone[3].room_bytes = 600 * kMiB;  // the least of what they saw
  CHECK(ending_of([&] { check_memory(everyone, 100 * kMiB); }).failed);
  // Others, on another host or in another container, have memory of their own.
  std::vector<PeerInfo> apart = {rank_with(100, 0, "alpha"), rank_with(100, 0, "beta"),
                                 rank_with(100, 5, "beta"), rank_with(100, 6, "beta")};
  check_memory(apart, 100 * kMiB);
  apart[3].room_of = 5;
  CHECK(ending_of([&] { check_memory(apart, 100 * kMiB); }).failed);
}

RINGSIDE_TEST(meminfo, memory_that_comes_too_late_is_not_waited_for) {
  const Deadline over = Deadline::after_seconds(1e-9);
  check_fault(t, ending_of([&] { make_sealed_memory(kMiB, "", over); }), Fault::timeout,
              {"1048576 bytes", "deadline"});
  const SealedMemory memory = make_sealed_memory(kMiB, "", Deadline::never());
  check_fault(
      t, ending_of([&] { map_sealed_memory(memory.fd.get(), Access::read_and_write, 0, over); }),
      Fault::timeout, {"1048576 bytes", "deadline"});
}

// In a control group of its own, where this machine lets us make one: what is too much for it is
// refused, by one rank and by many together.
RINGSIDE_TEST(meminfo, real_limits_are_refused_with_the_numbers) {
  if (kSanitized) SKIP("sanitizers need more memory than the limit of this test");
  const std::string script =
      "group=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)\n"
      "[ -e $group/memory.limit_in_bytes ] || exit 77\n"
      "mkdir $group/ringside.$$ 2>/dev/null || exit 77\n"
      "sh -c 'echo $$ >\"$0/cgroup.procs\" && echo 80M >\"$0/memory.limit_in_bytes\" || exit 77\n"
      "  shift; exec \"$@\"' $group/ringside.$$ \"$@\"\n"
      "status=$?; for i in 1 2 3 4 5; do rmdir $group/ringside.$$ && break; sleep 0.2; done\n"
      "exit $status";
  const auto run_limited = [&](const Words& argv) {
    return run(with({"sh", "-c", script, "sh", "-"}, argv),
               {.environment = {"RINGSIDE_TIMEOUT=20"}});
  };
  const RunResult rank =
      run_limited(with(launch_argv(16), {program_path("tests/programs/any_rank")}));
  if (rank.exit_code == 77) SKIP("no control group with a memory limit can be made here");
  CHECK_EQ(rank.exit_code, 1);
  check_has(t, rank.err, {"16 ranks on", "memory.limit_in_bytes (83886080) leaves"});
  const RunResult alone = run_limited({program_path("tests/programs/owner"), "too-much"});
  CHECK_EQ(alone.exit_code, 1);
  check_has(t, alone.err,
            {"bytes of shared memory are more than", "memory.limit_in_bytes (83886080) leaves",
             "allocate() less"});
}
