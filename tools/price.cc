// price: what each algorithm costs, on a described machine or on this one.
//
// On a described machine one process runs the simulator and prints. Here, the ranks meet first:
// they probe the machine, time a few calls, calibrate the model (tools/cost/calibrate.h), and then
// time what is predicted, so that both stand side by side.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "comm/cost/machine_text.h"
#include "comm/cost/predict.h"
#include "comm/error.h"
#include "comm/host/choice.h"
#include "tools/cost/calibrate.h"
#include "tools/cost/machines.h"
#include "tools/cost/price_options.h"
#include "tools/cost/price_report.h"
#include "tools/measure/pin.h"
#include "tools/measure/sweep.h"
#include "tools/support/call.h"
#include "tools/support/command_line.h"
#include "tools/support/run_ranks.h"

namespace {

using namespace ringside;
using namespace ringside::tools;

constexpr const char* kTool = "price";
constexpr double kMostPrimitives = 1e9;   // of a prediction: a minute or two
constexpr int kMostCrossoverRanks = 128;  // some twenty predictions, of n³ additions each

// What a table is of.
struct Setting {
  const Machine& machine;
  int ranks;
  int calls = 1;                               // in a loop
  Algorithm algorithm = Algorithm::automatic;  // what the communicator would be told
  std::size_t zero_copy_from_bytes =
      SIZE_MAX;  // and from when on buffers are exposed, if they can be
  Question question(Kind kind, Algorithm by, std::size_t bytes) const {
    Question it{kind, by, bytes, ranks, calls, zero_copy_from_bytes};
    if (by == Algorithm::hierarchical) it.group_ranks = machine.ranks_per_host;
    return it;
  }
};

// The algorithms that an operation can take. A two-shot of two ranks is the ring in other words,
// and so is a hierarchy of one host, or of hosts with a rank each.
std::vector<Algorithm> algorithms_of(Kind kind, const Setting& setting) {
  if (kind != Kind::all_reduce) return {Algorithm::ring};
  std::vector<Algorithm> all = {Algorithm::ring, Algorithm::one_shot};
  if (setting.ranks > 2) all.push_back(Algorithm::two_shot);
  const int on_a_host = setting.machine.ranks_per_host;
  if (on_a_host > 1 && setting.ranks > on_a_host && setting.ranks % on_a_host == 0)
    all.push_back(Algorithm::hierarchical);
  return all;
}

// A row that takes seconds says so, on a terminal and nowhere else.
void show_progress(const std::string& words) {
  if (::isatty(STDERR_FILENO) != 1) return;
  std::fprintf(stderr, "\r%-60s\r%s", "", words.c_str());
}

PredictedCall predicted(const Machine& machine, const Question& question) {
  PredictedCall it{question, {}, {}, 0, 0};
  if (!cannot_predict(machine, question).empty()) return it;
  const Prediction prediction = predict(machine, question);
  it.predicted_us = prediction.time_ns / 1e3;
  if (prediction.time_ns > 0)
    it.busbw_gbs = static_cast<double>(whole_bytes(question)) / prediction.time_ns *
                   bus_factor(question.kind, question.ranks);
  it.messages = prediction.messages / static_cast<std::size_t>(question.calls);
  return it;
}

bool one_shot_is_better(const Setting& setting, std::size_t bytes) {
  const auto time_us = [&](Algorithm algorithm) {
    return predicted(setting.machine, setting.question(Kind::all_reduce, algorithm, bytes))
        .predicted_us;
  };
  const std::optional<double> one_shot = time_us(Algorithm::one_shot);
  return one_shot && *one_shot <= *time_us(Algorithm::ring);
}

// The last size, in whole elements, before the ring is cheaper for the first time.
std::optional<Crossover> crossover_of(const Setting& setting) {
  if (setting.ranks > kMostCrossoverRanks) return std::nullopt;
  const ChannelShape &ring = setting.machine.ring, &mesh = setting.machine.mesh;
  constexpr std::size_t kElement = sizeof(float);
  Crossover it;
  const std::size_t slot = mesh.slot_bytes / kElement * kElement;
  it.taken_up_to = one_shot_most_bytes(
      {{0, setting.ranks}, ring.slot_bytes, mesh.slot_bytes, setting.algorithm});
  std::size_t good = 0, bad = kElement;
  while (bad <= slot && one_shot_is_better(setting, bad)) good = bad, bad *= 2;
  bad = std::min(bad, slot + kElement);
  while (bad - good > kElement) {
    const std::size_t middle = (good + bad) / 2 / kElement * kElement;
    (one_shot_is_better(setting, middle) ? good : bad) = middle;
  }
  it.predicted_bytes = good;
  it.reaches_the_slot = good == slot;
  return it;
}

// In whole elements on every rank, and so perhaps fewer than the options name.
std::vector<std::size_t> sizes_of(const PriceOptions& options, Kind kind, int ranks) {
  std::vector<std::size_t> sizes;
  for (std::size_t bytes = options.begin_bytes; bytes <= options.end_bytes; bytes *= options.factor)
    if (const std::size_t whole = whole_bytes({kind, Algorithm::ring, bytes, ranks});
        whole > 0 && (sizes.empty() || whole != sizes.back()))
      sizes.push_back(whole);
  return sizes;
}

// All that the tables predict, in their order. Throws Error{usage} where that would take hours.
std::vector<Question> questions_of(const Setting& setting, const PriceOptions& options) {
  std::vector<Question> questions;
  for (const Kind kind : options.kinds)
    for (const std::size_t bytes : sizes_of(options, kind, setting.ranks))
      for (const Algorithm algorithm : algorithms_of(kind, setting)) {
        const Question it = setting.question(kind, algorithm, bytes);
        if (!cannot_predict(setting.machine, it).empty()) continue;
        const double steps = primitives_to_predict(setting.machine, it);
        if (steps > kMostPrimitives)
          throw Error(
              Fault::usage,
              text("to predict %s of %s on %d ranks would take %.1e steps, and %.0e are the "
                   "most; choose a smaller -e, fewer ranks or longer slots",
                   name_of(kind), short_bytes(bytes).c_str(), it.ranks, steps, kMostPrimitives));
        questions.push_back(it);
      }
  return questions;
}

PriceTable price_table(const Setting& setting, const PriceOptions& options, Kind kind) {
  PriceTable table{kind, setting.ranks, {}, {}};
  for (const std::size_t bytes : sizes_of(options, kind, setting.ranks)) {
    show_progress(
        text("price: %s, %d ranks, %s", name_of(kind), setting.ranks, short_bytes(bytes).c_str()));
    PriceRow row{bytes, {}};
    for (const Algorithm algorithm : algorithms_of(kind, setting))
      row.calls.push_back(predicted(setting.machine, setting.question(kind, algorithm, bytes)));
    table.rows.push_back(std::move(row));
  }
  show_progress("");
  if (kind == Kind::all_reduce) table.crossover = crossover_of(setting);
  return table;
}

std::string words_of(const Machine& machine, const PriceTable& table) {
  std::string words = price_head(machine, table);
  for (const PriceRow& row : table.rows) words += price_row(row);
  return words + price_foot(table) + "\n";
}

std::string describe_prices(const PriceOptions& options) {
  const std::string description = machine_text(options.machine);
  const Machine machine = parse_machine(description, options.machine);
  if (options.show_machine) return description;
  const std::vector<int> ranks =
      options.ranks.empty() ? std::vector{machine.ranks()} : options.ranks;
  for (const int n : ranks)
    if (const std::string why = cannot_predict(machine, {.ranks = n}); !why.empty())
      throw Error(Fault::usage, why);
  const std::size_t zero_copy_from =
      options.memory == Memory::allocate ? tool_options().zero_copy_from_bytes : SIZE_MAX;
  const auto setting = [&](int n) {
    return Setting{machine, n, 1, Algorithm::automatic, zero_copy_from};
  };
  for (const int n : ranks) questions_of(setting(n), options);  // before the first
  std::vector<PriceTable> tables;
  std::string words;
  for (const Kind kind : options.kinds)
    for (const int n : ranks) {
      tables.push_back(price_table(setting(n), options, kind));
      words += words_of(machine, tables.back());
    }
  return options.json ? price_json(machine, nullptr, tables) : words;
}

// The measured times next to the predicted ones.
std::vector<PriceTable> tables_here(const Setting& setting, const PriceOptions& options,
                                    const Calibration& calibration) {
  std::vector<PriceTable> tables;
  for (const Kind kind : options.kinds) {
    PriceTable table = price_table(setting, options, kind);
    for (PriceRow& row : table.rows)
      for (PredictedCall& call : row.calls)
        for (const Measured& it : calibration.calls) {
          const Question& q = it.question;
          if (!it.calibrated && q.kind == kind && q.bytes == call.question.bytes &&
              q.algorithm == call.question.algorithm)
            call.measured_us = it.measured_us;
        }
    tables.push_back(std::move(table));
  }
  return tables;
}

// Why nobody could write there, as a sentence's end; empty if it seems possible. Nothing is made.
std::string cannot_write(const std::string& path) {
  namespace files = std::filesystem;
  std::error_code ignored;
  if (files::is_directory(path, ignored)) return "that is a directory";
  const bool exists = files::exists(path, ignored);
  const files::path parent = files::path(path).parent_path();
  const files::path asked = exists ? files::path(path) : parent.empty() ? "." : parent;
  if (!exists && !files::is_directory(asked, ignored)) return "there is no such directory";
  return ::access(asked.c_str(), W_OK) == 0 ? "" : std::strerror(errno);
}

// Before anything is measured. Rank 0 looks, so that all ranks come to the same answer.
void check_file(Bootstrap& bootstrap, const std::string& path) {
  const std::string why = bootstrap.rank() == 0 && !path.empty() ? cannot_write(path) : "";
  const int refused = bootstrap.all_gather(why.empty() ? 0 : 1, Deadline::after_seconds(60))[0];
  if (refused != 0) throw Error(Fault::usage, "--write " + path + ": " + why);  // rank 0 prints
}

void write_file(const std::string& path, const Bootstrap& bootstrap, const Machine& machine) {
  std::ofstream file(path);
  file << "# Written by price --write: " << bootstrap.size() << " ranks, bootstrap "
       << bootstrap.name() << ".\n"
       << write_machine(machine);
  if (!file.flush()) throw Error(Fault::system, "cannot write the machine to " + path);
}

int price_here(Bootstrap& bootstrap, const PriceOptions& options) {
  const int ranks = bootstrap.size();
  if (ranks < 2)
    throw Error(Fault::usage,
                "one rank sends nothing, so there is nothing to measure; try mpirun -n 2, or "
                "--threads 2");
  check_file(bootstrap, options.write_file);
  Communicator comm(bootstrap, tool_options());
  check_memory(comm, options.end_bytes, 4 * options.end_bytes);  // the probe's
  const std::size_t zero_copy_from =
      options.memory == Memory::allocate ? comm.zero_copy_from_bytes() : SIZE_MAX;
  const CoreBinding binding(comm);
  const auto setting = [&](const Machine& machine) {
    return Setting{machine, ranks, kLoopCalls, comm.options().algorithm, zero_copy_from};
  };
  const Here here{
      calibrate(bootstrap, tool_options(),
                [&](const Machine& slots) { return questions_of(setting(slots), options); }),
      ranks, bootstrap.name(), binding.own_cores()};
  if (bootstrap.rank() != 0) return 0;
  const Machine& machine = here.calibration.machine;
  if (!options.write_file.empty()) write_file(options.write_file, bootstrap, machine);
  const std::vector<PriceTable> tables = tables_here(setting(machine), options, here.calibration);
  if (options.json) {
    std::fputs(price_json(machine, &here, tables).c_str(), stdout);
    return 0;
  }
  std::fputs(here_words(here).c_str(), stdout);
  for (const PriceTable& table : tables) std::fputs(words_of(machine, table).c_str(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  PriceOptions options;
  try {
    options = parse_price_options(argc, argv);
    if (options.request != Request::none)
      return print_once(kTool, answer(options.request, kTool, price_help));
    if (!options.machine.empty()) return print_once(kTool, describe_prices(options));
  } catch (const Error& error) {
    return refuse(kTool, error.what());
  }
  return run_ranks(kTool, options.threads,
                   [&](Bootstrap& bootstrap) { return price_here(bootstrap, options); });
}
