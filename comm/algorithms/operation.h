// What a call is: the words that every rank must agree on, and their fingerprint.
//
// A collective works only if all ranks call the same thing with the same count, type, reduction and
// root. Other libraries call the opposite case undefined; here it is an error with a sentence. Each
// signal carries a 31-bit hash of these words (the fingerprint), so the first message that a rank
// receives in a call already tells it whether the sender means the same call. What exactly differs
// then stands on the sender's status page.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "kernels/dtype.h"
#include "kernels/reduction.h"

namespace ringside {

enum class Kind : std::uint8_t {
  all_reduce,
  reduce_scatter,
  all_gather,
  broadcast,
  barrier,
  send_recv,
  reduce,
  gather,
  scatter,
  all_to_all,
  all_gather_v,
  reduce_scatter_v,
};

const char* name_of(Kind kind);

struct Operation {
  Kind kind = Kind::barrier;
  DType dtype = DType::u8;
  Reduction reduction = Reduction::sum;  // all_reduce, reduce_scatter, reduce, reduce_scatter_v
  // The root, where there is one; send_recv: the sender; all_reduce in groups (hierarchical.h): the
  // ranks of a group.
  std::int32_t root = 0;
  // Elements, as the caller says it: of the whole buffer (all_reduce, broadcast, reduce,
  // send_recv), of one rank's part (reduce_scatter, all_gather, gather, scatter, all_to_all), of
  // all parts together (all_gather_v, reduce_scatter_v).
  std::uint64_t count = 0;
  std::uint32_t layout = 0;  // all_gather_v, reduce_scatter_v: layout_of the ranks' counts
  bool on_device = false;    // carried out on the ranks' devices (device_side.h)
};

// --- what kinds of call there are ---

constexpr bool has_reduction(Kind kind) {
  return kind == Kind::all_reduce || kind == Kind::reduce_scatter || kind == Kind::reduce ||
         kind == Kind::reduce_scatter_v;
}
// A collective in which one rank is another than the rest.
constexpr bool has_root(Kind kind) {
  return kind == Kind::broadcast || kind == Kind::reduce || kind == Kind::gather ||
         kind == Kind::scatter;
}
// Whether each rank has one part of a whole, in or out, all of one length.
constexpr bool in_parts(Kind kind) {
  return kind == Kind::reduce_scatter || kind == Kind::all_gather || kind == Kind::gather ||
         kind == Kind::scatter || kind == Kind::all_to_all;
}
// The same, and each rank has a count of its own.
constexpr bool is_ragged(Kind kind) {
  return kind == Kind::all_gather_v || kind == Kind::reduce_scatter_v;
}
// Pieces between any two ranks, not only along the ring (mesh.h).
constexpr bool uses_mesh(Kind kind) {
  return kind == Kind::reduce || kind == Kind::gather || kind == Kind::scatter ||
         kind == Kind::all_to_all;
}

// All of a call but its count, in 56 bits. What has a root has no layout.
constexpr std::uint64_t pack(const Operation& what) {
  const std::uint32_t word =
      is_ragged(what.kind) ? what.layout : static_cast<std::uint32_t>(what.root);
  return static_cast<std::uint64_t>(what.on_device) << 55 |
         static_cast<std::uint64_t>(what.kind) << 48 |
         static_cast<std::uint64_t>(what.dtype) << 40 |
         static_cast<std::uint64_t>(what.reduction) << 32 | word;
}

namespace detail {
// splitmix64's finalizer: every bit of the input reaches every bit of the result.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
constexpr std::uint32_t folded(std::uint64_t hash) {
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}
}  // namespace detail

// A hash of the ranks' counts, in order.
constexpr std::uint32_t layout_of(std::span<const std::size_t> counts) {
  std::uint64_t hash = 0;
  for (const std::size_t count : counts) hash = detail::mix(hash + count + 0x9e3779b97f4a7c15u);
  return detail::folded(hash);
}

// The bits of a fingerprint. The remaining one says how a message travels (signal.h: kZeroCopyBit).
inline constexpr std::uint32_t kFingerprintMask = (std::uint32_t{1} << 31) - 1;

// Never 0, which is what a cell that nobody has written yet holds.
constexpr std::uint32_t fingerprint(const Operation& what) {
  const std::uint64_t hash =
      detail::mix(detail::mix(what.count + 0x9e3779b97f4a7c15u) ^ pack(what));
  return std::max(detail::folded(hash) & kFingerprintMask, 1u);
}

// A collective's mark on the wire: its own fingerprint, and those of all collectives before it. Two
// calls may use different channels, and then a message of the wrong one is never looked at; but
// from there on every message of either rank is a wrong one to the other.
constexpr std::uint32_t chained(std::uint32_t before, std::uint32_t own) {
  std::uint64_t x = (static_cast<std::uint64_t>(before) << 32 | own) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 32)) * 0xbf58476d1ce4e5b9u;
  const auto folded = static_cast<std::uint32_t>(x ^ (x >> 32)) & kFingerprintMask;
  return folded == 0 ? 1 : folded;
}

// "all_reduce (f32 × 1048576, sum)"
std::string describe(const Operation& what);
// "all_reduce #41 (f32 × 1048576, sum)": the communicator's 41st call.
std::string describe(std::uint64_t number, const Operation& what);

// "the count differs: 4 here, 5 there"; several differences are joined.
std::string difference(const Operation& here, const Operation& there);

}  // namespace ringside
