// The loops over kinds, types, reductions and sizes.
#include "tools/measure/sweep.h"

#include "comm/error.h"
#include "comm/util/meminfo.h"
#include "tools/support/call.h"
#include "tools/support/command_line.h"

namespace ringside::tools {

void for_each_operation(const Arguments& arguments, int size,
                        const std::function<void(const Operation&)>& use) {
  for (const Kind kind : arguments.kinds) {
    if (kind == Kind::barrier) use(operation_of(kind, DType::u8, Reduction::sum, 0, size));
    if (kind == Kind::barrier || (kind == Kind::send_recv && size == 1)) continue;
    const std::size_t reductions = has_reduction(kind) ? arguments.reductions.size() : 1;
    for (const DType dtype : arguments.dtypes)
      for (std::size_t r = 0; r < reductions; ++r)
        for (std::size_t bytes = arguments.begin_bytes; bytes <= arguments.end_bytes;
             bytes = arguments.step_bytes > 0 ? bytes + arguments.step_bytes
                                              : bytes * arguments.factor)
          use(operation_of(kind, dtype, arguments.reductions[r], bytes, size));
  }
}

void check_memory(Communicator& comm, std::size_t end_bytes, std::size_t extra_bytes) {
  const std::size_t wanted = (2 * end_bytes + extra_bytes) * static_cast<std::size_t>(comm.size());
  // Rank 0 looks, so that all ranks come to the same answer.
  std::int64_t available = static_cast<std::int64_t>(available_bytes());
  comm.broadcast(&available, 1, DType::i64, 0);
  if (wanted > static_cast<std::size_t>(available))
    throw Error(Fault::usage,
                text("-e %s on %d ranks needs %s of memory, and %zu MiB are free",
                     short_bytes(end_bytes).c_str(), comm.size(), short_bytes(wanted).c_str(),
                     static_cast<std::size_t>(available) >> 20));
}

}  // namespace ringside::tools
