// NCCL as a baseline, on device memory: its collectives on a stream of the rank's GPU, each call
// waited for, as ringside's blocking calls are.
//
// It is loaded when it is asked for (RINGSIDE_NCCL names a file; else libnccl.so.2 as the loader
// finds it), so a program that never asks starts without it. Where it cannot be loaded, or does not
// want these ranks, this baseline says so in one line and takes no part; the run goes on without
// it.
//
// A start that hangs would hang the bench. So NCCL is started twice: first without blocking, under
// a deadline, and that communicator is given back; then for good, and blocking, as most programs
// use it: calls that do not block are handed to a thread of NCCL's, which costs time.
#include <dlfcn.h>
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "comm/error.h"
#include "tools/baselines/baseline.h"

namespace ringside::tools {
namespace {

using std::chrono::steady_clock;

constexpr double kStart_s = 60;  // NCCL takes about one second for eight GPUs
constexpr int kProblemBytes = 400;

double seconds_since(steady_clock::time_point start) {
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

// The functions that are used, by their own declarations.
struct Nccl {
  void* library = nullptr;
#define RINGSIDE_NCCL_FUNCTIONS(use)                                                             \
  use(GetVersion) use(GetUniqueId) use(CommInitRankConfig) use(CommGetAsyncError) use(CommAbort) \
      use(CommDestroy) use(GetErrorString) use(GetLastError) use(AllReduce) use(ReduceScatter)   \
          use(AllGather) use(Broadcast) use(Reduce) use(Send) use(Recv) use(GroupStart)          \
              use(GroupEnd)
#define RINGSIDE_NCCL_MEMBER(name) decltype(&nccl##name) name = nullptr;
  RINGSIDE_NCCL_FUNCTIONS(RINGSIDE_NCCL_MEMBER)

  // Why it cannot be had; empty where it is loaded.
  std::string load() {
    const char* const chosen = std::getenv("RINGSIDE_NCCL");
    const char* const name = chosen != nullptr ? chosen : "libnccl.so.2";
    library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return std::string("NCCL cannot be loaded: ") + ::dlerror();
    const char* missing = nullptr;
#define RINGSIDE_NCCL_FIND(name)                                           \
  name = reinterpret_cast<decltype(name)>(::dlsym(library, "nccl" #name)); \
  if (name == nullptr) missing = "nccl" #name;
    RINGSIDE_NCCL_FUNCTIONS(RINGSIDE_NCCL_FIND)
    return missing == nullptr ? "" : text("%s has no %s: is it NCCL?", name, missing);
  }

  std::string words(ncclResult_t result, ncclComm_t comm) const {
    const char* const more = GetLastError(comm);
    const std::string why = more == nullptr ? "" : more;
    return std::string(GetErrorString(result)) + (why.empty() ? "" : ": " + why);
  }
};

ncclDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return ncclFloat32;
    case DType::f64:
      return ncclFloat64;
    case DType::f16:
      return ncclFloat16;
    case DType::bf16:
      return ncclBfloat16;
    case DType::i32:
      return ncclInt32;
    case DType::i64:
      return ncclInt64;
    default:
      return ncclUint8;
  }
}

ncclRedOp_t op_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::product:
      return ncclProd;
    case Reduction::min:
      return ncclMin;
    case Reduction::max:
      return ncclMax;
    default:
      return ncclSum;
  }
}

class NcclBaseline : public Baseline {
 public:
  NcclBaseline(Bootstrap& bootstrap, double timeout_s, const RankGpus& gpus)
      : rank_(bootstrap.rank()),
        size_(bootstrap.size()),
        timeout_s_(timeout_s),
        gpu_(gpus.mine),
        stream_(static_cast<cudaStream_t>(gpus.mine->stream())) {
    why_not_ = agree(bootstrap, nccl_.load());
    if (why_not_.empty()) why_not_ = agree(bootstrap, join(bootstrap, false));
    // A deadline has an end of its own; a refusal of shared GPUs is the one that is to be expected.
    if (!why_not_.empty() && gpus.busiest().size() > 1)
      why_not_ +=
          "; several ranks share a GPU here, which NCCL lets only processes do, from 2.30 "
          "on and with NCCL_MULTI_RANK_GPU_ENABLE=1";
    if (!why_not_.empty()) return;
    nccl_.CommDestroy(comm_);
    comm_ = nullptr;
    why_not_ = agree(bootstrap, join(bootstrap, true));
  }
  ~NcclBaseline() override {
    if (comm_ != nullptr) nccl_.CommAbort(comm_);
    // The library stays: its threads may outlive the communicator for a moment.
  }
  NcclBaseline(const NcclBaseline&) = delete;
  NcclBaseline& operator=(const NcclBaseline&) = delete;

  const char* name() const override { return "nccl"; }
  bool takes_part() const override { return why_not_.empty(); }

  std::string version() const override {
    if (!why_not_.empty()) return "takes no part: " + why_not_;
    int code = 0;
    nccl_.GetVersion(&code);
    return text("NCCL %d.%d.%d", code / 10000, code / 100 % 100, code % 100);
  }

  Part part_of(const Operation& what) const override {
    if (!why_not_.empty()) return {std::nullopt, ""};  // reported above the table
    if (is_ragged(what.kind) || what.kind == Kind::barrier)
      return {std::nullopt, text("nccl has no call for %s", row_name(what.kind))};
    return sum_for_avg(what,
                       "nccl's avg rounds in places of its own: its side of those rows is a sum");
  }

  void call(const Operation& what, Sides at) override {
    check(order(what, at), what);
    const auto start = steady_clock::now();
    while (!gpu_->is_done())
      if (timeout_s_ > 0 && seconds_since(start) > timeout_s_)
        throw Error(Fault::timeout,
                    text("nccl has not ended %s after %.0f s", row_name(what.kind), timeout_s_));
  }

 private:
  // The first rank's problem, on all ranks; empty where none has one.
  static std::string agree(Bootstrap& bootstrap, const std::string& problem) {
    struct Problem {
      char words[kProblemBytes] = {};
    } mine;
    std::snprintf(mine.words, sizeof mine.words, "%s", problem.c_str());
    std::replace(std::begin(mine.words), std::end(mine.words), '\n', ' ');
    for (const Problem& it : bootstrap.all_gather(mine, Deadline::after_seconds(2 * kStart_s)))
      if (it.words[0] != '\0') return it.words;
    return "";
  }

  std::string join(Bootstrap& bootstrap, bool blocking) {
    ncclUniqueId id{};
    const ncclResult_t made = rank_ == 0 ? nccl_.GetUniqueId(&id) : ncclSuccess;
    const std::string problem =
        agree(bootstrap, made == ncclSuccess ? "" : nccl_.words(made, nullptr));
    if (!problem.empty()) return problem;
    id = bootstrap.all_gather(id, Deadline::after_seconds(kStart_s))[0];
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = blocking ? 1 : 0;
    const auto begin = steady_clock::now();
    ncclResult_t result = nccl_.CommInitRankConfig(&comm_, size_, id, rank_, &config);
    while (result == ncclInProgress) {
      if (seconds_since(begin) > kStart_s) {
        give_up();
        return text("NCCL has not started after %.0f s", kStart_s);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (nccl_.CommGetAsyncError(comm_, &result) != ncclSuccess) result = ncclInternalError;
    }
    if (result == ncclSuccess) return "";
    const std::string words = nccl_.words(result, comm_);
    give_up();
    return "NCCL does not start: " + words;
  }

  void give_up() {
    if (comm_ != nullptr) nccl_.CommAbort(comm_);
    comm_ = nullptr;
  }

  void check(ncclResult_t result, const Operation& what) const {
    if (result == ncclSuccess) return;
    throw Error(Fault::system,
                text("nccl: %s: %s", row_name(what.kind), nccl_.words(result, comm_).c_str()));
  }

  ncclResult_t order(const Operation& what, Sides at) {
    const ncclDataType_t type = type_of(what.dtype);
    const ncclRedOp_t op = op_of(what.reduction);
    switch (what.kind) {
      case Kind::all_reduce:
        return nccl_.AllReduce(at.send, at.recv, what.count, type, op, comm_, stream_);
      case Kind::reduce_scatter:
        return nccl_.ReduceScatter(at.send, at.recv, what.count, type, op, comm_, stream_);
      case Kind::reduce:
        return nccl_.Reduce(at.send, at.recv, what.count, type, op, what.root, comm_, stream_);
      case Kind::all_gather:
        return nccl_.AllGather(at.send, at.recv, what.count, type, comm_, stream_);
      case Kind::broadcast:
        return nccl_.Broadcast(at.send, at.recv, what.count, type, what.root, comm_, stream_);
      default:
        return order_messages(what, at);
    }
  }

  // What is made of messages: one group of them.
  ncclResult_t order_messages(const Operation& what, Sides at) {
    const std::size_t bytes = what.count * bytes_of(what.dtype);
    const bool root = rank_ == what.root;
    const auto part = [&](std::byte* of, int rank) {
      return of + static_cast<std::size_t>(rank) * bytes;
    };
    ncclResult_t result = nccl_.GroupStart();
    const auto send = [&](std::byte* from, int to) {
      if (result == ncclSuccess) result = nccl_.Send(from, bytes, ncclUint8, to, comm_, stream_);
    };
    const auto recv = [&](std::byte* to, int from) {
      if (result == ncclSuccess) result = nccl_.Recv(to, bytes, ncclUint8, from, comm_, stream_);
    };
    if (what.kind == Kind::send_recv) {
      send(at.send, (rank_ + 1) % size_);
      recv(at.recv, (rank_ + size_ - 1) % size_);
    }
    if (what.kind == Kind::gather) send(at.send, what.root);
    if (what.kind == Kind::scatter) recv(at.recv, what.root);
    for (int baseline = 0; baseline < size_; ++baseline) {
      const bool all = what.kind == Kind::all_to_all;
      if (all || (what.kind == Kind::scatter && root)) send(part(at.send, baseline), baseline);
      if (all || (what.kind == Kind::gather && root)) recv(part(at.recv, baseline), baseline);
    }
    const ncclResult_t ended = nccl_.GroupEnd();
    return result == ncclSuccess ? ended : result;
  }

  const int rank_, size_;
  const double timeout_s_;
  const std::shared_ptr<Gpu> gpu_;
  const cudaStream_t stream_;
  Nccl nccl_;
  std::string why_not_;
  ncclComm_t comm_ = nullptr;
};

}  // namespace

std::unique_ptr<Baseline> make_nccl_baseline(Bootstrap& bootstrap, double timeout_s,
                                             const RankGpus& gpus) {
  return std::make_unique<NcclBaseline>(bootstrap, timeout_s, gpus);
}

}  // namespace ringside::tools
