// The same input through NCCL and through ringside, each in its own order of additions: bit for bit
// where no order matters (integers, min, max, and what only moves), and else
// |ours − theirs| ≤ 2(n−1)·u·Σ|xᵢ|, as each is within half of that of the exact sum.
#include <cmath>
#include <cstring>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "tests/cuda/gpu_world.h"
#include "tools/baselines/baseline.h"
#include "tools/support/oracle.h"

#if defined(RINGSIDE_HAVE_NCCL)
namespace ringside {
namespace {

using tools::Bytes;

constexpr std::size_t kCount = 20'011;

double number(const Bytes& bytes, std::size_t i, DType dtype) {
  return visit(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    if constexpr (std::is_same_v<T, f16> || std::is_same_v<T, bf16>)
      return static_cast<double>(to_float(value));
    else
      return static_cast<double>(value);
  });
}

// Half a unit in the last place of 1.
double unit(DType dtype) {
  return dtype == DType::f32   ? 0x1p-24
         : dtype == DType::f64 ? 0x1p-53
         : dtype == DType::f16 ? 0x1p-11
                               : 0x1p-8;
}

bool in_any_order(DType dtype, Reduction reduction) {
  const bool integer = dtype == DType::i32 || dtype == DType::i64 || dtype == DType::u8;
  return integer || reduction == Reduction::min || reduction == Reduction::max;
}

std::size_t count_apart(const Bytes& ours, const Bytes& theirs, const std::vector<Bytes>& inputs,
                        DType dtype) {
  std::size_t apart = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    double sum = 0;
    for (const Bytes& input : inputs) sum += std::abs(number(input, i, dtype));
    const double most = 2 * static_cast<double>(inputs.size() - 1) * unit(dtype) * sum;
    apart += std::abs(number(ours, i, dtype) - number(theirs, i, dtype)) <= most ? 0 : 1;
  }
  return apart;
}

// What all ranks get together, as ringside and as NCCL compute it, and the exact sums' addends.
struct Both {
  Bytes ours, theirs;
  std::vector<Bytes> inputs;
};

Both ask_both(Communicator& comm, tools::Baseline& nccl, tools::Gpu& gpu, std::byte* send,
              std::byte* recv, const Operation& what) {
  const auto n = static_cast<std::size_t>(comm.size());
  const bool gathers = what.kind == Kind::all_gather;
  const std::size_t part = what.count * bytes_of(what.dtype);
  const std::size_t in_count = what.kind == Kind::reduce_scatter ? n * what.count : what.count;
  Both both;
  for (int rank = 0; rank < comm.size(); ++rank)
    both.inputs.push_back(tools::make_input(rank, in_count, what.dtype, what.reduction, 3));
  const Bytes& mine = both.inputs[static_cast<std::size_t>(comm.rank())];
  const std::size_t out_bytes = gathers ? n * part : part;
  for (const bool by_nccl : {false, true}) {
    Bytes& into = by_nccl ? both.theirs : both.ours;
    into.resize(out_bytes);
    gpu.write(send, mine.data(), mine.size());
    gpu.set(recv, 0xa5, out_bytes);
    if (by_nccl)
      nccl.call(what, {send, recv});
    else
      test::make_call(comm, {.what = what}, send, recv);
    gpu.read(into.data(), recv, out_bytes);
  }
  // Of a reduce-scatter this rank has its own part alone.
  if (what.kind == Kind::reduce_scatter)
    for (Bytes& input : both.inputs) {
      const auto first = input.begin() + static_cast<std::ptrdiff_t>(comm.rank()) *
                                             static_cast<std::ptrdiff_t>(part);
      input = Bytes(first, first + static_cast<std::ptrdiff_t>(part));
    }
  return both;
}

void compare(test::Context& t, Communicator& comm, tools::Baseline& nccl, tools::Gpu& gpu,
             std::byte* send, std::byte* recv, const Operation& what) {
  Both both = ask_both(comm, nccl, gpu, send, recv, what);
  if (what.kind == Kind::all_gather || in_any_order(what.dtype, what.reduction)) {
    CHECK_MSG(std::memcmp(both.ours.data(), both.theirs.data(), both.ours.size()) == 0, "%s",
              describe(what).c_str());
    return;
  }
  CHECK_MSG(count_apart(both.ours, both.theirs, both.inputs, what.dtype) == 0, "%s",
            describe(what).c_str());
  // A control: a sum without one of its contributions is not as near.
  if (comm.size() < 2) return;
  both.inputs[0].assign(both.inputs[0].size(), std::byte{0});
  const Bytes fewer =
      tools::expected_output({Kind::all_reduce, what.dtype, what.reduction, 0, kCount},
                             {.size = comm.size()}, both.inputs);
  CHECK(count_apart(fewer, both.theirs, both.inputs, what.dtype) > 0);
}

std::string compare_on(test::Context& t, int ranks) {
  std::string why_not;
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    const tools::RankGpus gpus = tools::take_gpus(bootstrap, test::gpu_of_rank, 60);
    Communicator comm(bootstrap, test::gpu_options(ExecutorChoice::automatic));
    const auto nccl = tools::make_baseline("nccl", bootstrap, 60, &gpus);
    if (!nccl->takes_part()) {
      if (comm.rank() == 0) why_not = nccl->version();
      return;
    }
    tools::Gpu& gpu = *gpus.mine;
    std::byte* const send = gpu.allocate(kCount * 8 * static_cast<std::size_t>(ranks));
    std::byte* const recv = gpu.allocate(kCount * 8 * static_cast<std::size_t>(ranks));
    for (const DType dtype : kAllDTypes)
      for (const Reduction reduction : {Reduction::sum, Reduction::min, Reduction::max})
        for (const Kind kind : {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather})
          if (!test::gpu_is_played() || (dtype == DType::f32 && reduction == Reduction::sum))
            compare(t, comm, *nccl, gpu, send, recv, {kind, dtype, reduction, 0, kCount});
    comm.barrier();
    gpu.free(send);
    gpu.free(recv);
  });
  return why_not;
}

}  // namespace

RINGSIDE_TEST(gpu_nccl, one_rank_has_the_same_bits) {
  test::need_gpu();
  const std::string why_not = compare_on(t, 1);
  if (!why_not.empty()) SKIP(why_not);
}

RINGSIDE_TEST(gpu_nccl, several_ranks_are_as_near_as_roundings_allow) {
  test::need_gpu();
  for (const int ranks : {2, 4}) {
    const std::string why_not = compare_on(t, ranks);
    if (!why_not.empty()) SKIP(why_not);
  }
}

}  // namespace ringside
#endif
