// Reading the options, strictly: whatever cannot be meant is refused in one sentence.
#include "tools/common/arguments.h"

#include <getopt.h>

#include <climits>
#include <cstring>
#include <optional>

#include "comm/error.h"
#include "comm/options.h"

namespace ringside::tools {
namespace {

// --- one kind of value each ---

std::size_t read_bytes(const char* option, const char* value) {
  std::size_t bytes = 0;
  if (!parse_bytes(value, bytes))
    throw Error(Fault::usage, text("%s %s is no size; say bytes, or 64K, 16M, 1G", option, value));
  return bytes;
}

int read_number(const char* option, const char* value, int least, int most) {
  std::size_t number = 0;
  if (std::strpbrk(value, "KMGTkmgt") != nullptr || !parse_bytes(value, number) ||
      number > static_cast<std::size_t>(most) || number < static_cast<std::size_t>(least))
    throw Error(Fault::usage,
                text("%s %s: a whole number from %d to %d is wanted", option, value, least, most));
  return static_cast<int>(number);
}

// The names of all values, for the sentence that refuses another one.
template <class List>
std::string names(const List& all) {
  std::string list;
  for (const auto value : all) list += std::string(list.empty() ? "" : ", ") + name_of(value);
  return list + " and all";
}

template <class T, class List, class Parse>
std::vector<T> read_choice(const char* option, const char* value, const List& all,
                           const Parse& parse) {
  if (std::strcmp(value, "all") == 0) return {all.begin(), all.end()};
  const std::optional<T> choice = parse(value);
  if (!choice)
    throw Error(Fault::usage,
                text("%s %s is not known; there are %s", option, value, names(all).c_str()));
  return {*choice};
}

constexpr std::array kKinds = {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather,
                               Kind::broadcast,  Kind::reduce,         Kind::gather,
                               Kind::scatter,    Kind::all_to_all};

std::optional<Kind> parse_kind(const char* value) {
  for (const Kind kind : kKinds)
    if (std::strcmp(value, name_of(kind)) == 0) return kind;
  return std::nullopt;
}

enum LongOption { kOp = 256, kJson, kNoDemo, kThreads, kHelp };

const option kLongOptions[] = {
    {"op", required_argument, nullptr, kOp},
    {"json", no_argument, nullptr, kJson},
    {"no-demo", no_argument, nullptr, kNoDemo},
    {"threads", required_argument, nullptr, kThreads},
    {"help", no_argument, nullptr, kHelp},
    {"minbytes", required_argument, nullptr, 'b'},
    {"maxbytes", required_argument, nullptr, 'e'},
    {"stepfactor", required_argument, nullptr, 'f'},
    {"iters", required_argument, nullptr, 'n'},
    {"warmup_iters", required_argument, nullptr, 'w'},
    {"datatype", required_argument, nullptr, 'd'},
    {"redop", required_argument, nullptr, 'o'},
    {nullptr, 0, nullptr, 0},
};

void read_option(int letter, const char* value, Arguments& it) {
  switch (letter) {
    case 'b':
      it.begin_bytes = read_bytes("-b", value);
      break;
    case 'e':
      it.end_bytes = read_bytes("-e", value);
      break;
    case 'f':
      it.factor = static_cast<std::size_t>(read_number("-f", value, 2, 1 << 20));
      break;
    case 'n':
      it.iterations = read_number("-n", value, 1, 1'000'000);
      break;
    case 'w':
      it.warmup = read_number("-w", value, 0, 1'000'000);
      break;
    case 'd':
      it.dtypes = read_choice<DType>("-d", value, kAllDTypes, parse_dtype);
      break;
    case 'o':
      it.reductions = read_choice<Reduction>("-o", value, kAllReductions, parse_reduction);
      break;
    case kOp:
      it.kinds = read_choice<Kind>("--op", value, kKinds, parse_kind);
      break;
    case kThreads:
      it.threads = read_number("--threads", value, 1, 64);
      break;
    case kJson:
      it.json = true;
      break;
    case kNoDemo:
      it.demo = false;
      break;
    default:
      it.help = true;
      break;
  }
}

}  // namespace

Arguments parse_arguments(int argc, char** argv) {
  Arguments it;
  opterr = 0;  // getopt's own messages would come from every rank
  optind = 1;
  // The leading colon makes getopt tell a missing value (':') from an unknown option ('?').
  for (int letter;
       (letter = ::getopt_long(argc, argv, ":b:e:f:n:w:d:o:h", kLongOptions, nullptr)) != -1;) {
    if (letter == '?' || letter == ':') {
      const char letter_given[] = {'-', static_cast<char>(optopt), '\0'};
      const bool is_letter = optopt > 0 && optopt < 256;
      const char* given = is_letter ? letter_given : argv[optind - 1];
      throw Error(Fault::usage,
                  text(letter == ':' ? "%s wants a value; --help lists the options"
                                     : "there is no option %s; --help lists those that there are",
                       given));
    }
    read_option(letter, optarg, it);
  }
  if (optind < argc)
    throw Error(Fault::usage,
                text("%s is not an option; --help lists those that there are", argv[optind]));
  constexpr std::size_t kMost = std::size_t{16} << 30;
  if (it.begin_bytes < 1 || it.begin_bytes > it.end_bytes || it.end_bytes > kMost)
    throw Error(Fault::usage,
                text("sizes run from -b to -e, at least 1 and at most 16G; %zu to %zu do not",
                     it.begin_bytes, it.end_bytes));
  return it;
}

std::string help_text() {
  return R"(ring_allreduce: watch ranks run a ring all-reduce, see it proved, verified and timed.

  mpirun ./tools/ring_allreduce               one rank a core, as processes
  mpirun -n 4 --oversubscribe ./tools/...     more ranks than cores
  tools/launch -n 4 ./tools/ring_allreduce    without MPI: four processes
  ./tools/ring_allreduce --threads 4          four ranks as threads of one process

What is measured (sizes in bytes, or with K M G; powers of 1024)
  -b SIZE     first size                                                        8
  -e SIZE     last size                                                         64M
  -f FACTOR   each size is the one before times FACTOR                          2
  -n COUNT    timed calls a row                                 what 20 ms allow
  -w COUNT    calls before them that are not timed                 what 5 ms allow
  -d TYPE     f32 f64 f16 bf16 i32 i64 u8, or all                               f32
  -o REDOP    sum product min max avg, or all                                   sum
  --op NAME   all_reduce reduce_scatter all_gather broadcast                    all_reduce
              reduce gather scatter all_to_all, or all

What is shown
  --no-demo   only the table
  --json      one JSON object, for machines
  --help      this

The table has the columns of nccl-tests. time is the median, over batches, of one call's mean.
algbw = size / time, busbw = algbw × what the busiest link must carry at least: 2(n−1)/n for
all_reduce, 1 for broadcast and reduce, (n−1)/n for the others. GB is 10⁹ bytes. #wrong counts
elements that differ, in any bit, from what each rank computes apart: folds in the ring's order.

Exit status: 0 everything is right; 1 something is wrong, or a rank failed; 2 a bad option.
Environment: RINGSIDE_TIMEOUT=SECONDS (600; 0 is none), RINGSIDE_WARN=SECONDS (10),
RINGSIDE_SLOT_BYTES (128K), RINGSIDE_SLOT_COUNT (4), RINGSIDE_ALGORITHM (auto, ring, one-shot),
RINGSIDE_ISA (baseline, avx2, avx512: at most this one).
)";
}

}  // namespace ringside::tools
