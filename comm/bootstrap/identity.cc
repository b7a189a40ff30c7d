// Finding out who and where this process is.
#include "comm/bootstrap/identity.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>

#include "comm/error.h"
#include "comm/util/fd.h"
#include "comm/util/meminfo.h"
#include "comm/util/secret.h"

namespace ringside {
namespace {

std::uint64_t inode_of(const char* path) {
  struct stat status {};
  return ::stat(path, &status) == 0 ? status.st_ino : 0;
}

}  // namespace

std::uint32_t next_serial() {
  static std::atomic<std::uint32_t> communicators{0};
  return communicators.fetch_add(1, std::memory_order_relaxed) + 1;
}

PeerInfo my_peer_info(const Options& options, bool has_device) {
  PeerInfo me;
  me.serial = next_serial();
  ::gethostname(me.host.data(), me.host.size() - 1);
  const std::string boot_id = read_file("/proc/sys/kernel/random/boot_id");
  boot_id.copy(me.boot_id.data(), std::min(boot_id.find('\n'), me.boot_id.size() - 1));
  // Without /proc the host's name has to do.
  if (me.boot_id[0] == '\0') std::memcpy(me.boot_id.data(), me.host.data(), me.boot_id.size() - 1);
  me.process = process_nonce();
  me.pid_namespace = inode_of("/proc/self/ns/pid");
  me.net_namespace = inode_of("/proc/self/ns/net");
  me.pid = ::getpid();
  me.user = ::geteuid();
  ::sched_getaffinity(0, sizeof me.cpus, &me.cpus);
  const MemoryRoom room = memory_room();
  me.room_bytes = room.bytes;
  me.room_of = room.of;
  room.words.copy(me.room_words.data(), me.room_words.size() - 1);
  me.slot_bytes = options.slot_bytes;
  me.slot_count = options.slot_count;
  me.algorithm = static_cast<std::int32_t>(options.algorithm) | options.group_ranks << 8;
  me.control = static_cast<std::int32_t>(options.control);
  me.has_device = has_device;
  try {
    options.check();
  } catch (const Error& error) {
    std::snprintf(me.complaint.data(), me.complaint.size(), "%s", error.what());
  }
  return me;
}

bool same_host(const PeerInfo& a, const PeerInfo& b) { return a.boot_id == b.boot_id; }

bool on_one_host(const std::vector<PeerInfo>& everyone) {
  return std::all_of(everyone.begin(), everyone.end(),
                     [&](const PeerInfo& it) { return same_host(it, everyone[0]); });
}

void check_agreement(const std::vector<PeerInfo>& everyone) {
  for (std::size_t rank = 0; rank < everyone.size(); ++rank)
    if (everyone[rank].complaint[0] != '\0')
      throw_error(Fault::usage, "rank %d: %s", static_cast<int>(rank),
                  everyone[rank].complaint.data());
  const PeerInfo& zero = everyone[0];
  for (std::size_t rank = 1; rank < everyone.size(); ++rank) {
    const PeerInfo& it = everyone[rank];
    const int r = static_cast<int>(rank);
    if (it.slot_bytes != zero.slot_bytes)
      throw_error(Fault::usage,
                  "rank %d has slots of %llu bytes and rank 0 of %llu; set RINGSIDE_SLOT_BYTES "
                  "alike on all ranks",
                  r, static_cast<unsigned long long>(it.slot_bytes),
                  static_cast<unsigned long long>(zero.slot_bytes));
    if (it.slot_count != zero.slot_count)
      throw_error(
          Fault::usage,
          "rank %d has %d slots and rank 0 has %d; set RINGSIDE_SLOT_COUNT alike on all ranks", r,
          it.slot_count, zero.slot_count);
    if (it.algorithm != zero.algorithm)
      throw_error(
          Fault::usage,
          "rank %d chose another algorithm than rank 0; set RINGSIDE_ALGORITHM alike on all ranks",
          r);
    if (it.control != zero.control)
      throw_error(Fault::usage,
                  "rank %d chose the control channel %s and rank 0 %s; set RINGSIDE_CONTROL alike "
                  "on all ranks",
                  r, name_of(static_cast<ControlChoice>(it.control)),
                  name_of(static_cast<ControlChoice>(zero.control)));
  }
}

HostShare share_of_host(const std::vector<PeerInfo>& everyone, int rank) {
  const PeerInfo& me = everyone[static_cast<std::size_t>(rank)];
  cpu_set_t together;
  CPU_ZERO(&together);
  HostShare share;
  for (const PeerInfo& it : everyone) {
    if (!same_host(it, me)) continue;
    CPU_OR(&together, &together, &it.cpus);
    ++share.ranks;
  }
  share.cpus = CPU_COUNT(&together);
  return share;
}

void check_memory(const std::vector<PeerInfo>& everyone, std::size_t window_bytes) {
  for (const PeerInfo& it : everyone) {
    const auto ranks = std::count_if(everyone.begin(), everyone.end(), [&](const PeerInfo& other) {
      return same_host(it, other) && it.room_of == other.room_of;
    });
    if (window_bytes > it.room_bytes / static_cast<std::size_t>(ranks))
      throw_error(Fault::system,
                  "%d ranks on %s need %zu bytes of shared memory each, together more than the %zu "
                  "%s; fewer ranks, or fewer or smaller slots (RINGSIDE_SLOT_BYTES, "
                  "RINGSIDE_SLOT_COUNT) need less",
                  static_cast<int>(ranks), it.host.data(), window_bytes,
                  static_cast<std::size_t>(it.room_bytes), it.room_words.data());
  }
}

bool oversubscribed(const std::vector<PeerInfo>& everyone, int rank) {
  const HostShare share = share_of_host(everyone, rank);
  return share.ranks > share.cpus;
}

}  // namespace ringside
