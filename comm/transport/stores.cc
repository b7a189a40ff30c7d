// What a chooser has found, in words.
#include "comm/transport/stores.h"

#include "comm/error.h"

namespace ringside {

std::string StoreChooser::words() const {
  if (forced_)
    return *forced_ ? "past the caches, as asked for" : "through the caches, as asked for";
  std::string words;
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    const OfSize& it = sizes_[i];
    if (it.count < kFirst) continue;
    words += text("%s%s %s the caches (a line %.1f ns, %s them %.1f)", words.empty() ? "" : ", ",
                  i == 0 ? "of 4K" : "of 16K and more", it.streaming ? "past" : "through",
                  (it.streaming ? it.past : it.cached).typical(), it.streaming ? "through" : "past",
                  (it.streaming ? it.cached : it.past).typical());
  }
  return words.empty() ? "through the caches, not measured yet" : words;
}

}  // namespace ringside
