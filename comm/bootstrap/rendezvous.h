// How the ranks of a job find rank 0, and how rank 0 tells them from strangers.
//
//     rank r                                     rank 0, listening on MASTER_ADDR:MASTER_PORT
//       connect (again and again, until the  ──▶  accept
//         deadline: rank 0 may start later)  ◀──  Challenge
//       Hello: rank, world size, a proof     ──▶  a rank of this job, and a new one?
//       Welcome: yes, not yet, or no and why ◀──  yes to all together, once all are there; no once
//                                                 it is clear that they will not be
//
// How each proves that it knows the job's secret is in comm/util/handshake.h. Whoever can change
// what is on the wire can still take a connection over once it is made, so the ranks of a job on
// several hosts belong on a network of their own (or in a tunnel). Without a secret a job is told
// from others by who started it (origin.h), and a rank that does not fit is sent away alone.
#pragma once

#include <vector>

#include "comm/bootstrap/tcp.h"
#include "comm/util/tcp_socket.h"

namespace ringside {

// Rank 0: listens, waits for all other ranks, stops listening. The connections by rank; [0] is
// empty. Strangers are sent away and hold nobody up. A caller that knows the secret and yet does
// not fit (a rank twice, another WORLD_SIZE) ends the start for everybody, with one sentence.
// A wait that lasts is reported by rank 0, and by a rank that hears nothing of rank 0.
std::vector<UniqueFd> receive_ranks(const TcpOptions& options, const StopCondition& stop);

// Every other rank: its connection to rank 0.
UniqueFd call_rank_0(const TcpOptions& options, const StopCondition& stop);

// Of what MASTER_ADDR stands for: where rank 0 can be. If some are this host's that is the first of
// these, on which rank 0 listens; on the others a stranger may.
std::vector<TcpAddress> those_of_rank_0(const std::vector<TcpAddress>& addresses);

// "rank 3", "ranks 1, 2, 5", "ranks 1, 2, 3, 4, 5, 6, 7, 8 and 20 more".
std::string list_ranks(const std::vector<int>& ranks);

// A fault that another process has named.
Fault fault_from(std::uint32_t number);

}  // namespace ringside
