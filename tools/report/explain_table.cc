// The block of lines, its little table, and the object.
#include "tools/report/explain_table.h"

#include <cmath>
#include <vector>

#include "comm/error.h"
#include "tools/report/table.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

// The table's columns. A way by wire is, like a flag's, a time under way.
struct Column {
  const char* name;
  int width;
  std::initializer_list<CostTerm> terms;
};
const Column kColumns[] = {
    {"call", 8, {CostTerm::call}},
    {"ends", 8, {CostTerm::ends}},
    {"lines", 7, {CostTerm::lines}},
    {"flags", 8, {CostTerm::flags, CostTerm::wires}},
    {"credits", 8, {CostTerm::credits}},
    {"to slot", 9, {CostTerm::into_slots}},
    {"from", 9, {CostTerm::from_slots}},
    {"own part", 9, {CostTerm::own_part}},
    {"additions", 10, {CostTerm::additions}},
};
constexpr const char* kPathNames[kPaths] = {"cell", "slot", "sum", "exposed"};
constexpr const char* kPathWords[kPaths] = {"in the flag's own line", "copied to slots",
                                            "computed in slots", "read where they lie"};
constexpr const char* kTermNames[kCostTerms] = {"call",     "ends",     "lines",      "flags",
                                                "credits",  "wires",    "into_slots", "from_slots",
                                                "own_part", "additions"};

constexpr const char* kLegend =
    R"(# Below each row: how the call is carried out, and its predicted time by what the longest way
# through the ranks is spent on. call: before the first primitive; ends: of messages; lines: second
# cache lines of messages; flags, credits: on their way there, and back; copies to slots, and from
# them or from where the bytes lie; own part: input to output. gap = predicted - lower bound, term
# by term. streamed: results are stored past the caches.
)";

std::string us_words(double us) {
  if (us == 0) return "-";
  if (std::abs(us) < 100) return text("%.2f", us);
  return text("%.*f", std::abs(us) < 1e5 ? 1 : 0, us);
}

// At most five characters for what is long enough to be cut.
std::string size_words(std::size_t bytes) {
  const auto size = static_cast<double>(bytes);
  if (bytes < 10 * 1024 && bytes % 1024 != 0) return text("%zu B", bytes);
  const auto decimals = [](double units) {
    return units < 100 && units != std::floor(units) ? 1 : 0;
  };
  const double kib = size / 1024, mib = kib / 1024;
  if (mib < 1) return text("%.*fK", decimals(kib), kib);
  return text("%.*fM", decimals(mib), mib);
}

std::size_t messages_of(const Explanation& it) {
  std::size_t messages = 0;
  for (const Traffic& way : it.sent) messages += way.messages;
  return messages;
}

std::string cut_words(const Explanation& it) {
  const std::string messages = count_words(messages_of(it), "message") + " a rank";
  if (it.size_bytes == 0) return messages + ", without bytes";
  const bool even = it.longest_chunk_bytes * static_cast<std::size_t>(it.chunks) == it.size_bytes;
  std::string words = count_words(static_cast<std::size_t>(it.chunks), "chunk");
  words += (even ? " of " : " ≤ ") + size_words(it.longest_chunk_bytes);
  words += ", " + count_words(it.slices, "slice");
  if (it.slices > 1) words += " ≤ " + size_words(it.slice_bytes);
  const double factor = static_cast<double>(it.busiest_bytes) / it.least_bytes;
  return words + "; " + messages + "; busiest link " + size_words(it.busiest_bytes) +
         text(" = %.2f × %s", factor, it.least);
}

std::string path_words(const Explanation& it) {
  std::string words;
  int paths = 0;
  for (const Traffic& way : it.sent) paths += way.bytes > 0;
  for (std::size_t path = 0; path < kPaths; ++path) {
    if (it.sent[path].bytes == 0) continue;
    words += words.empty() ? "bytes: " : ", ";
    if (paths > 1) words += size_words(it.sent[path].bytes) + " ";
    words += kPathWords[path];
  }
  if (words.empty()) return "no bytes: the flags are the message";
  return words + (it.streams ? "; streamed" : "; plain stores");
}

std::string breakdown_head() {
  std::string words = text("#   %-9s", "µs");
  words += " ";  // µ is two bytes long
  for (const Column& it : kColumns) words += text("%*s", it.width, it.name);
  return words + text("%10s\n", "sum");
}

std::string breakdown_line(const char* name, const CostBreakdown& breakdown) {
  std::string words = text("#   %-9s", name);
  for (const Column& column : kColumns) {
    double us = 0;
    for (const CostTerm term : column.terms) us += at(breakdown, term) / 1e3;
    words += text("%*s", column.width, us_words(us).c_str());
  }
  return words + text("%10s\n", us_words(total_us(breakdown)).c_str());
}

CostBreakdown difference(const CostBreakdown& a, const CostBreakdown& b) {
  CostBreakdown it = {};
  for (std::size_t term = 0; term < kCostTerms; ++term) it[term] = a[term] - b[term];
  return it;
}

void write_breakdown(JsonWriter& json, const char* key, const CostBreakdown& breakdown) {
  json.object(key);
  for (std::size_t term = 0; term < kCostTerms; ++term)
    json.field(kTermNames[term], breakdown[term] / 1e3);
  json.end();
}

}  // namespace

std::string explain_head(const ringside::Machine& machine) {
  const std::string calibrated = text(
      "# calibrated: a call %.0f ns, a message %.0f ns at either end, its second line %.0f ns\n",
      machine.call_ns, machine.message_ns, machine.slot_ns);
  return calibrated + kLegend;
}

std::string explain_words(const Explanation& it, double measured_us) {
  std::string words = "#   " + it.algorithm + ": " + it.why + "\n";
  if (!it.unpredicted.empty()) return words + "#   no prediction: " + it.unpredicted + "\n";
  words += "#   " + cut_words(it) + "\n#   " + path_words(it) + "\n" + breakdown_head();
  words += breakdown_line("bound", it.lower_bound) +
           breakdown_line("+ gap", difference(it.predicted, it.lower_bound)) +
           breakdown_line("predicted", it.predicted);
  const double predicted_us = total_us(it.predicted);
  const double unexplained_us = measured_us - predicted_us;
  return words + text("#   unexplained %+.2f (%+.1f %% of the prediction), measured %s\n",
                      unexplained_us, 100 * unexplained_us / predicted_us,
                      us_words(measured_us).c_str());
}

std::string stores_words(Communicator& comm) {
  const std::vector<StoreFinding> mine = comm.stores_to_the_right();
  std::vector<double> numbers;
  for (const StoreFinding& it : mine)
    for (const double number : {it.past_the_caches ? 1.0 : 0.0, it.cached_ns, it.past_ns})
      numbers.push_back(number);
  std::vector<double> all(numbers.size() * static_cast<std::size_t>(comm.size()));
  comm.gather(numbers.data(), all.data(), numbers.size(), DType::f64, 0);
  if (mine.empty()) return "";
  std::string words =
      "# Stores to the right neighbour, ns a line through the caches and past them\n#   rank";
  for (const StoreFinding& it : mine) words += text("%19s", it.what);
  for (std::size_t i = 0; i < all.size(); i += 3) {
    if (i % numbers.size() == 0) words += text("\n# %6zu", i / numbers.size());
    words += all[i + 1] > 0 ? text("%9s %4.1f %4.1f", all[i] > 0 ? "past" : "through", all[i + 1],
                                   all[i + 2])
                            : text("%19s", "-");
  }
  return words + "\n";
}

void write_explanation(JsonWriter& json, const Explanation& it, double measured_us) {
  json.object("explain")
      .field("algorithm", it.algorithm, "why", it.why, "chunks", it.chunks, "longest_chunk_bytes",
             it.longest_chunk_bytes, "slices", it.slices, "slice_bytes", it.slice_bytes, "streams",
             it.streams)
      .number("least_bytes", it.least_bytes, 0);
  write_breakdown(json, "lower_bound_us", it.lower_bound);
  if (!it.unpredicted.empty()) {
    json.field("unpredicted", it.unpredicted).end();
    return;
  }
  json.field("busiest_bytes", it.busiest_bytes).object("sent");
  for (std::size_t path = 0; path < kPaths; ++path)
    json.object(kPathNames[path])
        .field("messages", it.sent[path].messages, "bytes", it.sent[path].bytes)
        .end();
  json.end();
  write_breakdown(json, "predicted_us", it.predicted);
  json.field("predicted_total_us", total_us(it.predicted), "lower_bound_total_us",
             total_us(it.lower_bound), "unexplained_us", measured_us - total_us(it.predicted))
      .end();
}

}  // namespace ringside::tools
