// Which transport carries the messages between which two ranks.
//
//     all_routes()   one row a transport, the preferred one first; today shm alone
//     way_between    the first row that reaches from one rank to the other, or why none does
//
// A transport joins by its folder and a row of this table; sockets and RDMA are to come so. All
// ranks work the ways out from the same facts (PeerInfo) and the same table, so both ends of a pair
// come to the same transport.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/bootstrap/identity.h"
#include "comm/transport/transport.h"
#include "comm/util/secret.h"

namespace ringside {

// Whether a transport reaches from one rank to another, and why so or why not.
struct Reach {
  bool possible = false;
  std::string why;      // "same host: one memory file, mapped by both"
  bool mapped = false;  // whether loads and stores of one reach the other's window
};

struct Route {
  const char* name;  // as the transport's own
  // The same for (a, b) as for (b, a).
  std::function<Reach(const PeerInfo& a, const PeerInfo& b)> reach;
  // This rank's end, in a communicator of these ranks, who share the secret.
  std::function<std::unique_ptr<Transport>(const Secret& secret,
                                           const std::vector<PeerInfo>& everyone)>
      make;
};
using Routes = std::vector<Route>;
inline constexpr std::size_t kMostRoutes = 4;

Routes all_routes();

struct Way {
  int row = -1;                    // of the table; −1: no transport reaches
  const char* transport = "none";  // its name
  std::string why;                 // of each transport, if none reaches
  bool mapped = false;
};
Way way_between(const Routes& routes, const PeerInfo& a, const PeerInfo& b);

// What all ranks use for control, never automatic: the same on each. Shared only where one
// transport maps the windows of all. Throws Error{usage} where it is not so and was asked for.
ControlChoice agreed_control(const Routes& routes, const std::vector<PeerInfo>& everyone);

}  // namespace ringside
