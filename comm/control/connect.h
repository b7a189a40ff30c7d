// How the ranks of a communicator come to a connection between each two of them, for control
// (socket.h): each listens, on a port of the kernel's choice that the bootstrap passes on to the
// others, and calls all ranks below its own.
//
//     rank r                                     rank p < r
//       connect                            ──▶  accept
//                                          ◀──  Challenge
//       Hello: rank, a proof               ──▶  a rank above p, and a new one?
//                                          ◀──  Welcome: a proof
//
// The secret is the communicator's own; how it is proved is in comm/util/handshake.h. Once all are
// there nobody listens any more.
//
// A full mesh has n(n−1)/2 connections, n−1 descriptors on each rank, and every death is seen by
// all at once and first hand: no leader whose own death would have to be survived, no ring to mend.
// That is good for some 64 ranks. Beyond a few hundred the descriptors of one host (n² where it
// has all the ranks) and the n messages of an abort begin to count, and a tree is called for.
#pragma once

#include <string>
#include <vector>

#include "comm/bootstrap/bootstrap.h"
#include "comm/bootstrap/identity.h"
#include "comm/util/handshake.h"

namespace ringside {

// The address on which this rank shall listen: loopback where all are on one host, otherwise the
// one by which the bootstrap reaches this host. Throws Error{system} where it knows none.
std::string control_host(const std::vector<PeerInfo>& everyone, const Bootstrap& bootstrap);

// Collective. `addresses`: where each rank listens; `listener`: this rank's. The connections by
// rank; none to itself. Throws Error{system, timeout, interrupted, left, protocol}.
std::vector<UniqueFd> connect_mesh(int rank, UniqueFd listener,
                                   const std::vector<TcpAddress>& addresses, const Secret& secret,
                                   const StopCondition& stop, std::size_t strangers_max = 256);

}  // namespace ringside
