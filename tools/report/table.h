// Printing rows, for people (a table in nccl-tests' columns, 100 characters wide) and for machines
// (JSON).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comm/util/json.h"
#include "tools/cost/explain.h"
#include "tools/limits/core_distance.h"
#include "tools/limits/gpu_lower_bound.h"
#include "tools/limits/lower_bound.h"
#include "tools/measure/measure.h"

namespace ringside::tools {

struct Row : RowTiming {
  std::optional<LowerBound> lower_bound;
  std::optional<Explanation> explanation;
  std::optional<GpuExplanation> on_gpu;  // in its place, for device memory
  Stand stand;                           // of the cores, all zero for device memory
};

// A row measured while the cores stand, or marked.
Row row_in_one_place(const Flag& flag, const std::function<RowTiming()>& measure);
// The mark, as a line below the row; or nothing.
std::string moved_words(const Row& row);
// Whether all rows that are not marked were measured in one situation, so that a mean is of it.
bool in_one_place(const std::vector<Row>& rows);

std::string table_head();
std::string table_row(const Row& row);
// "Out of bounds values" and "Avg bus bandwidth", as nccl-tests closes its tables.
std::string table_foot(const std::vector<Row>& rows);

// The mean over all rows and sides; 0 without rows.
double avg_busbw_gbs(const std::vector<Row>& rows);

// Elements, over all rows, sides and libraries.
std::size_t wrong_in(const std::vector<Row>& rows);

// How far ringside is from the lower bound, as a factor; 0 where there is no lower bound, or it is
// no time.
double distance_of(const Row& row);

const char* reduction_words(const Operation& what);

// The array "rows".
void write_rows(JsonWriter& json, const std::vector<Row>& rows);

}  // namespace ringside::tools
