// Who a rank is: what the ranks exchange once, at the start. From it they find out how they can
// reach each other (peers/routes.h).
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/options.h"

namespace ringside {

// Trivially copyable: it travels through the bootstrap as bytes.
struct PeerInfo {
  int rank = 0;                     // in the communicator
  int world_rank = 0;               // in that from which this one was split off, if any
  std::array<char, 64> host{};      // for people; never compared
  std::array<char, 40> boot_id{};   // equal on one running kernel, and nowhere else
  std::uint64_t process = 0;        // process_nonce(): equal for threads of one process
  std::uint64_t pid_namespace = 0;  // a pid means the same process only within one
  std::uint64_t net_namespace = 0;  // abstract Unix sockets reach each other only within one
  pid_t pid = 0;
  std::uint32_t serial = 0;  // which communicator of its process, counted from 1
  uid_t user = 0;
  cpu_set_t cpus{};  // where this rank may run
  // What memory_room() says, asked before any rank takes its share.
  std::uint64_t room_bytes = 0, room_of = 0;
  std::array<char, 160> room_words{};
  // What must be chosen alike.
  std::uint64_t slot_bytes = 0;
  std::int32_t slot_count = 0;
  std::int32_t algorithm = 0;
  std::int32_t control = 0;
  bool has_device = false;  // has made one current (device.h)
  // Why this rank cannot take part; empty if it can.
  std::array<char, 256> complaint{};
};

// Counts the communicators of this process, from 1.
std::uint32_t next_serial();

// `has_device`: whether this rank has made a device current, or brings one of its own.
PeerInfo my_peer_info(const Options& options, bool has_device = false);

bool same_host(const PeerInfo& a, const PeerInfo& b);
bool on_one_host(const std::vector<PeerInfo>& everyone);

// Throws Error{usage} with the first rank's complaint, or naming the first rank whose options
// differ from rank 0's, and how. Every rank sees the same infos and so comes to the same
// sentence.
void check_agreement(const std::vector<PeerInfo>& everyone);

// The ranks on this rank's host, and the processors that they may use together.
struct HostShare {
  int ranks = 0;
  int cpus = 0;
};
HostShare share_of_host(const std::vector<PeerInfo>& everyone, int rank);

// Throws Error{system} if the windows of all ranks that share a host's memory, or a container's,
// are more than that has room for: each by itself would find enough. The same on every rank.
void check_memory(const std::vector<PeerInfo>& everyone, std::size_t window_bytes);

// More ranks on this rank's host than processors that they may use together? Then spinning only
// keeps the awaited rank from running.
bool oversubscribed(const std::vector<PeerInfo>& everyone, int rank);

}  // namespace ringside
