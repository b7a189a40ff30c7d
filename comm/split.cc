// A communicator for some of another one's ranks: a bootstrap by which they exchange their few
// bytes as messages, everybody to everybody in one batch, a few times.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "comm/bootstrap/bootstrap.h"
#include "comm/bootstrap/identity.h"
#include "comm/communicator.h"
#include "comm/device/device.h"
#include "comm/util/meminfo.h"

namespace ringside {
namespace {

// What a rank tells the others: its wish, and what they cannot know yet of what it is to be.
struct Choice {
  std::int32_t color;
  std::int32_t key;
  std::uint32_t serial;  // as in PeerInfo, like the others
  std::uint32_t has_device;
  std::uint64_t room_bytes;
};
static_assert(std::has_unique_object_representations_v<Choice>, "it travels as bytes");

// Which ranks of the parent form a group: those of its color, ordered by key and then by rank.
// Empty for a negative color. `all`: by rank.
std::vector<int> group_of(const std::vector<Choice>& all, int color) {
  if (color < 0) return {};
  std::vector<std::pair<int, int>> members;  // key, rank
  for (std::size_t rank = 0; rank < all.size(); ++rank)
    if (all[rank].color == color) members.emplace_back(all[rank].key, static_cast<int>(rank));
  std::sort(members.begin(), members.end());
  std::vector<int> ranks;
  for (const auto& member : members) ranks.push_back(member.second);
  return ranks;
}

class SplitBootstrap : public Bootstrap {
 public:
  // `ranks`: the members as the parent numbers them, in their new order; this rank is among them.
  SplitBootstrap(Communicator& parent, std::vector<int> ranks);

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(ranks_.size()); }
  const char* name() const override { return "split"; }

  // The parent's own deadline holds: its messages know no other.
  void all_gather_bytes(const void* mine, std::size_t bytes, void* all, Deadline deadline) override;

 private:
  Communicator& parent_;
  std::vector<int> ranks_;
  int rank_ = 0;
};

SplitBootstrap::SplitBootstrap(Communicator& parent, std::vector<int> ranks)
    : parent_(parent), ranks_(std::move(ranks)) {
  rank_ = static_cast<int>(std::find(ranks_.begin(), ranks_.end(), parent.rank()) - ranks_.begin());
}

void SplitBootstrap::all_gather_bytes(const void* mine, std::size_t bytes, void* all, Deadline) {
  std::vector<Message> messages;
  for (std::size_t member = 0; member < ranks_.size(); ++member) {
    std::byte* place = static_cast<std::byte*>(all) + member * bytes;
    if (static_cast<int>(member) == rank_) {
      std::memcpy(place, mine, bytes);
      continue;
    }
    messages.push_back(Message::to(ranks_[member], mine, bytes, DType::u8));
    messages.push_back(Message::from(ranks_[member], place, bytes, DType::u8));
  }
  parent_.exchange(messages);
}

}  // namespace

std::optional<Communicator> Communicator::split(int color, int key) {
  const Choice mine{color, key, next_serial(), options().device || has_current_device(),
                    available_bytes()};
  std::vector<Choice> all(static_cast<std::size_t>(size()));
  gather_for_split(&mine, all.data(), sizeof mine);
  const std::vector<int> ranks = group_of(all, color);
  if (ranks.empty()) return std::nullopt;
  std::vector<PeerInfo> members;
  for (const int rank : ranks) {
    const Choice& its = all[static_cast<std::size_t>(rank)];
    PeerInfo& it = members.emplace_back(peer_info(rank));
    it.rank = static_cast<int>(members.size()) - 1;
    it.serial = its.serial;
    it.has_device = its.has_device != 0;
    it.room_bytes = its.room_bytes;
  }
  SplitBootstrap bootstrap(*this, ranks);
  return Communicator(bootstrap, *this, std::move(members));
}

}  // namespace ringside
