// Tables and JSON of prices.
#include "tools/cost/price_report.h"

#include <cmath>

#include "comm/cost/machine_text.h"
#include "comm/error.h"
#include "comm/util/json.h"
#include "tools/support/buffers.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

// Four digits are more than a model knows.
std::string number(double value) {
  if (value >= 1e5) return text("%.0f", value);
  if (value >= 100) return text("%.1f", value);
  return text("%.2f", value);
}

std::string percent(const PredictedCall& it) {
  return text("%+.0f", 100 * (*it.predicted_us / *it.measured_us - 1));
}

const char* column_name(const PredictedCall& it) {
  return it.question.kind == Kind::all_reduce ? name_of(it.question.algorithm) : "";
}

bool measured(const PriceTable& table) {
  for (const PriceRow& row : table.rows)
    for (const PredictedCall& it : row.calls)
      if (it.measured_us) return true;
  return false;
}

// In memory that can be read where it lies.
bool exposes(const PriceTable& table) {
  return !table.rows.empty() && table.rows[0].calls[0].question.zero_copy_from_bytes != SIZE_MAX;
}

std::string json_call(const PredictedCall& it, bool best) {
  std::string words = text("{\"algorithm\": \"%s\", ", name_of(it.question.algorithm));
  if (!it.predicted_us) return words + "\"predicted_us\": null}";
  words += text("\"predicted_us\": %.6g, \"busbw_gbs\": %.6g, \"messages\": %zu, \"best\": %s",
                *it.predicted_us, it.busbw_gbs, it.messages, best ? "true" : "false");
  if (it.measured_us)
    words += text(", \"measured_us\": %.6g, \"residual\": %.4f", *it.measured_us,
                  *it.predicted_us / *it.measured_us - 1);
  return words + "}";
}

std::string json_table(const PriceTable& table) {
  std::string rows;
  for (const PriceRow& row : table.rows) {
    std::string calls;
    for (const PredictedCall& it : row.calls)
      calls += (calls.empty() ? "" : ",\n       ") + json_call(it, &it == row.best());
    rows += text("%s\n      {\"size_bytes\": %zu, \"calls\": [", rows.empty() ? "" : ",",
                 row.size_bytes) +
            calls + "]}";
  }
  std::string words =
      text("    {\"op\": \"%s\", \"ranks\": %d, \"memory\": \"%s\",\n     ", name_of(table.kind),
           table.ranks, name_of(exposes(table) ? Memory::allocate : Memory::any));
  if (table.crossover)
    words += text("\"one_shot_pays_up_to_bytes\": %zu, \"that_is_a_whole_slot\": %s,\n     ",
                  table.crossover->predicted_bytes,
                  table.crossover->reaches_the_slot ? "true" : "false") +
             text("\"one_shot_taken_up_to_bytes\": %zu,\n     ", table.crossover->taken_up_to);
  if (const std::optional<Miss> worst = furthest_off(table))
    words += text("\"furthest_off\": {\"residual\": %.4f, \"size_bytes\": %zu, ", worst->residual,
                  worst->size_bytes) +
             text("\"algorithm\": \"%s\"},\n     ", name_of(worst->algorithm));
  return words + "\"rows\": [" + rows + "\n     ]}";
}

std::string json_rates(const std::vector<Rate>& rates) {
  std::string list;
  for (const Rate& it : rates)
    list +=
        text("%s{\"size_bytes\": %zu, \"gbs\": %.6g}", list.empty() ? "" : ", ", it.bytes, it.gbs);
  return "[" + list + "]";
}

std::string json_fit(const Calibration& calibration) {
  std::string calls;
  for (const Measured& it : calibration.calls)
    if (it.calibrated)
      calls += text("%s\n    {\"op\": \"%s\", \"algorithm\": \"%s\", \"size_bytes\": %zu, ",
                    calls.empty() ? "" : ",", name_of(it.question.kind),
                    name_of(it.question.algorithm), it.question.bytes) +
               text("\"predicted_us\": %.6g, \"measured_us\": %.6g, \"residual\": %.4f}",
                    it.predicted_us, it.measured_us, residual(it));
  return "[" + calls + "\n  ]";
}

std::string json_here(const Here& here) {
  const MachineProbe& probe = here.calibration.probe;
  const Machine& machine = here.calibration.machine;
  return text("  \"ranks\": %d, \"bootstrap\": %s, \"bound_to_own_cores\": %s,\n", here.ranks,
              json_string(here.bootstrap).c_str(), here.own_cores ? "true" : "false") +
         text("  \"probe\": {\"flag_ns\": %.6g,\n    \"copy\": ", probe.flag_ns) +
         json_rates(probe.copy) + ",\n    \"reduce\": " + json_rates(probe.reduce) + "},\n" +
         text("  \"calibrated_ns\": {\"call\": %.6g, \"message\": %.6g, \"slot\": %.6g},\n",
              machine.call_ns, machine.message_ns, machine.slot_ns) +
         "  \"fitted_to\": " + json_fit(here.calibration) + ",\n";
}

}  // namespace

const PredictedCall* PriceRow::best() const {
  if (calls.size() < 2) return nullptr;
  const PredictedCall* cheapest = nullptr;
  for (const PredictedCall& it : calls)
    if (it.predicted_us && (cheapest == nullptr || *it.predicted_us < *cheapest->predicted_us))
      cheapest = &it;
  return cheapest;
}

std::string price_head(const Machine& machine, const PriceTable& table) {
  const bool here = measured(table);
  std::string words =
      text("# %s, %d ranks on %s", name_of(table.kind), table.ranks, machine.name.c_str());
  if (table.ranks > machine.ranks())
    words += text(" (%d hosts of the same kind)", machine.host_of(table.ranks - 1) + 1);
  if (exposes(table)) words += ", memory from allocate";
  words += here ? ": predicted beside measured" : ": described, not measured here";
  if (table.rows.empty())
    return words + "\n# at no size here does each rank have a whole element\n";
  const std::size_t columns = table.rows.empty() ? 0 : table.rows[0].calls.size();
  std::string names = text("#%10s", ""), titles = text("#%10s", "size"),
              units = text("#%10s", "(B)");
  for (std::size_t i = 0; i < columns; ++i) {
    names += text(here ? "%26s" : "%20s", column_name(table.rows[0].calls[i]));
    titles += here ? text("%11s%10s%5s", "predicted", "measured", "off")
                   : text("%11s%9s", "predicted", "busbw");
    units += here ? text("%11s%10s%5s", "(us)", "(us)", "(%)") : text("%11s%9s", "(us)", "(GB/s)");
  }
  words += "\n";
  if (columns > 1) words += names + "\n", titles += "   best";
  return words + titles + "\n" + units + "\n";
}

std::string price_row(const PriceRow& row) {
  std::string words = text("%11zu", row.size_bytes);
  bool here = false;
  for (const PredictedCall& it : row.calls) here |= it.measured_us.has_value();
  for (const PredictedCall& it : row.calls) {
    if (!it.predicted_us)
      words += here ? text("%11s%10s%5s", "-", "-", "-") : text("%11s%9s", "-", "-");
    else if (it.measured_us)
      words += text("%11s%10s%5s", number(*it.predicted_us).c_str(),
                    number(*it.measured_us).c_str(), percent(it).c_str());
    else
      words += text("%11s%9s", number(*it.predicted_us).c_str(), number(it.busbw_gbs).c_str());
  }
  if (row.best() != nullptr) words += std::string("   ") + name_of(row.best()->question.algorithm);
  return words + "\n";
}

std::optional<Miss> furthest_off(const PriceTable& table) {
  std::optional<Miss> worst;
  for (const PriceRow& row : table.rows)
    for (const PredictedCall& it : row.calls) {
      if (!it.measured_us) continue;
      const double off = *it.predicted_us / *it.measured_us - 1;
      if (!worst || std::abs(off) > std::abs(worst->residual))
        worst = {off, row.size_bytes, it.question.algorithm};
    }
  return worst;
}

std::string price_foot(const PriceTable& table) {
  std::string words;
  if (table.crossover) {
    const Crossover& it = *table.crossover;
    words = it.predicted_bytes == 0
                ? "# one-shot: at no size the better one"
                : text("# one-shot: the better one up to %zu bytes%s", it.predicted_bytes,
                       it.reaches_the_slot ? ", which is a whole slot" : "");
    words += it.taken_up_to == 0 ? "; ringside does not take it here\n"
                                 : text("; ringside takes it up to %zu\n", it.taken_up_to);
  }
  if (const std::optional<Miss> worst = furthest_off(table))
    words +=
        text("# furthest off: %+.0f%% at %zu bytes\n", 100 * worst->residual, worst->size_bytes);
  return words;
}

std::string here_words(const Here& here) {
  const Calibration& calibration = here.calibration;
  const Machine& it = calibration.machine;
  std::string words =
      text("price: %d ranks here, bootstrap %s, %s\n\n", here.ranks, here.bootstrap.c_str(),
           here.own_cores ? "each bound to a core of its own" : "not bound to cores of their own");
  words += text("measured  a flag takes %.0f ns; copying ", calibration.probe.flag_ns);
  const auto range = [](const std::vector<Rate>& rates) {
    return text("%.1f GB/s (%s), %.1f (%s), %.1f (%s)", rates.front().gbs,
                short_bytes(rates.front().bytes).c_str(), rates[rates.size() / 2].gbs,
                short_bytes(rates[rates.size() / 2].bytes).c_str(), rates.back().gbs,
                short_bytes(rates.back().bytes).c_str());
  };
  words += range(it.copy) + "\n          adding " + range(it.reduce) + "\n";
  words += text("fitted    a call %.0f ns, a message %.0f ns at either end, a slot %.0f ns; to:\n",
                it.call_ns, it.message_ns, it.slot_ns);
  for (const Measured& call : calibration.calls)
    if (call.calibrated)
      words +=
          text("          %-10s %-8s %5zu B   predicted %7.2f us   measured %7.2f us   %+.0f%%\n",
               name_of(call.question.kind),
               call.question.kind == Kind::all_reduce ? name_of(call.question.algorithm) : "",
               call.question.bytes, call.predicted_us, call.measured_us, 100 * residual(call));
  return words + "\n";
}

std::string price_json(const Machine& machine, const Here* here,
                       const std::vector<PriceTable>& tables) {
  std::string list;
  for (const PriceTable& table : tables) list += (list.empty() ? "" : ",\n") + json_table(table);
  std::string words = "{\n  \"tool\": \"price\",\n";
  words += text("  \"machine\": %s,\n", json_string(machine.name).c_str());
  words += text("  \"description\": %s,\n", json_string(write_machine(machine)).c_str());
  words += text("  \"measured_here\": %s,\n", here != nullptr ? "true" : "false");
  if (here != nullptr) words += json_here(*here);
  return words + "  \"tables\": [\n" + list + "\n  ]\n}\n";
}

}  // namespace ringside::tools
