// A strict reader of JSON (RFC 8259), for tests of what the tools write for machines.
//
// Strict, so that a file that another reader might refuse is refused here: no comma too many, no
// NaN, no bare control character, no key twice in one object, nothing after the end.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace ringside::test {

struct Json {
  enum class Kind { null, boolean, number, string, array, object };

  Kind kind = Kind::null;
  bool boolean = false;
  double number = 0;
  std::string words;        // of a string
  std::vector<Json> items;  // of an array
  struct Member;
  std::vector<Member> members;  // of an object, as they are written

  bool is(Kind wanted) const { return kind == wanted; }
  // Null if there is no such member, or if this is no object.
  const Json* find(const std::string& key) const;
  // The same, for a member that must be there. Throws std::runtime_error.
  const Json& at(const std::string& key) const;
};

// Not a std::pair: a vector of those wants to know how long a Json is while it is being declared.
struct Json::Member {
  std::string key;
  Json value;
};

// Throws std::runtime_error: "line 3, column 14: a comma or ] is missing".
Json parse_json(const std::string& text);

}  // namespace ringside::test
