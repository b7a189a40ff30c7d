// Tables and JSON of measured rows.
#include "tools/report/table.h"
#include "tools/support/command_line.h"

#include <set>

#include "comm/error.h"
#include "tools/report/explain_table.h"

namespace ringside::tools {
namespace {

// Always with a blank before it: a ring of one rank moves nothing, at any speed.
std::string speed_words(double gbs) { return gbs < 1000 ? text("%.2f", gbs) : text("%.0e", gbs); }

std::string side(const Timing& timing) {
  return text("%10s%7s%7s%7zu", time_words(timing.time_us).c_str(),
              speed_words(timing.algbw_gbs).c_str(), speed_words(timing.busbw_gbs).c_str(),
              timing.wrong);
}

void write_side(JsonWriter& json, const char* key, const Timing& timing) {
  json.object(key)
      .field("time_us", timing.time_us, "time_us_25", timing.spread_us.low, "time_us_75",
             timing.spread_us.high, "algbw_gbs", timing.algbw_gbs, "busbw_gbs", timing.busbw_gbs,
             "wrong", timing.wrong)
      .end();
}

void write_baseline(JsonWriter& json, const BaselineTiming& baseline) {
  json.object("baseline").field("note", baseline.part.note);
  if (baseline.part.what) {
    json.field("redop", reduction_words(*baseline.part.what), "ratio", baseline.ratio.median,
               "ratio_25", baseline.ratio.low, "ratio_75", baseline.ratio.high);
    write_side(json, "out_of_place", baseline.timing);
  }
  json.end();
}

void write_lower_bound(JsonWriter& json, const Row& row) {
  const LeastWork& work = row.lower_bound->work;
  json.object("lower_bound")
      .field("time_us", row.lower_bound->time_us, "flags", work.flags, "reduced_bytes",
             work.reduced_bytes, "copied_bytes", work.copied_bytes, "moved_bytes", work.moved_bytes,
             "distance", distance_of(row))
      .end();
}

int root_of(const Operation& what) { return has_root(what.kind) ? what.root : -1; }

}  // namespace

Row row_in_one_place(const Flag& flag, const std::function<RowTiming()>& measure) {
  RowTiming timing;
  const Stand stand = measure_in_one_place(flag, [&] { timing = measure(); });
  return {std::move(timing), {}, {}, {}, stand};
}

std::string moved_words(const Row& row) {
  return row.stand.moved() ? text(
                                 "#   ^ of no one situation: measured %d times, and the CPUs moved "
                                 "each time (a flag: %.0f, then %.0f ns)\n",
                                 row.stand.times, row.stand.before_ns, row.stand.after_ns)
                           : "";
}

bool in_one_place(const std::vector<Row>& rows) {
  std::set<std::string> places;
  for (const Row& row : rows)
    if (!row.stand.moved()) places.insert(row.stand.cores());
  return places.size() <= 1;
}

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
  return text("%10zu %9zu%5s%8s%5d", row.size_bytes, row.what.count, name_of(row.what.dtype),
              reduction_words(row.what), root_of(row.what)) +
         side(row.out_of_place) +
         (row.in_place ? side(*row.in_place) : text("%10s%7s%7s%7s", "-", "-", "-", "-")) + "\n" +
         moved_words(row);
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
  return text("# Out of bounds values : %zu %s\n", wrong, wrong == 0 ? "OK" : "FAILED") +
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

void write_rows(JsonWriter& json, const std::vector<Row>& rows) {
  json.array("rows");
  for (const Row& row : rows) {
    json.object().field("op", row_name(row.what.kind), "size_bytes", row.size_bytes, "count",
                        row.what.count, "type", name_of(row.what.dtype), "redop",
                        reduction_words(row.what), "root", root_of(row.what));
    write_side(json, "out_of_place", row.out_of_place);
    json.field("samples", row.samples, "cores", row.stand.cores(), "times_measured",
               row.stand.times);
    if (row.in_place) write_side(json, "in_place", *row.in_place);
    if (row.baseline) write_baseline(json, *row.baseline);
    if (row.lower_bound) write_lower_bound(json, row);
    if (row.explanation) write_explanation(json, *row.explanation, row.out_of_place.time_us);
    if (row.on_gpu) write_explanation(json, *row.on_gpu, row.out_of_place.time_us);
    json.end();
  }
  json.end();
}

}  // namespace ringside::tools
