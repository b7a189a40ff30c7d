// What stands in a trace file (tools/report/trace_file.h), read back, and whether it can be true:
// tracks, slices that nest, arrows with two ends.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/support/json.h"

namespace ringside::test {

struct Slice {
  std::int64_t begin_ns = 0, end_ns = 0;
  std::string category, name;
  Json args;
  int parent = -1;  // the index of the slice around it

  bool unfinished() const { return args.find("unfinished") != nullptr; }
  bool named(const std::string& start) const { return name.starts_with(start); }
};

// One rank's slices, in the order of beginning; a parent comes before its children.
struct Track {
  std::vector<Slice> slices;

  // The slices of this category whose name begins so.
  std::vector<const Slice*> all(const std::string& category, const std::string& start = "") const;
  // Those right inside this one.
  std::vector<const Slice*> inside(const Slice& parent, const std::string& category) const;
  // The slice that begins last and those around it, from outside in: where the rank was at its end.
  std::vector<const Slice*> last() const;
};

struct Timeline {
  std::map<int, Track> ranks;
  std::size_t arrows = 0;  // with both ends
  // What cannot be: a sentence each.
  std::vector<std::string> findings;
  // Arrows of which one end is not there. In a run that ended well there is none, unless spans were
  // dropped.
  std::vector<std::string> half_arrows;
};

// Throws std::runtime_error if the text is not JSON, or not of this format.
Timeline read_timeline(const std::string& text);

}  // namespace ringside::test
