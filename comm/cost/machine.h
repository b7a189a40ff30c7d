// A machine, as far as the simulator (simulator.h) must know it: a value of a dozen numbers.
//
//   α  latency          how long a message takes that carries next to nothing
//   β  time a byte      of a link, or of the copy that takes a link's place
//   γ  time a byte      of adding what was received
//
// Ranks are counted host by host: rank r is on host r / ranks_per_host. Two ranks of one host are
// joined by `same_host`, others by `between_hosts`. A link is one of two things:
//
//   wire     has a bandwidth. A message is on its way for latency + bytes / bandwidth, without the
//            sender. It leaves by the sender's port and comes in by the receiver's; a port carries
//            one message after another. Each rank has a port each way for its own host, and each
//            host one each way for all that its ranks send to others.
//   stores   has none (bandwidth 0): memory that both can reach. The sender copies the bytes there
//            itself, and then signals; only the signal takes the latency.
//
// How fast a core copies and adds depends on where the bytes are (in whose cache, or in memory) and
// on how many come in one go. So those rates are tables, by the length of the operands: copying
// 64 KiB at a time from buffer to buffer runs at so many GB/s.
//
// Times are in ns, rates in GB/s, which is bytes per ns.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "comm/transport/channel.h"

namespace ringside {

// With operands of so many bytes. GB is 10⁹ bytes of one operand.
struct Rate {
  std::size_t bytes = 0;
  double gbs = 0;
};

// Between two entries linear in log(bytes), beyond the ends as at the ends; 0 if there is none.
// `rates` in growing order of bytes.
double rate_at(const std::vector<Rate>& rates, std::size_t bytes);

struct Link {
  double latency_ns = 0;
  double bandwidth_gbs = 0;  // per direction and port; 0: stores
  bool is_wire() const { return bandwidth_gbs > 0; }
};

struct Machine {
  std::string name;
  int hosts = 1;
  int ranks_per_host = 1;
  int cores_per_host = 0;  // that do the ranks' work; fewer than ranks take turns. 0: enough
  double call_ns = 0;      // once a call: what is done before the first word
  double message_ns = 0;   // each message, at its sender, and again at its receiver
  double slot_ns = 0;  // each message by stores that is too long for its cell, at its receiver: a
                       // second line has to come
  Link same_host;
  bool joins_hosts = false;  // whether there is a link between hosts at all
  Link between_hosts;
  std::vector<Rate> copy;    // none: copying takes no time, or happens while the bytes come in
  std::vector<Rate> reduce;  // the same
  ChannelShape ring{4, std::size_t{128} << 10};
  ChannelShape mesh{4, std::size_t{128} << 10};

  // A core does the work of so many ranks in turns.
  double ranks_a_core(int ranks) const {
    const int here = ranks < ranks_per_host ? ranks : ranks_per_host;
    return cores_per_host > 0 && here > cores_per_host ? 1.0 * here / cores_per_host : 1.0;
  }

  int host_of(int rank) const { return rank / ranks_per_host; }
  int ranks() const { return hosts * ranks_per_host; }
};

}  // namespace ringside
