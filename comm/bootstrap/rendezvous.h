// How the ranks of a job find rank 0, and how rank 0 tells them from strangers.
//
//     rank r                                     rank 0, listening on MASTER_ADDR:MASTER_PORT
//       connect (again and again, until the  ──▶  accept
//         deadline: rank 0 may start later)
//       Hello: proof, rank and world size    ──▶  a rank of this job, and a new one?
//       Welcome: proof, then yes, or no      ◀──  sent to all together, once all are there,
//         and a sentence                          or once it is clear that they will not be
//
// How each proves that it knows the job's secret is in comm/util/handshake.h. Whoever can read the
// wire can read the secret, so the ranks of a job on several hosts belong on a network that others
// do not read (or in a tunnel).
#pragma once

#include <vector>

#include "comm/bootstrap/tcp.h"
#include "comm/util/tcp_socket.h"

namespace ringside {

// Rank 0: listens, waits for all other ranks, stops listening. The connections by rank; [0] is
// empty. Strangers are sent away and hold nobody up. A caller that knows the secret and yet does
// not fit (a rank twice, another WORLD_SIZE) ends the start for everybody, with one sentence.
std::vector<UniqueFd> receive_ranks(const TcpOptions& options, const StopCondition& stop);

// Every other rank: its connection to rank 0.
UniqueFd call_rank_0(const TcpOptions& options, const StopCondition& stop);

// "rank 3", "ranks 1, 2, 5", "ranks 1, 2, 3, 4, 5, 6, 7, 8 and 20 more".
std::string list_ranks(const std::vector<int>& ranks);

// A fault that another process has named.
Fault fault_from(std::uint32_t number);

}  // namespace ringside
