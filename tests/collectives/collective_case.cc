// Making calls and judging their outcome; the story is in collective_case.h.
#include "tests/collectives/collective_case.h"

#include <cstring>
#include <numeric>

#include "comm/allocate.h"
#include "comm/bootstrap/threads.h"
#include "tests/transport/network_transport.h"
#include "tools/support/call.h"

namespace ringside::test {
namespace {

constexpr std::byte kGuard{0xa5};
constexpr std::byte kPoison{0xdb};
constexpr std::size_t kGuardBytes = 64;

// A buffer that lies `misaligned_bytes` off a cache line, between guards; at `place`, which has
// room for all of that, or in memory of its own. If the place is elsewhere, this is a copy of what
// is there: put() brings it there, fetch() brings back what has become of it.
class Guarded {
 public:
  static std::size_t room(std::size_t bytes) { return 2 * kGuardBytes + 64 + bytes + kGuardBytes; }

  Guarded(std::byte* place, Elsewhere* elsewhere, std::size_t bytes, int misaligned_bytes)
      : own_(place == nullptr || elsewhere != nullptr ? room(bytes) : 0),
        memory_(own_.empty() ? place : own_.data()),
        place_(place == nullptr ? memory_ : place),
        elsewhere_(elsewhere),
        bytes_(bytes) {
    std::memset(memory_, static_cast<int>(kGuard), room(bytes));
    const auto at = reinterpret_cast<std::uintptr_t>(place_) + kGuardBytes;
    first_ = kGuardBytes + (64 - at % 64) + static_cast<std::size_t>(misaligned_bytes);
    std::memset(here(), static_cast<int>(kPoison), bytes);
  }
  Guarded(std::byte* place, Elsewhere* elsewhere, const Bytes& content, int misaligned_bytes)
      : Guarded(place, elsewhere, content.size(), misaligned_bytes) {
    fill(0, content);
  }

  std::byte* data() { return place_ + first_; }   // for the call
  std::byte* here() { return memory_ + first_; }  // for the CPU
  void put() {
    if (elsewhere_ != nullptr) elsewhere_->write(place_, memory_, room(bytes_));
  }
  void fetch() {
    if (elsewhere_ != nullptr) elsewhere_->read(memory_, place_, room(bytes_));
  }

  void fill(std::size_t at, const Bytes& content) {
    if (!content.empty()) std::memcpy(here() + at, content.data(), content.size());
  }
  bool holds(const Bytes& content) {
    return content.empty() || std::memcmp(here(), content.data(), content.size()) == 0;
  }
  void overwrite() {
    std::memset(here(), static_cast<int>(kPoison), bytes_);
    put();
  }
  bool guards_intact() const {
    for (std::size_t i = 0; i < room(bytes_); ++i)
      if ((i < first_ || i >= first_ + bytes_) && memory_[i] != kGuard) return false;
    return true;
  }

 private:
  Bytes own_;
  std::byte* memory_;
  std::byte* place_;
  Elsewhere* elsewhere_;
  std::size_t bytes_;
  std::size_t first_ = 0;
};

// Where a rank's part of the whole begins, if each has a count of its own.
std::size_t first_of(const Case& it, int rank) {
  return std::accumulate(it.counts.begin(), it.counts.begin() + rank, std::size_t{0});
}

bool has_one_giver(Kind kind) {
  return kind == Kind::broadcast || kind == Kind::scatter || kind == Kind::send_recv;
}
bool has_one_taker(Kind kind) { return kind == Kind::reduce || kind == Kind::gather; }

std::string judge(Guarded& buffer, const std::byte* output, const Bytes& expected, DType dtype) {
  const std::string wrong =
      difference(output, expected.data(), expected.size() / bytes_of(dtype), dtype);
  if (!wrong.empty()) return wrong;
  return buffer.guards_intact() ? "" : "bytes beside the output changed";
}

// A rank that has nothing to give, or gets nothing, may hand in null as well as any pointer.
std::string perform_apart(Communicator& comm, const Case& it, const Bytes& input,
                          const Bytes& output, RankMemory& memory) {
  const RankMemory::Places at =
      memory.places(it, comm.rank(), Guarded::room(input.size()), Guarded::room(output.size()));
  Guarded send(at.send, at.elsewhere, input, it.misaligned_bytes);
  Guarded recv(at.recv, at.elsewhere, output.size(), (it.misaligned_bytes + 1) % 4);
  send.put();
  recv.put();
  const bool null = it.seed % 2 == 0 && comm.rank() != it.what.root;
  make_call(comm, it, null && has_one_giver(it.what.kind) ? nullptr : send.data(),
            null && has_one_taker(it.what.kind) ? nullptr : recv.data());
  if (memory.writes_at_once(it, comm.rank())) {
    send.overwrite();
    recv.overwrite();
    return "";
  }
  send.fetch();
  recv.fetch();
  if (!send.holds(input)) return "the input changed";
  if (!send.guards_intact()) return "bytes beside the input changed";
  return judge(recv, recv.here(), output, it.what.dtype);
}

// One buffer for both. Where one of them is a rank's part of the other, it lies in that part.
std::string perform_in_place(Communicator& comm, const Case& it, const Bytes& input,
                             const Bytes& output, RankMemory& memory) {
  const std::size_t bytes = std::max(input.size(), output.size());
  const RankMemory::Places at = memory.places(it, comm.rank(), Guarded::room(bytes), 0);
  Guarded both(at.send, at.elsewhere, bytes, it.misaligned_bytes);
  const std::size_t part_bytes = std::min(input.size(), output.size());
  const std::size_t own = it.counts.empty() ? index(comm.rank()) * part_bytes
                                            : first_of(it, comm.rank()) * bytes_of(it.what.dtype);
  const std::size_t input_at = input.size() < output.size() ? own : 0;
  const std::size_t output_at = output.size() < input.size() ? own : 0;
  both.fill(input_at, input);
  both.put();
  make_call(comm, it, both.data() + input_at, both.data() + output_at);
  if (memory.writes_at_once(it, comm.rank())) {
    both.overwrite();
    return "";
  }
  both.fetch();
  return judge(both, both.here() + output_at, output, it.what.dtype);
}

}  // namespace

std::string describe(const Case& it) {
  std::string counts;
  for (const std::size_t count : it.counts) counts += text(" %zu", count);
  return text("%s%s%s%s, %d bytes off, seed %llu", ringside::describe(it.what).c_str(),
              counts.c_str(), it.in_place ? ", in place" : "", it.special ? ", special values" : "",
              it.misaligned_bytes, static_cast<unsigned long long>(it.seed));
}

Expectation expect(const Case& it, int ranks) {
  const Operation& what = it.what;
  const Kind kind = what.kind;
  const std::size_t n = index(ranks);
  const bool in_parts =
      kind == Kind::reduce_scatter || kind == Kind::scatter || kind == Kind::all_to_all;
  const bool all_get_the_same =
      kind == Kind::all_reduce || kind == Kind::all_gather || kind == Kind::all_gather_v;
  Expectation result;
  result.inputs.resize(n);
  result.outputs.resize(n);
  if (kind == Kind::barrier) return result;
  for (int rank = 0; rank < ranks; ++rank) {
    const std::size_t count = kind == Kind::all_gather_v ? it.counts[index(rank)]
                              : in_parts                 ? n * what.count
                                                         : what.count;
    result.inputs[index(rank)] =
        make_input(rank, count, what.dtype, what.reduction, it.seed, it.special);
  }
  for (int rank = 0; rank < ranks; ++rank) {
    Bytes& output = result.outputs[index(rank)];
    if (kind == Kind::send_recv)
      output = rank == it.receiver ? result.inputs[index(what.root)] : Bytes();
    else if (all_get_the_same && rank > 0)
      output = result.outputs[0];
    else
      output = tools::expected_output(what, {.rank = rank, .size = ranks, .counts = it.counts},
                                      result.inputs);
  }
  for (std::size_t rank = 0; rank < n; ++rank)
    if (has_one_giver(kind) && rank != index(what.root)) result.inputs[rank].clear();
  return result;
}

void RankMemory::Free::operator()(std::byte* memory) const { deallocate(memory); }

std::byte* RankMemory::Block::of(std::size_t wanted_bytes) {
  if (wanted_bytes > bytes || !memory) {
    memory.reset();
    memory.reset(static_cast<std::byte*>(allocate(wanted_bytes)));
    bytes = wanted_bytes;
  }
  return memory.get();
}

RankMemory::Places RankMemory::places(const Case& it, int rank, std::size_t send_bytes,
                                      std::size_t recv_bytes) {
  if (elsewhere_ != nullptr)
    return {elsewhere_->room(0, send_bytes),
            recv_bytes > 0 ? elsewhere_->room(1, recv_bytes) : nullptr, elsewhere_};
  const std::size_t turn = it.seed / 2 + index(rank);
  const Exposing now = exposing_ == Exposing::in_turn ? static_cast<Exposing>(turn % 5) : exposing_;
  // What comes second in an allocation begins anywhere.
  if (now == Exposing::together) {
    const std::size_t second_at = send_bytes + turn % 64;
    std::byte* all = first_.of(second_at + recv_bytes);
    return {all, all + second_at, nullptr};
  }
  const bool exposes_input = now == Exposing::input || now == Exposing::both;
  const bool exposes_output = now == Exposing::output || now == Exposing::both;
  return {exposes_input || (exposes_output && recv_bytes == 0) ? first_.of(send_bytes) : nullptr,
          exposes_output && recv_bytes > 0 ? second_.of(recv_bytes) : nullptr, nullptr};
}

// One buffer for both, if this rank has both: where one gives or takes, only that one does.
std::string perform(Communicator& comm, const Case& it, const Expectation& expected,
                    RankMemory& memory) {
  const Kind kind = it.what.kind;
  const Bytes& input = expected.inputs[index(comm.rank())];
  const Bytes& output = expected.outputs[index(comm.rank())];
  const bool only_root = has_one_taker(kind) || kind == Kind::scatter;
  const bool both = it.in_place && (!only_root || comm.rank() == it.what.root);
  return both || kind == Kind::broadcast ? perform_in_place(comm, it, input, output, memory)
                                         : perform_apart(comm, it, input, output, memory);
}

std::vector<Expectation> expect_all(const std::vector<Case>& cases, int ranks) {
  std::vector<Expectation> expected;
  for (const Case& it : cases) expected.push_back(expect(it, ranks));
  return expected;
}

void run_cases(Context& t, int ranks, const Options& options, const std::vector<Case>& cases,
               const std::vector<Expectation>& expected, Exposing exposing,
               const ElsewhereOf& elsewhere_of) {
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    RankMemory mine(exposing, elsewhere_of ? elsewhere_of(bootstrap.rank()) : nullptr);
    Communicator comm(bootstrap, options);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      std::string wrong;
      try {
        wrong = perform(comm, cases[i], expected[i], mine);
      } catch (const Error& error) {
        wrong = error.what();
      }
      CHECK_MSG(wrong.empty(), "rank %d of %d, %d slots of %zu bytes, call %zu, %s: %s",
                comm.rank(), ranks, options.slot_count, options.slot_bytes, i,
                describe(cases[i]).c_str(), wrong.c_str());
      if (comm.broken()) return;
    }
    // Nobody's windows go while a neighbour is still in its last call.
    comm.barrier();
  });
}

Options test_options(double timeout_s) {
  Options options;
  options.timeout_s = timeout_s;
  options.routes = OverRig::routes();
  return options;
}

Options with_slots(std::size_t slot_bytes, int slot_count) {
  Options options = test_options();
  options.slot_bytes = slot_bytes;
  options.slot_count = slot_count;
  return options;
}

void on_ranks(int ranks, const Options& options, const std::function<void(Communicator&)>& body) {
  run_as_threads(ranks, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, options);
    body(comm);
  });
}

void make_call(Communicator& comm, const Case& it, const void* send, void* recv) {
  const Operation& what = it.what;
  if (what.kind == Kind::send_recv) {
    if (comm.rank() == what.root) comm.send(send, what.count, what.dtype, it.receiver);
    if (comm.rank() == it.receiver) comm.recv(recv, what.count, what.dtype, what.root);
    return;
  }
  // No call writes to what it sends.
  const tools::Sides sides = {static_cast<std::byte*>(const_cast<void*>(send)),
                              static_cast<std::byte*>(recv)};
  tools::make_call(comm, what, sides, it.counts, false);
}

}  // namespace ringside::test
