// The hash matrix: a fixed list of calls on fixed inputs, each reduced to one 64-bit number.
//
// Two runs computed the same bits if their lists of numbers are equal, whatever else was different
// about them: slots, processes or threads, in place or not. Everything is in this header, because
// the test (tests/collectives/hash.cc) and the program that mpirun starts
// (tests/programs/rank_program.cc) must mean the same list.
//
// The inputs are made to show mistakes: random mantissas of both signs, so that a sum taken in
// another order is rounded otherwise and a lost or doubled contribution changes it. Products stay
// between 1/2 and 2 a factor, so that nothing overflows into an infinity that would hide all that.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "comm/algorithms/operation.h"
#include "comm/communicator.h"
#include "comm/error.h"
#include "kernels/dtype.h"
#include "kernels/reduction.h"

namespace ringside::test {

struct HashRun {
  bool in_place = false;
  int flipped_rank = -1;  // a control: one bit of this rank's input is another one
};

// FNV-1a: each byte, in order, reaches every later state.
inline std::uint64_t hash_bytes(const void* memory, std::size_t bytes,
                                std::uint64_t hash = 0xcbf29ce484222325u) {
  const auto* byte = static_cast<const unsigned char*>(memory);
  for (std::size_t i = 0; i < bytes; ++i) hash = (hash ^ byte[i]) * 0x100000001b3u;
  return hash;
}

inline std::uint64_t random_word(int rank, std::size_t index) {
  std::uint64_t x = (static_cast<std::uint64_t>(rank) << 40) + index + 1;
  x *= 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;  // splitmix64
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Element `index` of rank `rank`'s input.
template <class T>
T hash_input(int rank, std::size_t index, Reduction reduction) {
  const std::uint64_t word = random_word(rank, index);
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(word);
  } else {
    const double fraction = 1 + static_cast<double>(word >> 12) * 0x1p-52;
    const int exponent = static_cast<int>(word & 3) - 1;  // 1/2 … 4
    const double magnitude =
        std::ldexp(fraction, reduction == Reduction::product ? exponent / 2 : exponent);
    const double value = (word & 4) != 0 ? -magnitude : magnitude;
    if constexpr (is_half<T>) {
      return from_float<T>(static_cast<float>(value));
    } else {
      return static_cast<T>(value);
    }
  }
}

inline std::vector<Operation> hash_cases() {
  std::vector<Operation> cases;
  for (const DType dtype : kAllDTypes)
    for (const std::uint64_t count : {1u, 7u, 1000u, 3001u}) {
      for (const Reduction reduction : kAllReductions)
        for (const Kind kind : {Kind::all_reduce, Kind::reduce_scatter})
          cases.push_back({kind, dtype, reduction, 0, count});
      cases.push_back({Kind::all_gather, dtype, Reduction::sum, 0, count});
      cases.push_back({Kind::broadcast, dtype, Reduction::sum, 1, count});
    }
  // Several slices even with the largest slots.
  cases.push_back({Kind::all_reduce, DType::f32, Reduction::sum, 0, 200'003});
  cases.push_back({Kind::all_reduce, DType::bf16, Reduction::avg, 0, 300'007});
  return cases;
}

inline std::size_t input_count(const Operation& what, int size) {
  return what.count *
         (what.kind == Kind::reduce_scatter ? static_cast<std::size_t>(size) : std::size_t{1});
}
inline std::size_t output_count(const Operation& what, int size) {
  return what.count *
         (what.kind == Kind::all_gather ? static_cast<std::size_t>(size) : std::size_t{1});
}

inline std::vector<std::byte> make_input(const Operation& what, int rank, int size,
                                         const HashRun& run) {
  const std::size_t count = input_count(what, size);
  std::vector<std::byte> memory(count * bytes_of(what.dtype));
  visit(what.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::size_t i = 0; i < count; ++i) {
      const T value = hash_input<T>(rank, i, what.reduction);
      std::memcpy(memory.data() + i * sizeof value, &value, sizeof value);
    }
  });
  // The sign of the last element (little-endian): a bit that no rounding can lose.
  if (rank == run.flipped_rank) memory.back() ^= std::byte{0x80};
  return memory;
}

// Makes the call and hashes what this rank got.
inline std::uint64_t own_hash(Communicator& comm, const Operation& what, const HashRun& run) {
  const int size = comm.size(), rank = comm.rank();
  const std::size_t element_bytes = bytes_of(what.dtype);
  const std::size_t own_offset = static_cast<std::size_t>(rank) * what.count * element_bytes;
  const std::size_t output_bytes = output_count(what, size) * element_bytes;
  std::vector<std::byte> input = make_input(what, rank, size, run);
  std::vector<std::byte> apart(output_bytes);
  const std::byte* send = input.data();
  std::byte* recv = run.in_place ? input.data() : apart.data();
  if (run.in_place && what.kind == Kind::reduce_scatter) recv = input.data() + own_offset;
  if (run.in_place && what.kind == Kind::all_gather) {
    std::memcpy(apart.data() + own_offset, input.data(), input.size());
    send = apart.data() + own_offset;
    recv = apart.data();
  }
  switch (what.kind) {
    case Kind::all_reduce:
      comm.all_reduce(send, recv, what.count, what.dtype, what.reduction);
      break;
    case Kind::reduce_scatter:
      comm.reduce_scatter(send, recv, what.count, what.dtype, what.reduction);
      break;
    case Kind::all_gather:
      comm.all_gather(send, recv, what.count, what.dtype);
      break;
    default:
      comm.broadcast(input.data(), what.count, what.dtype, what.root % size);
      recv = input.data();
  }
  return hash_bytes(recv, output_bytes);
}

// The number of one call. Where every rank is promised the same bits, that is checked; the parts
// that reduce_scatter leaves on the ranks are hashed together. Throws Error when ranks disagree.
inline std::uint64_t hash_of(Communicator& comm, const Operation& what, const HashRun& run) {
  const std::uint64_t mine = own_hash(comm, what, run);
  std::vector<std::uint64_t> all(static_cast<std::size_t>(comm.size()));
  comm.all_gather(&mine, all.data(), 1, DType::i64);
  if (what.kind == Kind::reduce_scatter)
    return hash_bytes(all.data(), all.size() * sizeof all.front());
  for (std::size_t rank = 0; rank < all.size(); ++rank)
    if (all[rank] != all[0])
      throw Error(Fault::protocol,
                  text("%s: rank %zu has other bits than rank 0", describe(what).c_str(), rank));
  return all[0];
}

// One line a call: "all_reduce (f32 × 7, sum) 0123456789abcdef".
inline std::string hash_line(const Operation& what, std::uint64_t hash) {
  return text("%s %016llx\n", describe(what).c_str(), static_cast<unsigned long long>(hash));
}

}  // namespace ringside::test
