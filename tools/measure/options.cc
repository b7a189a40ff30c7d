// Reading the options, strictly: whatever cannot be meant is refused in one sentence.
#include "tools/measure/options.h"

#include <array>
#include <cstring>
#include <optional>
#include <span>

#include "comm/error.h"
#include "tools/baselines/baseline.h"
#include "tools/support/call.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

const char* word_of(DType dtype) { return name_of(dtype); }
const char* word_of(Reduction reduction) { return name_of(reduction); }
const char* word_of(Kind kind) { return row_name(kind); }

// The names of all values, for the sentence that refuses another one.
template <class List>
std::string names(const List& all) {
  std::string list;
  for (const auto value : all) list += std::string(list.empty() ? "" : ", ") + word_of(value);
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

// The last four are bench's alone.
constexpr std::array kKinds = {Kind::all_reduce,       Kind::reduce_scatter, Kind::all_gather,
                               Kind::broadcast,        Kind::reduce,         Kind::gather,
                               Kind::scatter,          Kind::all_to_all,     Kind::send_recv,
                               Kind::reduce_scatter_v, Kind::all_gather_v,   Kind::barrier};
constexpr std::size_t kBenchAlone = 4;

std::span<const Kind> kinds_of(Tool tool) {
  return std::span(kKinds).first(kKinds.size() - (tool == Tool::bench ? 0 : kBenchAlone));
}

std::optional<Kind> parse_kind(const char* value, Tool tool) {
  for (const Kind kind : kinds_of(tool))
    if (std::strcmp(value, row_name(kind)) == 0) return kind;
  return std::nullopt;
}

enum LongOption {
  kOp = 256,
  kJson,
  kNoDemo,
  kThreads,
  kBaseline,
  kLowerBound,
  kMemory,
  kExecutor,
  kSkew,
  kOverlap,
  kExplain,
  kFault,
  kTrace,
  kHelp
};

// What both tools have, and before it what one of them has.
constexpr std::array kCommonOptions = {
    option{"op", required_argument, nullptr, kOp},
    option{"json", no_argument, nullptr, kJson},
    option{"memory", required_argument, nullptr, kMemory},
    option{"executor", required_argument, nullptr, kExecutor},
    option{"explain", no_argument, nullptr, kExplain},
    option{"threads", required_argument, nullptr, kThreads},
    option{"fault", required_argument, nullptr, kFault},
    option{"trace", required_argument, nullptr, kTrace},
    option{"help", no_argument, nullptr, kHelp},
    option{"minbytes", required_argument, nullptr, 'b'},
    option{"maxbytes", required_argument, nullptr, 'e'},
    option{"stepfactor", required_argument, nullptr, 'f'},
    option{"iters", required_argument, nullptr, 'n'},
    option{"warmup_iters", required_argument, nullptr, 'w'},
    option{"datatype", required_argument, nullptr, 'd'},
    option{"redop", required_argument, nullptr, 'o'},
    option{nullptr, 0, nullptr, 0},
};

std::vector<option> options_of(Tool tool) {
  std::vector<option> all;
  if (tool == Tool::ring_allreduce) {
    all = {{"no-demo", no_argument, nullptr, kNoDemo}};
  } else {
    all = {{"baseline", required_argument, nullptr, kBaseline},
           {"lower-bound", no_argument, nullptr, kLowerBound},
           {"skew", required_argument, nullptr, kSkew},
           {"overlap", required_argument, nullptr, kOverlap}};
  }
  all.insert(all.end(), kCommonOptions.begin(), kCommonOptions.end());
  return all;
}

std::string read_baseline(const char* value) {
  if (!is_baseline(value))
    throw Error(Fault::usage,
                text("--baseline %s is not known; there are %s", value, baseline_names().c_str()));
  return value;
}

ExecutorChoice read_lane(const char* value) {
  for (const ExecutorChoice executor : {ExecutorChoice::automatic, ExecutorChoice::host,
                                        ExecutorChoice::stream, ExecutorChoice::device})
    if (std::strcmp(value, name_of(executor)) == 0) return executor;
  throw Error(Fault::usage,
              text("--executor %s is not known; there are auto, host, stream and device", value));
}

// What only makes sense together.
void check_memory_words(const Arguments& it, Tool tool) {
  if (it.executor && it.memory != Memory::device)
    throw Error(Fault::usage, "--executor is about device memory; add --memory device");
  if (tool == Tool::ring_allreduce && it.memory == Memory::allocate)
    throw Error(Fault::usage, "--memory allocate is bench's; here there are any and device");
  if ((it.baseline == "nccl") != (it.memory == Memory::device) && !it.baseline.empty())
    throw Error(Fault::usage,
                it.baseline == "nccl"
                    ? "--baseline nccl knows device memory alone; add --memory device"
                    : text("--baseline %s is compared on the host's memory; on device "
                           "memory there is --baseline nccl",
                           it.baseline.c_str()));
}

// The lower bound is that of calls that all ranks make at once, and do nothing else meanwhile.
void check_circumstances(const Arguments& it) {
  if (it.skew_us == 0 && it.overlap_us == 0) return;
  const char* const name = it.skew_us != 0 ? "--skew" : "--overlap";
  if (it.skew_us != 0 && it.overlap_us != 0)
    throw Error(Fault::usage, "--skew and --overlap are two questions; ask one at a time");
  if (it.lower_bound)
    throw Error(
        Fault::usage,
        text("%s has no lower bound to be held against; leave --lower-bound and --explain out",
             name));
  if (it.memory == Memory::device)
    throw Error(Fault::usage, text("%s is about the host's memory, not a device's", name));
}

void read_option(int letter, const char* value, Tool tool, Arguments& it) {
  switch (letter) {
    case 'b':
      it.begin_bytes = read_bytes("-b", value);
      break;
    case 'e':
      it.end_bytes = read_bytes("-e", value);
      break;
    case 'f':
      it.factor = read_number("-f", value, 2, 1 << 20);
      break;
    case 'n':
      it.iterations = read_int("-n", value, 1, 1'000'000);
      break;
    case 'w':
      it.warmup = read_int("-w", value, 0, 1'000'000);
      break;
    case 'd':
      it.dtypes = read_choice<DType>("-d", value, kAllDTypes, parse_dtype);
      break;
    case 'o':
      it.reductions = read_choice<Reduction>("-o", value, kAllReductions, parse_reduction);
      break;
    case kOp:
      it.kinds = read_choice<Kind>("--op", value, kinds_of(tool),
                                   [&](const char* name) { return parse_kind(name, tool); });
      break;
    case kThreads:
      it.threads = read_int("--threads", value, 1, 64);
      break;
    case kJson:
      it.json = true;
      break;
    case kBaseline:
      it.baseline = read_baseline(value);
      break;
    case kLowerBound:
      it.lower_bound = true;
      break;
    case kSkew:
      it.skew_us = read_int("--skew", value, 1, 1'000'000);
      break;
    case kOverlap:
      it.overlap_us = read_int("--overlap", value, 1, 1'000'000);
      break;
    case kExplain:
      it.explain = true;
      it.lower_bound |= tool == Tool::bench;  // the explanation begins at the lower bound
      break;
    case kMemory:
      it.memory = read_memory(value, true);
      break;
    case kExecutor:
      it.executor = read_lane(value);
      break;
    case kFault:
      it.fault = parse_injection(value);
      break;
    case kTrace:
      if (*value == '\0') throw Error(Fault::usage, "--trace wants the name of a file");
      it.trace = value;
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

Arguments parse_arguments(int argc, char** argv, Tool tool) {
  Arguments it;
  const std::vector<option> long_options = options_of(tool);
  const int rest =
      read_options(argc, argv, ":b:e:f:n:w:d:o:h", long_options.data(),
                   [&](int letter, const char* value) { read_option(letter, value, tool, it); });
  refuse_rest(argc, argv, rest);
  constexpr std::size_t kMost = std::size_t{16} << 30;
  if (it.begin_bytes < 1 || it.begin_bytes > it.end_bytes || it.end_bytes > kMost)
    throw Error(Fault::usage,
                text("sizes run from -b to -e, at least 1 and at most 16G; %zu to %zu do not",
                     it.begin_bytes, it.end_bytes));
  check_memory_words(it, tool);
  check_circumstances(it);
  return it;
}

Options with_executor(Options options, const Arguments& arguments) {
  if (arguments.executor) options.executor = *arguments.executor;
  return options;
}

}  // namespace ringside::tools
