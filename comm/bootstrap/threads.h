// Bootstrap `threads`: every rank is a thread of this process.
//
//     run_as_threads(4, [](Bootstrap& bootstrap) {
//       Communicator comm(bootstrap);
//       ...
//     });
//
// Tests live on it: ranks start in microseconds, and ThreadSanitizer sees all of them at once.
#pragma once

#include <functional>

#include "comm/bootstrap/bootstrap.h"

namespace ringside {

// Starts `size` threads, runs `body` on each, and joins them. If bodies throw, the exception of the
// lowest rank that failed for a reason of its own is rethrown after all have ended; a rank that was
// only waiting in the bootstrap for a failed one does not hide the cause.
void run_as_threads(int size, const std::function<void(Bootstrap&)>& body);

}  // namespace ringside
