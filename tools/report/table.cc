// Tables and JSON of measured rows.
#include "tools/report/table.h"
#include "tools/support/command_line.h"

#include "comm/error.h"
#include "comm/util/json.h"
#include "tools/report/explain_table.h"

namespace ringside::tools {
namespace {

using ull = unsigned long long;

// Always with a blank before it: a ring of one rank moves nothing, at any speed.
std::string speed_words(double gbs) { return gbs < 1000 ? text("%.2f", gbs) : text("%.0e", gbs); }

std::string side(const Timing& timing) {
  return text("%10s%7s%7s%7llu", time_words(timing.time_us).c_str(),
              speed_words(timing.algbw_gbs).c_str(), speed_words(timing.busbw_gbs).c_str(),
              static_cast<ull>(timing.wrong));
}

std::string json_side(const Timing& timing) {
  return text("{\"time_us\": %.4f, \"time_us_25\": %.4f, \"time_us_75\": %.4f, ", timing.time_us,
              timing.spread_us.low, timing.spread_us.high) +
         text("\"algbw_gbs\": %.4f, \"busbw_gbs\": %.4f, \"wrong\": %llu}", timing.algbw_gbs,
              timing.busbw_gbs, static_cast<ull>(timing.wrong));
}

std::string json_baseline(const BaselineTiming& baseline) {
  const std::string note = text("{\"note\": %s", json_string(baseline.part.note).c_str());
  if (!baseline.part.what) return note + "}";
  return note +
         text(", \"redop\": \"%s\", \"ratio\": %.4f, \"ratio_25\": %.4f, \"ratio_75\": %.4f, ",
              reduction_words(*baseline.part.what), baseline.ratio.median, baseline.ratio.low,
              baseline.ratio.high) +
         "\"out_of_place\": " + json_side(baseline.timing) + "}";
}

std::string json_lower_bound(const Row& row) {
  return text("{\"time_us\": %.4f, \"flags\": %d, \"reduced_bytes\": %llu, ",
              row.lower_bound->time_us, row.lower_bound->work.flags,
              static_cast<ull>(row.lower_bound->work.reduced_bytes)) +
         text("\"copied_bytes\": %llu, \"moved_bytes\": %llu, \"distance\": %.4f}",
              static_cast<ull>(row.lower_bound->work.copied_bytes),
              static_cast<ull>(row.lower_bound->work.moved_bytes), distance_of(row));
}

int root_of(const Operation& what) { return has_root(what.kind) ? what.root : -1; }

}  // namespace

std::string table_head() {
  const auto line = [](const char* const(&left)[5], const char* const(&right)[4]) {
    return text("#%9s%10s%5s%8s%5s", left[0], left[1], left[2], left[3], left[4]) +
           text("%10s%7s%7s%7s", right[0], right[1], right[2], right[3]) +
           text("%10s%7s%7s", right[0], right[1], right[2]) +
           (*right[3] == '\0' ? "\n" : text("%7s\n", right[3]));
  };
  return text("#%37s%22s%31s\n", "", "out-of-place", "in-place") +
         line({"size", "count", "type", "redop", "root"}, {"time", "algbw", "busbw", "#wrong"}) +
         line({"(B)", "(elem)", "", "", ""}, {"(us)", "(GB/s)", "(GB/s)", ""});
}

std::string table_row(const Row& row) {
  return text("%10llu %9llu%5s%8s%5d", static_cast<ull>(row.size_bytes),
              static_cast<ull>(row.what.count), name_of(row.what.dtype), reduction_words(row.what),
              root_of(row.what)) +
         side(row.out_of_place) +
         (row.in_place ? side(*row.in_place) : text("%10s%7s%7s%7s", "-", "-", "-", "-")) + "\n";
}

double avg_busbw_gbs(const std::vector<Row>& rows) {
  double sum = 0;
  int sides = 0;
  for (const Row& row : rows) {
    sum += row.out_of_place.busbw_gbs + (row.in_place ? row.in_place->busbw_gbs : 0);
    sides += row.in_place ? 2 : 1;
  }
  return sides == 0 ? 0 : sum / sides;
}

std::string table_foot(const std::vector<Row>& rows) {
  const std::size_t wrong = wrong_in(rows);
  return text("# Out of bounds values : %llu %s\n", static_cast<ull>(wrong),
              wrong == 0 ? "OK" : "FAILED") +
         text("# Avg bus bandwidth    : %.3f GB/s\n", avg_busbw_gbs(rows));
}

const char* reduction_words(const Operation& what) {
  return has_reduction(what.kind) ? name_of(what.reduction) : "none";
}

double distance_of(const Row& row) {
  return row.lower_bound && row.lower_bound->time_us > 0
             ? row.out_of_place.time_us / row.lower_bound->time_us
             : 0;
}

std::size_t wrong_in(const std::vector<Row>& rows) {
  std::size_t wrong = 0;
  for (const Row& row : rows)
    wrong += row.out_of_place.wrong + (row.in_place ? row.in_place->wrong : 0) +
             (row.baseline ? row.baseline->timing.wrong : 0);
  return wrong;
}

std::string json_rows(const std::vector<Row>& rows) {
  std::string list;
  for (const Row& row : rows) {
    list +=
        text("%s\n    {\"op\": \"%s\", \"size_bytes\": %llu, \"count\": %llu, \"type\": \"%s\", ",
             list.empty() ? "" : ",", row_name(row.what.kind), static_cast<ull>(row.size_bytes),
             static_cast<ull>(row.what.count), name_of(row.what.dtype));
    list += text("\"redop\": \"%s\", \"root\": %d,\n     \"out_of_place\": %s",
                 reduction_words(row.what), root_of(row.what), json_side(row.out_of_place).c_str());
    list += text(", \"samples\": %llu", static_cast<ull>(row.samples));
    if (row.in_place) list += ",\n     \"in_place\": " + json_side(*row.in_place);
    if (row.baseline) list += ",\n     \"baseline\": " + json_baseline(*row.baseline);
    if (row.lower_bound) list += ",\n     \"lower_bound\": " + json_lower_bound(row);
    if (row.explanation)
      list += ",\n     \"explain\": " + explain_json(*row.explanation, row.out_of_place.time_us);
    if (row.on_gpu)
      list += ",\n     \"explain\": " + explain_json(*row.on_gpu, row.out_of_place.time_us);
    list += "}";
  }
  return "[" + list + "\n  ]";
}

}  // namespace ringside::tools
