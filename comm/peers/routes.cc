// The table of transports, and what reads it.
#include "comm/peers/routes.h"

#include <algorithm>

#include "comm/error.h"
#include "comm/transport/shm/shm.h"

namespace ringside {
namespace {

Reach shm_reach(const PeerInfo& a, const PeerInfo& b) {
  if (a.process == b.process) return {true, "same process: one mapping, shared by threads", true};
  if (!same_host(a, b))
    return {false, text("%s and %s are different hosts, and shared memory does not reach that far",
                        a.host.data(), b.host.data())};
  if (a.user != b.user)
    return {false, text("they run as different users (%u and %u)", a.user, b.user)};
  if (a.net_namespace != b.net_namespace || a.pid_namespace != b.pid_namespace)
    return {false,
            "they are in different containers (network or pid namespaces), where neither can hand "
            "the other its memory; start both in one"};
  return {true, "same host: one memory file, mapped by both", true};
}

std::unique_ptr<Transport> make_shm(const Secret& secret, const std::vector<PeerInfo>& everyone) {
  const bool several_processes =
      std::any_of(everyone.begin(), everyone.end(),
                  [&](const PeerInfo& it) { return it.process != everyone[0].process; });
  return std::make_unique<ShmTransport>(secret, ShmOptions{.serve = several_processes});
}

}  // namespace

Routes all_routes() { return {{"shm", shm_reach, make_shm}}; }

Way way_between(const Routes& routes, const PeerInfo& a, const PeerInfo& b) {
  Way way;
  for (const Route& route : routes) {
    const Reach reach = route.reach(a, b);
    if (reach.possible)
      return {static_cast<int>(&route - routes.data()), route.name, reach.why, reach.mapped};
    way.why += (way.why.empty() ? "" : "; ") + reach.why;
  }
  return way;
}

// Ranks that cannot reach each other at all are refused elsewhere, whatever they chose.
ControlChoice agreed_control(const Routes& routes, const std::vector<PeerInfo>& everyone) {
  const auto choice = static_cast<ControlChoice>(everyone[0].control);
  if (choice == ControlChoice::socket) return choice;
  const int first = way_between(routes, everyone.front(), everyone.back()).row;
  for (const PeerInfo& a : everyone)
    for (const PeerInfo& b : everyone) {
      if (&a == &b) continue;
      const Way way = way_between(routes, a, b);
      if (way.row < 0 || (way.mapped && way.row == first)) continue;
      if (choice == ControlChoice::automatic) return ControlChoice::socket;
      throw_error(Fault::usage,
                  "not all ranks share memory by one transport (rank %d and rank %d: %s), so the "
                  "control channel cannot be shared; leave RINGSIDE_CONTROL=auto",
                  a.rank, b.rank, way.transport);
    }
  return ControlChoice::shared;
}

}  // namespace ringside
