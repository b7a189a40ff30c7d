// A call, and the difference between two calls, as sentences name them.
#include "comm/algorithms/operation.h"

#include "comm/error.h"

namespace ringside {
namespace {

void add(std::string& sentence, const std::string& part) {
  if (!sentence.empty()) sentence += "; ";
  sentence += part;
}

// " (f32 × 1048576, sum)"; a barrier has none.
std::string details(const Operation& what) {
  if (what.kind == Kind::barrier || is_of_split(what)) return "";
  const auto count = static_cast<unsigned long long>(what.count);
  std::string words = text(" (%s × %llu", name_of(what.dtype), count);
  if (has_reduction(what.kind)) words += text(", %s", name_of(what.reduction));
  if (what.kind == Kind::send_recv)
    words += text(", from rank %d", what.root);
  else if (has_root(what.kind))
    words += text(", root %d", what.root);
  if (what.on_device) words += ", on the device";
  return words + ")";
}

}  // namespace

std::string describe(const Operation& what) { return name_of(what) + details(what); }

std::string describe(std::uint64_t number, const Operation& what) {
  const auto n = static_cast<unsigned long long>(number);
  return text("%s #%llu", name_of(what), n) + details(what);
}

std::string difference(const Operation& here, const Operation& there) {
  if (here.kind != there.kind || is_of_split(here) != is_of_split(there))
    return text("the operation differs: %s here, %s there", name_of(here), name_of(there));
  std::string sentence;
  if (here.count != there.count)
    add(sentence, text("the count differs: %llu here, %llu there",
                       static_cast<unsigned long long>(here.count),
                       static_cast<unsigned long long>(there.count)));
  else if (here.layout != there.layout)
    add(sentence, "the counts differ, though not their sum");
  if (here.dtype != there.dtype)
    add(sentence,
        text("the type differs: %s here, %s there", name_of(here.dtype), name_of(there.dtype)));
  if (has_reduction(here.kind) && here.reduction != there.reduction)
    add(sentence, text("the reduction differs: %s here, %s there", name_of(here.reduction),
                       name_of(there.reduction)));
  if ((has_root(here.kind) || here.kind == Kind::send_recv) && here.root != there.root)
    add(sentence, text("the root differs: %d here, %d there", here.root, there.root));
  if (here.on_device != there.on_device)
    add(sentence, here.on_device ? "the memory differs: a device's here, the host's there"
                                 : "the memory differs: the host's here, a device's there");
  return sentence.empty() ? "nothing differs" : sentence;
}

}  // namespace ringside
