// Tables and JSON of predictions.
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

void write_call(JsonWriter& json, const PredictedCall& it, bool best) {
  json.object().field("algorithm", name_of(it.question.algorithm));
  if (it.predicted_us)
    json.number("predicted_us", *it.predicted_us, 6)
        .number("busbw_gbs", it.busbw_gbs, 9)  // 8 bytes in 20 µs are 0.0004 GB/s
        .field("messages", it.messages, "best", best);
  else
    json.field("predicted_us", nullptr);
  if (it.measured_us)
    json.number("measured_us", *it.measured_us, 6).field("residual", it.residual());
  json.end();
}

void write_table(JsonWriter& json, const PriceTable& table) {
  json.object().field("op", name_of(table.kind), "ranks", table.ranks, "memory",
                      name_of(exposes(table) ? Memory::allocate : Memory::ordinary));
  if (table.crossover)
    json.field("one_shot_pays_up_to_bytes", table.crossover->predicted_bytes,
               "that_is_a_whole_slot", table.crossover->reaches_the_slot,
               "one_shot_taken_up_to_bytes", table.crossover->taken_up_to);
  if (const std::optional<Miss> worst = furthest_off(table))
    json.object("furthest_off")
        .field("residual", worst->residual, "size_bytes", worst->size_bytes, "algorithm",
               name_of(worst->algorithm))
        .end();
  json.array("rows");
  for (const PriceRow& row : table.rows) {
    json.object().field("size_bytes", row.size_bytes).array("calls");
    for (const PredictedCall& it : row.calls) write_call(json, it, &it == row.best());
    json.end().end();
  }
  json.end().end();
}

void write_here(JsonWriter& json, const Here& here) {
  const MachineProbe& probe = here.calibration.probe;
  const Machine& machine = here.calibration.machine;
  const auto write_rates = [&](const char* key, const std::vector<Rate>& rates) {
    json.array(key);
    for (const Rate& it : rates) json.object().field("size_bytes", it.bytes, "gbs", it.gbs).end();
    json.end();
  };
  json.field("ranks", here.ranks, "bootstrap", here.bootstrap, "bound_to_own_cores", here.own_cores)
      .object("probe")
      .field("flag_ns", probe.flag_ns);
  write_rates("copy", probe.copy);
  write_rates("reduce", probe.reduce);
  json.end()
      .object("calibrated_ns")
      .field("call", machine.call_ns, "message", machine.message_ns, "slot", machine.slot_ns)
      .end()
      .array("calibrated_on");
  for (const Measured& it : here.calibration.calls)
    if (it.calibrated)
      json.object()
          .field("op", name_of(it.question.kind), "algorithm", name_of(it.question.algorithm),
                 "size_bytes", it.question.bytes, "predicted_us", it.predicted_us, "measured_us",
                 it.measured_us, "residual", residual(it))
          .end();
  json.end();
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
  words += here ? ": predicted and measured" : ": described, not measured here";
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
                    number(*it.measured_us).c_str(), text("%+.0f", 100 * it.residual()).c_str());
    else
      words += text("%11s%9s", number(*it.predicted_us).c_str(), number(it.busbw_gbs).c_str());
  }
  if (row.best() != nullptr) words += std::string("   ") + name_of(row.best()->question.algorithm);
  return words + "\n";
}

std::optional<Miss> furthest_off(const PriceTable& table) {
  std::optional<Miss> worst;
  for (const PriceRow& row : table.rows)
    for (const PredictedCall& it : row.calls)
      if (it.measured_us && (!worst || std::abs(it.residual()) > std::abs(worst->residual)))
        worst = {it.residual(), row.size_bytes, it.question.algorithm};
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
  words += text("measured    a flag takes %.0f ns; copying ", calibration.probe.flag_ns);
  const auto range = [](const std::vector<Rate>& rates) {
    return text("%.1f GB/s (%s), %.1f (%s), %.1f (%s)", rates.front().gbs,
                short_bytes(rates.front().bytes).c_str(), rates[rates.size() / 2].gbs,
                short_bytes(rates[rates.size() / 2].bytes).c_str(), rates.back().gbs,
                short_bytes(rates.back().bytes).c_str());
  };
  words += range(it.copy) + "\n            adding " + range(it.reduce) + "\n";
  words +=
      text("calibrated  a call %.0f ns, a message %.0f ns at either end, a slot %.0f ns; on:\n",
           it.call_ns, it.message_ns, it.slot_ns);
  for (const Measured& call : calibration.calls)
    if (call.calibrated)
      words +=
          text("            %-10s %-8s %5zu B   predicted %7.2f us   measured %7.2f us   %+.0f%%\n",
               name_of(call.question.kind),
               call.question.kind == Kind::all_reduce ? name_of(call.question.algorithm) : "",
               call.question.bytes, call.predicted_us, call.measured_us, 100 * residual(call));
  return words + "\n";
}

std::string price_json(const Machine& machine, const Here* here,
                       const std::vector<PriceTable>& tables) {
  JsonWriter json(4);
  json.object().field("tool", "price", "machine", machine.name, "description",
                      write_machine(machine), "measured_here", here != nullptr);
  if (here != nullptr) write_here(json, *here);
  json.array("tables");
  for (const PriceTable& table : tables) write_table(json, table);
  return json.end().end().text();
}

}  // namespace ringside::tools
