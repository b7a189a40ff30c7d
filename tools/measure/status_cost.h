// What a rank's notes for its baselines cost: the status page and with it the flight recorder
// (comm/control/status.h), measured alone.
#pragma once

namespace ringside::tools {

// What each call pays: reading the coarse clock, noting the call, noting its end. The median of
// many batches, in this rank's own memory; nobody reads the status page meanwhile.
double status_cost_ns();

}  // namespace ringside::tools
