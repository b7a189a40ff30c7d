// The three-way table: columns, rows, and what is said below it.
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

using ull = unsigned long long;

std::string ratio_words(double ratio) {
  return text("%.*f", ratio < 10 ? 2 : ratio < 100 ? 1 : 0, ratio);
}

std::string peer_columns(const PeerTiming& peer, bool colour) {
  if (!peer.part.what) return text(" |%9s%7s%11s%7s", "-", "-", "-", "-");
  const std::string ratio = text("%7s", ratio_words(peer.ratio.median).c_str());
  const bool red = colour && peer.ratio.median < 1;
  const std::string spread = ratio_words(peer.ratio.low) + "-" + ratio_words(peer.ratio.high);
  return text(" |%9s", time_words(peer.timing.time_us).c_str()) +
         (red ? "\033[31m" + ratio + "\033[0m" : ratio) +
         text("%11s%7llu", spread.c_str(), static_cast<ull>(peer.timing.wrong));
}

std::string floor_columns(const Row& row) {
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
  Summary it;
  double logs = 0;
  for (const Row& row : rows) {
    const double factor = factor_of(row);
    if (factor <= 0) continue;
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

std::optional<Summary> peer_summary(const std::vector<Row>& rows) {
  const auto ratio = [](const Row& row) { return row.peer ? row.peer->ratio.median : 0; };
  return summary_of(rows, ratio, true);
}

std::optional<Summary> lower_bound_summary(const std::vector<Row>& rows) {
  return summary_of(rows, distance_of, false);
}

std::string comparison_head(const ComparisonLook& look) {
  const bool peer = !look.peer.empty();
  std::string titles = text("#%22s%23s", "", "ringside");
  std::string names =
      text("#%9s%5s%8s%9s%7s%7s", "size", "type", "redop", "time", "busbw", "#wrong");
  std::string units = text("#%9s%5s%8s%9s%7s%7s", "(B)", "", "", "(us)", "(GB/s)", "");
  if (peer) {
    titles += text(" |%34s", look.peer.c_str());
    names += text(" |%9s%7s%11s%7s", "time", "ratio", "25-75%", "#wrong");
    units += text(" |%9s%25s", "(us)", "");
  }
  if (look.lower_bound) {
    titles += text(" |%16s", "machine");
    names += text(" |%9s%7s", "floor", "xbound");
    units += text(" |%9s", "(us)");
  }
  return titles + "\n" + names + "\n" + units + "\n";
}

std::string comparison_row(const Row& row, const ComparisonLook& look) {
  const Timing& ours = row.out_of_place;
  return text("%10llu%5s%8s", static_cast<ull>(row.size_bytes), name_of(row.what.dtype),
              reduction_words(row.what)) +
         text("%9s%7.2f%7llu", time_words(ours.time_us).c_str(), ours.busbw_gbs,
              static_cast<ull>(ours.wrong)) +
         (row.peer ? peer_columns(*row.peer, look.colour) : "") +
         (row.lower_bound ? floor_columns(row) : "") + "\n";
}

std::string comparison_foot(const std::vector<Row>& rows, const ComparisonLook& look) {
  const std::size_t wrong = wrong_in(rows);
  std::string words = text("# %-21s: %llu %s\n", "Out of bounds values", static_cast<ull>(wrong),
                           wrong == 0 ? "OK" : "FAILED");
  words += summary_line((look.peer + " / ringside").c_str(), peer_summary(rows));
  words += summary_line("ringside / floor", lower_bound_summary(rows));
  std::set<std::string> notes;
  for (const Row& row : rows)
    if (row.peer && !row.peer->part.note.empty() && notes.insert(row.peer->part.note).second)
      words += "# " + row.peer->part.note + "\n";
  return words;
}

}  // namespace ringside::tools
