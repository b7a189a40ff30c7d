// The body of tools/bench, apart from main(), so that tests can run it with a communicator that is
// broken on purpose and see that the bench notices.
#pragma once

#include <cstdio>

#include "comm/bootstrap/bootstrap.h"
#include "comm/options.h"
#include "tools/limits/probe.h"
#include "tools/measure/options.h"
#include "tools/support/gpu.h"

namespace ringside::tools {

// Collective. Rank 0 prints to `out`. Returns the exit status: 0, or 1 if a result was wrong.
// `make_gpu`: where --memory device gets a rank's GPU from. `make_flag`: what tells where the cores
// are, before and after each row.
int run_bench(Bootstrap& bootstrap, const Arguments& arguments, const Options& options,
              std::FILE* out, const MakeGpu& make_gpu = cuda_gpu,
              const MakeFlag& make_flag = flag_between);

}  // namespace ringside::tools
