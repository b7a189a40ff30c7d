// Printing prices, for people and for machines.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comm/clock_plan.h"
#include "tools/common/fit.h"

namespace ringside::tools {

// One algorithm in one row: no price where it cannot be had.
struct PricedCall {
  Question question;
  std::optional<double> priced_us;
  std::optional<double> measured_us;
  double busbw_gbs = 0;  // of the price
  std::size_t messages = 0;
};

// One size of one operation: the ring, and for all_reduce the one-shot beside it.
struct PriceRow {
  std::size_t size_bytes = 0;
  std::vector<PricedCall> calls;
  // The cheapest of several; null where there is no choice.
  const PricedCall* best() const;
};

// Where the one-shot of an all_reduce stops being the better one.
struct Crossover {
  std::size_t priced_bytes = 0;   // the largest size at which it is not dearer; 0: at none
  std::size_t taken_up_to = 0;    // ringside's own rule for so many ranks
  bool reaches_the_slot = false;  // it is the better one for all that fits a slot
};

struct PriceTable {
  Kind kind;
  int ranks;
  std::vector<PriceRow> rows;
  std::optional<Crossover> crossover;
};

std::string price_head(const Machine& machine, const PriceTable& table);
std::string price_row(const PriceRow& row);
std::string price_foot(const PriceTable& table);

// "fitted: …" for a machine that was fitted here, with the calls that it was fitted to.
std::string fit_words(const Fit& fit);

std::string price_json(const Machine& machine, const Fit* fit,
                       const std::vector<PriceTable>& tables);

}  // namespace ringside::tools
