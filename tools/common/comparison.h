// The three-way table for people: ringside, a peer, and the floor; at most 100 characters wide.
#pragma once

#include <string>
#include <vector>

#include "tools/common/measure.h"

namespace ringside::tools {

// Which parts the table has, and how it may look.
struct ComparisonLook {
  std::string peer;  // its name; empty: no peer
  bool limit = false;
  bool colour = false;
};

std::string comparison_head(const ComparisonLook& look);
std::string comparison_row(const Row& row, const ComparisonLook& look);
// Geometric means and worst rows, and what the peer said of rows that it did differently.
std::string comparison_foot(const std::vector<Row>& rows, const ComparisonLook& look);

}  // namespace ringside::tools
