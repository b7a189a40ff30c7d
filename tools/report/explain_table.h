// An explanation for people, as a block of lines below its row, at most 100 columns wide; and for
// machines.
#pragma once

#include <string>

#include "tools/cost/explain.h"

namespace ringside::tools {

// Once, above all tables: what was fitted, and what the columns of the blocks mean.
std::string explain_head(const ringside::Machine& machine);

std::string explain_words(const Explanation& it, double measured_us);

// An object.
std::string explain_json(const Explanation& it, double measured_us);

}  // namespace ringside::tools
