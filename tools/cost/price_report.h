// Printing predictions, for people and for machines.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comm/cost/predict.h"
#include "tools/cost/calibrate.h"

namespace ringside::tools {

// One algorithm in one row: no prediction where there can be none.
struct PredictedCall {
  Question question;
  std::optional<double> predicted_us;
  std::optional<double> measured_us;
  double busbw_gbs = 0;      // as predicted; 0 where that is no time
  std::size_t messages = 0;  // of one call, all ranks together
  // predicted / measured − 1, of what was measured.
  double residual() const { return *predicted_us / *measured_us - 1; }
};

// One size of one operation, by each algorithm that it can take.
struct PriceRow {
  std::size_t size_bytes = 0;
  std::vector<PredictedCall> calls;
  // The cheapest of several; null where there is no choice.
  const PredictedCall* best() const;
};

// Where the one-shot of an all_reduce stops being the better one.
struct Crossover {
  std::size_t predicted_bytes = 0;  // the largest size at which it is not dearer; 0: at none
  std::size_t taken_up_to = 0;      // ringside's own rule for so many ranks
  bool reaches_the_slot = false;    // it is the better one for all that fits a slot
};

struct PriceTable {
  Kind kind;
  int ranks;
  std::vector<PriceRow> rows;
  std::optional<Crossover> crossover;
};

// Which call was predicted worst, of those that were measured.
struct Miss {
  double residual = 0;
  std::size_t size_bytes = 0;
  Algorithm algorithm = Algorithm::ring;
};
std::optional<Miss> furthest_off(const PriceTable& table);

// Where it was measured and how.
struct Here {
  Calibration calibration;
  int ranks = 0;
  std::string bootstrap;
  bool own_cores = false;  // each rank is bound to a core that no other has
};

std::string price_head(const Machine& machine, const PriceTable& table);
std::string price_row(const PriceRow& row);
std::string price_foot(const PriceTable& table);

// Which ranks these are, what was measured and what was calibrated, on which calls.
std::string here_words(const Here& here);

// `here` is null for a described machine. Holds every number that the text does.
std::string price_json(const Machine& machine, const Here* here,
                       const std::vector<PriceTable>& tables);

}  // namespace ringside::tools
