// --explain's pure part (tools/cost/explain.h): that its terms add up, that it names the
// algorithm and the path that the communicator takes, and what is said of both.
#include <cmath>
#include <string>
#include <vector>

#include "comm/cost/predict.h"
#include "tests/support/process.h"
#include "tests/support/test.h"
#include "tools/report/explain_table.h"
#include "tools/support/call.h"

namespace ringside {
namespace {

using test::contains;
using test::lines_of;
using tools::Explanation;
using tools::Memory;
using tools::Surroundings;
using tools::total_us;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr Kind kKinds[] = {Kind::all_reduce,       Kind::reduce_scatter, Kind::all_gather,
                           Kind::reduce_scatter_v, Kind::all_gather_v,   Kind::broadcast,
                           Kind::reduce,           Kind::gather,         Kind::scatter,
                           Kind::all_to_all,       Kind::barrier};

// Ranks that share memory, with a different cost for everything.
Surroundings here(int ranks, Algorithm algorithm = Algorithm::automatic) {
  constexpr std::size_t kSlot = 128 * kKiB;
  Surroundings it;
  it.settings = {{0, ranks}, kSlot, kSlot, algorithm, 16 * kMiB, 4 * kKiB};
  it.machine.name = "here";
  it.machine.ranks_per_host = ranks;
  it.machine.call_ns = 110;
  it.machine.message_ns = 37;
  it.machine.slot_ns = 41;
  it.machine.same_host = {156, 0};
  it.machine.copy = {{4096, 6}, {65536, 10}};
  it.machine.reduce = {{4096, 7}, {65536, 12}};
  it.probe = {156, 0, it.machine.copy, it.machine.reduce};
  return it;
}

Explanation explained(const Surroundings& around, Kind kind, std::size_t bytes,
                      Memory memory = Memory::ordinary, DType dtype = DType::f32) {
  const int ranks = around.settings.self.size;
  tools::Buffers buffers(bytes, memory);
  const Operation what = tools::operation_of(kind, dtype, Reduction::sum, bytes, ranks);
  return tools::explain(around, what, tools::sides_of(buffers, what, false, 0, ranks));
}

std::size_t bytes_by(const Explanation& it, Path path) {
  return it.sent[static_cast<std::size_t>(path)].bytes;
}

std::size_t columns_of(const std::string& line) {
  std::size_t columns = 0;
  for (const char it : line) columns += (static_cast<unsigned char>(it) & 0xc0) != 0x80;
  return columns;
}

// The numbers of the line that begins with `name`; a dash is none.
std::vector<double> numbers_of(const std::string& words, const std::string& name) {
  std::vector<double> numbers;
  for (const std::string& line : lines_of(words)) {
    if (!line.starts_with("#   " + name + " ")) continue;
    for (const std::string& word : test::words_of(line.substr(4 + name.size())))
      numbers.push_back(word == "-" ? 0 : std::stod(word));
  }
  return numbers;
}

bool about(double a, double b) { return std::abs(a - b) <= 1e-9 * std::abs(b); }

}  // namespace

RINGSIDE_TEST(explain, terms_add_up_to_the_prediction_and_to_the_lower_bound) {
  for (const int ranks : {2, 3, 4})
    for (const Kind kind : kKinds)
      for (const std::size_t bytes : {48 * std::size_t{1}, 3 * kKiB, 48 * kKiB, 3 * kMiB}) {
        const Surroundings around = here(ranks);
        const Explanation it = explained(around, kind, bytes);
        const std::string name = text("%s of %zu on %d", tools::row_name(kind), bytes, ranks);
        CHECK_MSG(it.unpredicted.empty(), "%s: %s", name.c_str(), it.unpredicted.c_str());
        Question like{kind, Algorithm::ring, it.size_bytes, ranks};
        like.calls = it.size_bytes <= 4096 ? tools::kLoopCalls : 1;
        if (it.algorithm == "one-shot") like.algorithm = Algorithm::one_shot;
        if (it.algorithm == "two-shot") like.algorithm = Algorithm::two_shot;
        if (is_ragged(kind)) like.counts = tools::ragged_counts(it.size_bytes / 4, ranks);
        CHECK_MSG(about(total_us(it.predicted), predict(around.machine, like).time_ns / 1e3), "%s",
                  name.c_str());
        const double lower_bound_us =
            tools::lower_bound_of(kind, ranks, it.size_bytes, around.probe).time_us;
        CHECK_MSG(about(total_us(it.lower_bound), lower_bound_us), "%s: lower bound", name.c_str());
        for (const double ns : it.predicted)
          CHECK_MSG(like.calls > 1 || ns > -1e-6, "%s: %g ns", name.c_str(), ns);
        // No ragged operation: there the busiest link is not the mean.
        if (!is_ragged(kind) && kind != Kind::barrier)
          CHECK_MSG(static_cast<double>(it.busiest_bytes) > 0.999 * it.least_bytes, "%s: %zu B",
                    name.c_str(), it.busiest_bytes);
      }
}

// To what two digits after the point can hold.
RINGSIDE_TEST(explain, the_table_adds_up_as_it_is_printed) {
  for (const Kind kind : kKinds)
    for (const Memory memory : tools::kAllMemory) {
      const Explanation it = explained(here(3), kind, 48 * kKiB, memory);
      const std::string words = explain_words(it, 1.5 * total_us(it.predicted));
      const std::vector<double> lower_bound = numbers_of(words, "bound"),
                                gap = numbers_of(words, "+ gap"),
                                predicted = numbers_of(words, "predicted");
      REQUIRE(lower_bound.size() == 10 && gap.size() == 10 && predicted.size() == 10);
      for (std::size_t i = 0; i < lower_bound.size(); ++i)
        CHECK(std::abs(lower_bound[i] + gap[i] - predicted[i]) < 0.025);
      double sum = 0;
      for (std::size_t i = 0; i + 1 < predicted.size(); ++i) sum += predicted[i];
      CHECK_MSG(std::abs(sum - predicted.back()) < 0.06, "%s", words.c_str());
      CHECK(contains(words, " (+50.0 % of the prediction), measured "));
      for (const std::string& line : lines_of(words))
        CHECK_MSG(line[0] == '#' && columns_of(line) <= 100, "%s", line.c_str());
    }
}

RINGSIDE_TEST(explain, the_algorithm_and_why) {
  const auto says = [&](const Explanation& it, const char* algorithm, const char* why) {
    CHECK_EQ(it.algorithm, algorithm);
    CHECK_MSG(it.why.starts_with(why), "%s", it.why.c_str());
  };
  says(explained(here(2), Kind::all_reduce, 128), "one-shot",
       "128 B ≤ 32K: all to all in one step");
  says(explained(here(2), Kind::all_reduce, 64 * kKiB), "ring", "64K > 32K: more steps");
  const Surroundings ring = here(2, Algorithm::ring), one_shot = here(2, Algorithm::one_shot);
  says(explained(ring, Kind::all_reduce, 128), "ring", "RINGSIDE_ALGORITHM=ring says so");
  says(explained(one_shot, Kind::all_reduce, 64 * kKiB), "one-shot", "RINGSIDE_ALGORITHM=one-shot");
  says(explained(one_shot, Kind::all_reduce, kMiB), "ring", "1M do not fit a slot");
  const Surroundings two_shot = here(3, Algorithm::two_shot);
  says(explained(two_shot, Kind::all_reduce, kMiB), "two-shot", "RINGSIDE_ALGORITHM=two-shot");
  says(explained(here(3), Kind::all_reduce, 48 * kKiB), "two-shot", "48K ≤ 64K: two steps");
  says(explained(here(3), Kind::all_reduce, 96 * kKiB), "ring", "96K > 64K: more steps");
  says(explained(here(2), Kind::broadcast, kMiB), "chain", "from rank to rank");
  says(explained(here(2), Kind::all_to_all, kMiB), "mesh", "in step k");
}

RINGSIDE_TEST(explain, the_path_of_the_bytes) {
  const auto words_of = [](const Explanation& it) { return explain_words(it, 1); };
  const Explanation small = explained(here(2), Kind::all_reduce, 56);
  CHECK_EQ(bytes_by(small, Path::cell), 56u);
  CHECK(contains(words_of(small), "bytes: in the flag's own line; plain stores\n"));
  const Explanation slots = explained(here(3), Kind::all_reduce, 192 * kKiB);
  CHECK_EQ(bytes_by(slots, Path::slot), 3 * 64 * kKiB);
  CHECK_EQ(bytes_by(slots, Path::sum), 64 * kKiB);
  CHECK(contains(words_of(slots), "bytes: 192K copied to slots, 64K computed in slots;"));
  CHECK(contains(words_of(slots),
                 "3 chunks of 64K, 1 slice; 4 messages a rank; busiest link 256K = 1.00 × "
                 "2(n-1)/n·S\n"));
  const Explanation exposed = explained(here(3), Kind::all_reduce, 192 * kKiB, Memory::allocate);
  CHECK_EQ(bytes_by(exposed, Path::exposed), 3 * 64 * kKiB);
  CHECK_EQ(bytes_by(exposed, Path::slot), 0u);
  CHECK_EQ(at(exposed.predicted, CostTerm::into_slots), 0.0);
  CHECK(contains(words_of(exposed), "64K computed in slots, 192K read where they lie;"));
  // Messages of 2 KiB are too short to be exposed.
  const Explanation shorter = explained(here(3), Kind::all_gather, 6 * kKiB, Memory::allocate);
  CHECK_EQ(bytes_by(shorter, Path::exposed), 0u);
  CHECK(contains(words_of(explained(here(2), Kind::all_gather, 16 * kMiB)), "; streamed\n"));
  const std::string barrier = words_of(explained(here(2), Kind::barrier, 0));
  CHECK(contains(barrier, "#   1 message a rank, without bytes\n#   no bytes: the flags are"));
  const std::string ragged = words_of(explained(here(2), Kind::all_gather_v, 3 * kMiB));
  CHECK(contains(ragged, "2 chunks ≤ 2M, 16 slices ≤ 128K; "));
}

RINGSIDE_TEST(explain, what_has_no_prediction_says_so) {
  const Explanation it = explained(here(2), Kind::send_recv, kKiB);
  const std::string words = explain_words(it, 1);
  CHECK(contains(words, "#   no prediction: the simulator runs algorithms"));
  CHECK_EQ(lines_of(words).size(), 2u);
  JsonWriter json;
  json.object();
  tools::write_explanation(json, it, 1);
  CHECK(contains(json.end().text(), "\"unpredicted\": \"the simulator"));
}

RINGSIDE_TEST(explain, elements_of_any_length) {
  const Explanation bytes =
      explained(here(3), Kind::all_gather, 48 * kKiB, Memory::ordinary, DType::u8);
  const Explanation doubles =
      explained(here(3), Kind::all_gather, 48 * kKiB, Memory::ordinary, DType::f64);
  CHECK(about(total_us(bytes.predicted), total_us(doubles.predicted)));
}

// Is it the settings that decide? Others decide otherwise, and the prediction follows.
RINGSIDE_TEST(explain_mutants, other_settings_are_another_explanation) {
  Surroundings around = here(2);
  const Explanation before = explained(around, Kind::all_gather, 64 * kKiB, Memory::allocate);
  around.settings.zero_copy_from_bytes = SIZE_MAX;
  const Explanation after = explained(around, Kind::all_gather, 64 * kKiB, Memory::allocate);
  CHECK_EQ(bytes_by(before, Path::exposed), 32 * kKiB);
  CHECK_EQ(bytes_by(after, Path::slot), 32 * kKiB);
  CHECK(total_us(after.predicted) > total_us(before.predicted));
  around.settings.stream_from_bytes = 0;
  CHECK(explained(around, Kind::all_gather, 64 * kKiB).streams && !after.streams);
}

}  // namespace ringside
