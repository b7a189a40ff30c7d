// The three-way table: columns, rows, and the lines below it.
#include "tools/report/comparison.h"
#include "tools/support/command_line.h"

#include <cmath>
#include <functional>
#include <optional>
#include <set>

#include "comm/error.h"
#include "tools/report/table.h"

namespace ringside::tools {
namespace {

std::string ratio_words(double ratio) {
  return text("%.*f", ratio < 10 ? 2 : ratio < 100 ? 1 : 0, ratio);
}

std::string baseline_columns(const BaselineTiming& baseline, bool colour) {
  if (!baseline.part.what) return text(" |%9s%7s%11s%7s", "-", "-", "-", "-");
  const std::string ratio = text("%7s", ratio_words(baseline.ratio.median).c_str());
  const bool red = colour && baseline.ratio.median < 1;
  const std::string spread =
      ratio_words(baseline.ratio.low) + "-" + ratio_words(baseline.ratio.high);
  return text(" |%9s", time_words(baseline.timing.time_us).c_str()) +
         (red ? "\033[31m" + ratio + "\033[0m" : ratio) +
         text("%11s%7zu", spread.c_str(), baseline.timing.wrong);
}

std::string lower_bound_columns(const Row& row) {
  const double distance = distance_of(row);
  return text(" |%9s%7s", time_words(row.lower_bound->time_us).c_str(),
              distance > 0 ? ratio_words(distance).c_str() : "-");
}

// "all_reduce 64M f32 sum"
std::string name_of_row(const Row& row) {
  return text("%s %s %s %s", row_name(row.what.kind), short_bytes(row.size_bytes).c_str(),
              name_of(row.what.dtype), reduction_words(row.what));
}

std::string summary_line(const char* title, const std::optional<Summary>& summary) {
  if (!summary) return "";
  return text("# %-21s: geometric mean %s over %d rows; worst %s (%s)\n", title,
              ratio_words(summary->geomean).c_str(), summary->rows,
              ratio_words(summary->worst).c_str(), name_of_row(*summary->worst_row).c_str());
}

std::optional<Summary> summary_of(const std::vector<Row>& rows,
                                  const std::function<double(const Row&)>& factor_of,
                                  bool more_is_better) {
  if (!in_one_place(rows)) return std::nullopt;
  Summary it;
  double logs = 0;
  for (const Row& row : rows) {
    const double factor = factor_of(row);
    if (factor <= 0 || row.stand.moved()) continue;
    logs += std::log(factor);
    const bool first = it.rows++ == 0;
    if (!first && (more_is_better ? factor >= it.worst : factor <= it.worst)) continue;
    it.worst = factor;
    it.worst_row = &row;
  }
  if (it.rows == 0) return std::nullopt;
  it.geomean = std::exp(logs / it.rows);
  return it;
}

}  // namespace

std::optional<Summary> baseline_summary(const std::vector<Row>& rows) {
  const auto ratio = [](const Row& row) { return row.baseline ? row.baseline->ratio.median : 0; };
  return summary_of(rows, ratio, true);
}

std::optional<Summary> lower_bound_summary(const std::vector<Row>& rows) {
  return summary_of(rows, distance_of, false);
}

std::string comparison_head(const ComparisonLook& look) {
  const bool baseline = !look.baseline.empty();
  std::string titles = text("#%22s%23s", "", "ringside");
  std::string names =
      text("#%9s%5s%8s%9s%7s%7s", "size", "type", "redop", "time", "busbw", "#wrong");
  std::string units = text("#%9s%5s%8s%9s%7s%7s", "(B)", "", "", "(us)", "(GB/s)", "");
  if (baseline) {
    titles += text(" |%34s", look.baseline.c_str());
    names += text(" |%9s%7s%11s%7s", "time", "ratio", "25-75%", "#wrong");
    units += text(" |%9s%25s", "(us)", "");
  }
  if (look.lower_bound) {
    titles += text(" |%16s", "machine");
    names += text(" |%9s%7s", "bound", "xbound");
    units += text(" |%9s", "(us)");
  }
  return titles + "\n" + names + "\n" + units + "\n";
}

std::string comparison_row(const Row& row, const ComparisonLook& look) {
  const Timing& ours = row.out_of_place;
  return text("%10zu%5s%8s", row.size_bytes, name_of(row.what.dtype), reduction_words(row.what)) +
         text("%9s%7.2f%7zu", time_words(ours.time_us).c_str(), ours.busbw_gbs, ours.wrong) +
         (row.baseline ? baseline_columns(*row.baseline, look.colour) : "") +
         (row.lower_bound ? lower_bound_columns(row) : "") + "\n" + moved_words(row);
}

std::string comparison_foot(const std::vector<Row>& rows, const ComparisonLook& look) {
  const std::size_t wrong = wrong_in(rows);
  std::string words =
      text("# %-21s: %zu %s\n", "Out of bounds values", wrong, wrong == 0 ? "OK" : "FAILED");
  words += summary_line((look.baseline + " / ringside").c_str(), baseline_summary(rows));
  words += summary_line("ringside / lower bound", lower_bound_summary(rows));
  std::set<std::string> notes;
  for (const Row& row : rows)
    if (row.baseline && !row.baseline->part.note.empty() &&
        notes.insert(row.baseline->part.note).second)
      words += "# " + row.baseline->part.note + "\n";
  return words;
}

}  // namespace ringside::tools
