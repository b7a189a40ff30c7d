// An explanation for people, as a block of lines below its row, at most 100 columns wide; and for
// machines.
#pragma once

#include <string>

#include "comm/communicator.h"
#include "comm/util/json.h"
#include "tools/cost/explain.h"

namespace ringside::tools {

// Once, above all tables: what was calibrated, and what the columns of the blocks mean.
std::string explain_head(const ringside::Machine& machine);

std::string explain_words(const Explanation& it, double measured_us);

// Collective: below all tables, how each rank's stores reach its right neighbour. On rank 0.
std::string stores_words(Communicator& comm);

// The object "explain".
void write_explanation(JsonWriter& json, const Explanation& it, double measured_us);

}  // namespace ringside::tools
