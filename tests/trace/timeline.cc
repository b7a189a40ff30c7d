// Reading a trace file, and looking for what cannot be.
#include "tests/trace/timeline.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "tests/support/test.h"

namespace ringside::test {
namespace {

constexpr int kFirstTrack = 1000;

std::int64_t ns_of(const Json& us) {
  if (!us.is(Json::Kind::number)) throw std::runtime_error("a time is no number");
  return std::llround(us.number * 1e3);
}

struct ArrowEnd {
  int rank;
  std::int64_t at_ns;
};

class Builder {
 public:
  explicit Builder(const Json& file) {
    for (const Json& event : file.at("traceEvents").items) take(event);
    for (const auto& [rank, name] : names_) {
      if (name != text("rank %d", rank)) find("rank %d's track is named %s", rank, name);
      it_.ranks[rank];
    }
    int expected = 0;
    for (auto& [rank, track] : it_.ranks) {
      if (rank != expected++) find("rank %d's track is not there", rank - 1, "");
      if (names_.count(rank) == 0) find("rank %d's track has no name", rank, "");
      nest(rank, track);
    }
    match();
  }

  Timeline result() && { return std::move(it_); }

 private:
  [[gnu::format(printf, 2, 0)]] void find(const char* format, int rank, const std::string& name) {
    it_.findings.push_back(text(format, rank, name.c_str()));
  }

  void take(const Json& event) {
    const std::string& phase = event.at("ph").words;
    const std::string& name = event.at("name").words;
    if (phase == "M" && name == "process_name") return;
    const int rank = static_cast<int>(event.at("tid").number) - kFirstTrack;
    if (phase == "M" && name == "thread_name") {
      if (!names_.emplace(rank, event.at("args").at("name").words).second)
        find("rank %d has two tracks", rank, "");
    } else if (phase == "M" && name == "thread_sort_index") {
      if (static_cast<int>(event.at("args").at("sort_index").number) != rank)
        find("rank %d's track is not in its place", rank, "");
    } else if (phase == "X") {
      const std::int64_t begin_ns = ns_of(event.at("ts"));
      it_.ranks[rank].slices.push_back({begin_ns, begin_ns + ns_of(event.at("dur")),
                                        event.at("cat").words, name, event.at("args"), -1});
    } else if (phase == "s" || phase == "f") {
      auto& ends = phase == "s" ? starts_ : stops_;
      if (!ends.emplace(event.at("id").words, ArrowEnd{rank, ns_of(event.at("ts"))}).second)
        find("rank %d has two arrows %s", rank, event.at("id").words);
    } else {
      find("rank %d has an event of the unknown kind %s", rank, phase);
    }
  }

  // Slices stand in the order of beginning. Each lies in the one that is open, or after it.
  void nest(int rank, Track& track) {
    std::vector<int> open;
    for (int i = 0; i < static_cast<int>(track.slices.size()); ++i) {
      const auto at = [&](int k) -> Slice& { return track.slices[static_cast<std::size_t>(k)]; };
      Slice& slice = at(i);
      if (slice.begin_ns < 0 || slice.end_ns < slice.begin_ns)
        find("rank %d: %s has an impossible time", rank, slice.name);
      if (i > 0 && slice.begin_ns < at(i - 1).begin_ns)
        find("rank %d: %s is out of order", rank, slice.name);
      while (!open.empty() && at(open.back()).end_ns <= slice.begin_ns) open.pop_back();
      if (!open.empty()) {
        slice.parent = open.back();
        if (slice.end_ns > at(open.back()).end_ns)
          find("rank %d: %s goes on after what it is in", rank, slice.name);
      }
      const std::string outside = slice.parent < 0 ? "" : at(slice.parent).category;
      const bool may = slice.category == "wait"   ? outside == "step" || outside == "call"
                       : slice.category == "step" ? outside == "call"
                                                  : outside.empty();
      if (!may) find("rank %d: %s stands where it cannot", rank, slice.name);
      open.push_back(i);
    }
  }

  // The innermost slice that is open on a track at a time.
  const Slice* open_at(const ArrowEnd& end) const {
    const std::vector<Slice>& slices = it_.ranks.at(end.rank).slices;
    const Slice* innermost = nullptr;
    for (const Slice& slice : slices) {
      if (slice.begin_ns > end.at_ns) break;
      if (slice.end_ns > end.at_ns) innermost = &slice;
    }
    return innermost;
  }

  void match() {
    for (const auto& [id, start] : starts_) {
      const auto stop = stops_.find(id);
      if (stop == stops_.end()) {
        it_.half_arrows.push_back(text("arrow %s of rank %d does not end", id.c_str(), start.rank));
        continue;
      }
      ++it_.arrows;
      if (start.rank == stop->second.rank || stop->second.at_ns < start.at_ns)
        find("rank %d: the arrow %s leads nowhere, or back in time", start.rank, id);
      if (it_.ranks.at(start.rank).slices.size() > kFewEnoughToLook) continue;
      const Slice *from = open_at(start), *to = open_at(stop->second);
      if (from == nullptr || from->args.find("sent_bytes") == nullptr)
        find("rank %d: the arrow %s does not begin where something is sent", start.rank, id);
      if (to == nullptr || to->args.find("received_bytes") == nullptr)
        find("rank %d: the arrow %s does not end where something is received", start.rank, id);
    }
    for (const auto& [id, stop] : stops_)
      if (starts_.count(id) == 0)
        it_.half_arrows.push_back(
            text("arrow %s to rank %d does not begin", id.c_str(), stop.rank));
  }

  static constexpr std::size_t kFewEnoughToLook = 5000;  // each arrow looks through its track

  Timeline it_;
  std::map<int, std::string> names_;
  std::map<std::string, ArrowEnd> starts_, stops_;
};

}  // namespace

std::vector<const Slice*> Track::all(const std::string& category, const std::string& start) const {
  std::vector<const Slice*> found;
  for (const Slice& slice : slices)
    if (slice.category == category && slice.named(start)) found.push_back(&slice);
  return found;
}

std::vector<const Slice*> Track::inside(const Slice& parent, const std::string& category) const {
  std::vector<const Slice*> found;
  for (const Slice& slice : slices)
    if (slice.parent == &parent - slices.data() && slice.category == category)
      found.push_back(&slice);
  return found;
}

std::vector<const Slice*> Track::last() const {
  std::vector<const Slice*> found;
  for (int i = static_cast<int>(slices.size()) - 1; i >= 0;
       i = slices[static_cast<std::size_t>(i)].parent)
    found.insert(found.begin(), &slices[static_cast<std::size_t>(i)]);
  return found;
}

Timeline read_timeline(const std::string& text) { return Builder(parse_json(text)).result(); }

}  // namespace ringside::test
