// The three-way table for people: ringside, a baseline, and the lower bound; at most 100 characters
// wide.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/measure/measure.h"
#include "tools/report/table.h"

namespace ringside::tools {

// Which parts the table has, and how it may look.
struct ComparisonLook {
  std::string baseline;  // its name; empty: no baseline
  bool lower_bound = false;
  bool colour = false;
};

// What factors come to over the rows that have them.
struct Summary {
  double geomean = 0;
  double worst = 0;
  const Row* worst_row = nullptr;  // one of those that were given
  int rows = 0;                    // that have the factor
};
// The baseline's time / ringside's, of which the smallest is the worst; and ringside's time / lower
// bound, of which the largest is. Nothing where no row has one, or rows are of several situations
// of the cores; rows that are of none do not count.
std::optional<Summary> baseline_summary(const std::vector<Row>& rows);
std::optional<Summary> lower_bound_summary(const std::vector<Row>& rows);

std::string comparison_head(const ComparisonLook& look);
std::string comparison_row(const Row& row, const ComparisonLook& look);
// Geometric means and worst rows, and the baseline's notes on rows that it did differently.
std::string comparison_foot(const std::vector<Row>& rows, const ComparisonLook& look);

}  // namespace ringside::tools
