// The tests' own reader of JSON: what it takes, and what it must refuse.
#include <string>

#include "tests/support/json.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using test::Json;
using test::parse_json;

std::string refusal(const std::string& text) {
  try {
    parse_json(text);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

RINGSIDE_TEST(json, every_kind_of_value_is_read) {
  const Json it =
      parse_json(R"( {"a": [1, -2.5e3, 0, {}, []], "b": {"c": null, "d": true, "e": false},)"
                 "\n\t"
                 R"("words": "a\"\\\/\b\n\u0041\u00e9\u20ac×"} )");
  const Json& list = it.at("a");
  REQUIRE(list.items.size() == 5);
  CHECK_EQ(list.items[0].number, 1.0);
  CHECK_EQ(list.items[1].number, -2500.0);
  CHECK(list.items[3].is(Json::Kind::object) && list.items[4].is(Json::Kind::array));
  CHECK(it.at("b").at("c").is(Json::Kind::null));
  CHECK(it.at("b").at("d").boolean && !it.at("b").at("e").boolean);
  CHECK_EQ(it.at("words").words, "a\"\\/\b\nAé€×");
  CHECK(it.find("none") == nullptr);
}

RINGSIDE_TEST(json, whatever_is_not_json_is_refused) {
  for (const char* text : {"",          "{",          "[",
                           "[1,]",      "[1 2]",      "{\"a\": 1,}",
                           "{\"a\" 1}", "{a: 1}",     "{\"a\": 1, \"a\": 2}",
                           "[01]",      "[1.]",       "[.5]",
                           "[+1]",      "[1e]",       "[-]",
                           "[NaN]",     "[Infinity]", "[nul]",
                           "\"abc",     "\"\\x\"",    "\"\\u12g4\"",
                           "\"\\u12",   "\"a\nb\"",   "[] []",
                           "[]]",       "'a'",        "[1] // one"})
    CHECK_MSG(!refusal(text).empty(), "taken: %s", text);
  CHECK_EQ(refusal("[1,\n  2 3]"), "line 2, column 5: a comma or ] is missing");
  CHECK_EQ(refusal(std::string(200, '[')), "line 1, column 102: it is nested too deeply");
}

}  // namespace ringside
