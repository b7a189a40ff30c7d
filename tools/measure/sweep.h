// From options to rows: which operations a table has, in order.
#pragma once

#include <functional>

#include "comm/communicator.h"
#include "tools/measure/options.h"

namespace ringside::tools {

// Every operation that the options ask for, alike on all ranks. A barrier has neither type nor
// size, and so one row; send_recv has none with one rank, which has no neighbour.
void for_each_operation(const Arguments& arguments, int size,
                        const std::function<void(const Operation&)>& use);

// Two buffers a rank, and `extra_bytes` more a rank. Asked for before they are made, as a
// machine that runs out of memory does not refuse: it kills. Collective. Throws Error{usage}.
void check_memory(Communicator& comm, std::size_t end_bytes, std::size_t extra_bytes);

}  // namespace ringside::tools
