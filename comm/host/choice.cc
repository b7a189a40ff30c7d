// The bounds between the algorithms of an all_reduce, and the reasons as sentences.
#include "comm/host/choice.h"

#include <algorithm>

#include "comm/algorithms/hierarchical.h"
#include "comm/algorithms/one_shot.h"
#include "comm/algorithms/two_shot.h"
#include "comm/error.h"

namespace ringside {
namespace {

// "16K", "1000 B"
std::string bytes_words(std::size_t bytes) {
  if (bytes == 0 || bytes % 1024 != 0) return text("%zu B", bytes);
  const char* unit = "KMG";
  for (bytes /= 1024; bytes % 1024 == 0 && unit[1] != '\0'; bytes /= 1024) ++unit;
  return text("%zu%c", bytes, *unit);
}

std::string why_all_reduce(const HostSettings& settings, std::size_t bytes) {
  const std::size_t one_shot = one_shot_most_bytes(settings);
  const std::size_t most = std::max(one_shot, two_shot_most_bytes(settings));
  const std::string size = bytes_words(bytes);
  switch (settings.algorithm) {
    case Algorithm::one_shot:
      if (bytes <= one_shot) return "RINGSIDE_ALGORITHM=one-shot says so, and it fits a slot";
      return size + " do not fit a slot, though one-shot was asked for";
    case Algorithm::two_shot:
      if (settings.self.size < 2) return "one rank has nobody to take two steps with";
      break;
    case Algorithm::automatic:
      if (bytes <= one_shot)
        return size + " ≤ " + bytes_words(one_shot) + ": all to all in one step";
      if (bytes <= most)
        return size + " ≤ " + bytes_words(most) + ": two steps, and the fewest bytes";
      return size + " > " + bytes_words(most) + ": " + traits(Kind::all_reduce).why;
    case Algorithm::hierarchical:
      return text("RINGSIDE_ALGORITHM=hierarchical:%d says so", settings.group_ranks);
    default:
      break;
  }
  return text("RINGSIDE_ALGORITHM=%s says so", name_of(settings.algorithm));
}

}  // namespace

HostSettings settings_from(const Ring& self, const Options& options, std::size_t pair_slot_bytes,
                           std::size_t zero_copy_from_bytes) {
  return {self,
          options.slot_bytes,
          pair_slot_bytes,
          options.algorithm,
          options.stream_from_bytes,
          zero_copy_from_bytes,
          options.group_ranks};
}

std::size_t one_shot_most_bytes(const HostSettings& settings) {
  if (settings.self.size < 2) return 0;
  if (settings.algorithm == Algorithm::one_shot) return settings.pair_slot_bytes;
  if (settings.algorithm != Algorithm::automatic) return 0;
  return std::min(settings.pair_slot_bytes, one_shot_pays_up_to(settings.self.size));
}

std::size_t two_shot_most_bytes(const HostSettings& settings) {
  if (settings.self.size < 2) return 0;
  if (settings.algorithm == Algorithm::two_shot) return SIZE_MAX;
  if (settings.algorithm != Algorithm::automatic) return 0;
  return two_shot_pays_up_to(settings.self.size);
}

Algorithm choose_algorithm(const HostSettings& settings, const Operation& what) {
  if (what.kind != Kind::all_reduce) return traits(what.kind).algorithm;
  if (settings.algorithm == Algorithm::hierarchical) return settings.algorithm;
  const std::size_t bytes = what.count * bytes_of(what.dtype);
  const std::size_t one_shot = one_shot_most_bytes(settings);
  if (one_shot > 0 && bytes <= one_shot) return Algorithm::one_shot;
  const std::size_t two_shot = two_shot_most_bytes(settings);
  return two_shot > 0 && bytes <= two_shot ? Algorithm::two_shot : Algorithm::ring;
}

HostChoice choose(const HostSettings& settings, const Plan& plan) {
  HostChoice choice;
  choice.algorithm = choose_algorithm(settings, plan.what);
  const bool on_ring = traits(choice.algorithm).ring_only;
  choice.slice_count =
      (on_ring ? settings.slot_bytes : settings.pair_slot_bytes) / plan.element_bytes;
  choice.slices = slices_for(plan.chunks.longest(), choice.slice_count);
  choice.streams = plan.chunks.total() * plan.element_bytes >= settings.stream_from_bytes;
  choice.zero_copy_from_bytes = settings.zero_copy_from_bytes;
  return choice;
}

std::string why(const HostSettings& settings, const Operation& what) {
  if (what.kind == Kind::send_recv)
    return std::string(traits(what.kind).why) + " (comm/host/send_recv.h)";
  const std::string words = what.kind == Kind::all_reduce
                                ? why_all_reduce(settings, what.count * bytes_of(what.dtype))
                                : traits(what.kind).why;
  return words + " (comm/algorithms/" + traits(choose_algorithm(settings, what)).file + ")";
}

int steps_of(const Operation& what, Algorithm algorithm, const Ring& self) {
  const bool is_root = self.rank == what.root;
  const int others = self.size - 1;
  switch (what.kind) {
    case Kind::all_reduce:
      if (algorithm == Algorithm::hierarchical) return Groups{self, what.root}.steps();
      // In a two-shot each message out is a step, and each message in.
      return algorithm == Algorithm::two_shot ? 4 * others : 2 * others;
    case Kind::broadcast:
      return !is_root && self.right().rank != what.root ? 2 : 1;
    case Kind::reduce:
      return others + (is_root ? others : 1);
    case Kind::gather:
    case Kind::scatter:
      return is_root ? others : 1;
    default:
      return others;
  }
}

}  // namespace ringside
