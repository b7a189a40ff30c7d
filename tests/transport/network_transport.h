// A transport that behaves as a network does, and the tables of routes by which it joins.
//
//     put, signal ─▶ outbox ── progress() ──▶ wire ── progress() ──▶ window
//     (sender)        copies   in pieces     of one     in pieces,   (receiver)
//                                            pair      some rounds
//                                                         late
//
// Nothing is mapped, and no memory exposed. Bytes and signals move only when both ends call
// progress(), a few hundred bytes at a time; they stay in order between two ranks, and one pair's
// overtake another's. A wire holds kWireBytes, less than the credit of a channel allows, so senders
// come to wait for it. Ranks are threads of one process.
//
// Over pretended hosts (a NetworkRig) any test whose options come from test_options() runs over it,
// alone or mixed with shared memory.
#pragma once

#include <memory>
#include <vector>

#include "comm/peers/routes.h"
#include "comm/transport/transport.h"

namespace ringside::test {

inline constexpr std::size_t kWireBytes = 4096;

std::unique_ptr<Transport> make_network_transport();

// Ranks that are on one pretended host have shared memory, and others the network.
struct NetworkRig {
  const char* name;
  std::shared_ptr<const Routes> routes;
};
// The network alone; mixed, with ranks 0 1, 2 3, … on a host each; and with every other one on one.
const std::vector<NetworkRig>& rigs();

// While it lives, test_options() says that ranks are connected so.
class OverRig {
 public:
  explicit OverRig(const NetworkRig& rig);
  ~OverRig();
  OverRig(const OverRig&) = delete;
  OverRig& operator=(const OverRig&) = delete;
  static std::shared_ptr<const Routes> routes();  // null: the library's own
};

}  // namespace ringside::test
