// The operations there are (kOperations), and what a call is: the facts that every rank must agree
// on, and their fingerprint.
//
// A collective works only if all ranks call the same thing with the same count, type, reduction and
// root. Other libraries leave the opposite case undefined; here it is an error with a sentence.
// Each signal carries a 31-bit hash of these facts (the fingerprint), so the first message that a
// rank receives in a call shows whether its sender means the same call. What exactly differs then
// stands on the sender's status page.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "comm/algorithm.h"
#include "comm/algorithms/chunks.h"
#include "kernels/dtype.h"
#include "kernels/reduction.h"

namespace ringside {

enum class Kind : std::uint8_t {
  all_reduce,
  reduce_scatter,
  all_gather,
  broadcast,
  reduce,
  gather,
  scatter,
  all_to_all,
  send_recv,
  reduce_scatter_v,
  all_gather_v,
  barrier,
};

// What a rank has in a buffer: its own part of the whole, or all of it, or all of it on the root
// and nothing elsewhere.
enum class Extent : std::uint8_t { none, part, whole, whole_on_root };

// What a call's `count` counts: the whole, the part of one rank, or all parts together where each
// rank has a count of its own.
enum class Counts : std::uint8_t { whole, part, all_parts };

struct OperationTraits {
  Kind kind;
  const char* name;    // in sentences
  const char* option;  // as --op takes it, and in tables
  Counts counts;
  Extent input, output;
  bool reduces;
  Algorithm algorithm;  // that it has; of an all_reduce, where no other one is chosen
  const char* why;      // that one
};

// All operations, in the order of the enum and of every list that a person sees.
inline constexpr std::array kOperations = {
    OperationTraits{Kind::all_reduce, "all_reduce", "all_reduce", Counts::whole, Extent::whole,
                    Extent::whole, true, Algorithm::ring, "more steps, but the fewest bytes"},
    OperationTraits{Kind::reduce_scatter, "reduce_scatter", "reduce_scatter", Counts::part,
                    Extent::whole, Extent::part, true, Algorithm::ring,
                    "the first half of an all_reduce; there is no other"},
    OperationTraits{Kind::all_gather, "all_gather", "all_gather", Counts::part, Extent::part,
                    Extent::whole, false, Algorithm::ring,
                    "the second half of an all_reduce; there is no other"},
    OperationTraits{Kind::broadcast, "broadcast", "broadcast", Counts::whole, Extent::whole_on_root,
                    Extent::whole, false, Algorithm::chain,
                    "from rank to rank, slices follow each other; there is no other"},
    OperationTraits{Kind::reduce, "reduce", "reduce", Counts::whole, Extent::whole,
                    Extent::whole_on_root, true, Algorithm::ring_and_mesh,
                    "reduce_scatter, then all parts to the root; the only one"},
    OperationTraits{Kind::gather, "gather", "gather", Counts::part, Extent::part,
                    Extent::whole_on_root, false, Algorithm::mesh,
                    "all parts straight to the root; there is no other"},
    OperationTraits{Kind::scatter, "scatter", "scatter", Counts::part, Extent::whole_on_root,
                    Extent::part, false, Algorithm::mesh,
                    "all parts straight from the root; there is no other"},
    OperationTraits{Kind::all_to_all, "all_to_all", "all_to_all", Counts::part, Extent::whole,
                    Extent::whole, false, Algorithm::mesh,
                    "in step k to the rank k to the right; there is no other"},
    OperationTraits{Kind::send_recv, "send/recv", "send_recv", Counts::whole, Extent::whole,
                    Extent::whole, false, Algorithm::mesh,
                    "one to the right and one from the left, at once"},
    OperationTraits{Kind::reduce_scatter_v, "reduce_scatter_v", "reduce_scatter_v",
                    Counts::all_parts, Extent::whole, Extent::part, true, Algorithm::ring,
                    "the first half of an all_reduce; there is no other"},
    OperationTraits{Kind::all_gather_v, "all_gather_v", "all_gather_v", Counts::all_parts,
                    Extent::part, Extent::whole, false, Algorithm::ring,
                    "the second half of an all_reduce; there is no other"},
    OperationTraits{Kind::barrier, "barrier", "barrier", Counts::whole, Extent::none, Extent::none,
                    false, Algorithm::ring, "an all_gather of nothing"},
};
// A number that is none comes only from a damaged status page, and must not do more damage.
constexpr bool exists(Kind kind) { return static_cast<std::size_t>(kind) < kOperations.size(); }
constexpr const OperationTraits& traits(Kind kind) {
  return kOperations[static_cast<std::size_t>(exists(kind) ? kind : Kind::barrier)];
}
static_assert([] {
  for (std::size_t i = 0; i < kOperations.size(); ++i)
    if (static_cast<std::size_t>(kOperations[i].kind) != i) return false;
  return true;
}());

constexpr const char* name_of(Kind kind) {
  return exists(kind) ? traits(kind).name : "unknown call";
}

struct Operation {
  Kind kind = Kind::barrier;
  DType dtype = DType::u8;
  Reduction reduction = Reduction::sum;  // where the operation reduces
  // The root, where there is one; send_recv: the sender; all_reduce in groups (hierarchical.h): the
  // ranks of a group; all_gather: kOfSplit if a split makes it.
  std::int32_t root = 0;
  std::uint64_t count = 0;   // elements, of what the operation's traits say
  std::uint32_t layout = 0;  // where the ranks' counts differ: layout_of them
  bool on_device = false;    // carried out on the ranks' devices
};

// An all_gather that a split makes is another call than the caller's own, and has another name.
inline constexpr std::int32_t kOfSplit = -1;
constexpr bool is_of_split(const Operation& what) {
  return what.kind == Kind::all_gather && what.root == kOfSplit;
}
constexpr const char* name_of(const Operation& what) {
  return is_of_split(what) ? "split" : name_of(what.kind);
}

constexpr bool has_reduction(Kind kind) { return traits(kind).reduces; }
// A collective in which one rank is another than the rest.
constexpr bool has_root(Kind kind) {
  return traits(kind).input == Extent::whole_on_root ||
         traits(kind).output == Extent::whole_on_root;
}
// Whether each rank has one part of a whole, in or out, all of one length.
constexpr bool in_parts(Kind kind) { return traits(kind).counts == Counts::part; }
// The same, and each rank has a count of its own.
constexpr bool is_ragged(Kind kind) { return traits(kind).counts == Counts::all_parts; }

// How much of a buffer is this rank's, given the lengths of the whole and of its own part.
constexpr std::size_t length_of(Extent extent, bool is_root, std::size_t whole, std::size_t part) {
  if (extent == Extent::none || (extent == Extent::whole_on_root && !is_root)) return 0;
  return extent == Extent::part ? part : whole;
}

// Into how many chunks the whole is cut. A broadcast passes all of it on, as chunk 0.
constexpr int chunks_in(Kind kind, int ranks) { return kind == Kind::broadcast ? 1 : ranks; }
// The chunks of an operation whose ranks have no counts of their own.
constexpr Chunks even_chunks(Kind kind, std::size_t count, int ranks) {
  return {count * static_cast<std::size_t>(in_parts(kind) ? ranks : 1), chunks_in(kind, ranks)};
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
