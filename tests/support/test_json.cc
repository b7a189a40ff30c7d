// The tests' own reader of JSON: what it takes, and what it must refuse. And the library's writer.
#include <cmath>
#include <cstdint>
#include <string>

#include "comm/util/json.h"
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

// The writer (comm/util/json.h): what it writes is what the reader reads.
RINGSIDE_TEST(json_writer, the_reader_gets_what_was_written) {
  const std::string words = "a \"quoted\" \\ line\nand µs";
  JsonWriter json;
  json.object().field("words", words, "least", INT64_MIN, "most", UINT64_MAX);
  json.field("true", true, "none", nullptr, "time", 1.25).number("exact", 2.0 / 3, 6);
  json.field("infinite", HUGE_VAL).object("empty").end().array("list").item("x").item(-3);
  json.object().field("deep", 1).end().end().add("written", "[1, 2]").end();
  CHECK_MSG(json.text().find('\n') == std::string::npos, "%s", json.text().c_str());
  const Json it = parse_json(json.text());
  CHECK_EQ(it.at("words").words, words);
  CHECK(it.at("least").number == -0x1p63 && it.at("most").number == 0x1p64);
  CHECK(it.at("true").boolean && it.at("none").is(Json::Kind::null));
  CHECK(it.at("time").number == 1.25 && it.at("exact").number == 0.666667);
  CHECK(it.at("infinite").is(Json::Kind::null) && it.at("empty").is(Json::Kind::object));
  REQUIRE(it.at("list").items.size() == 3 && it.at("written").items.size() == 2);
  CHECK_EQ(it.at("list").items[1].number, -3.0);
  CHECK_EQ(it.at("list").items[2].at("deep").number, 1.0);
}

RINGSIDE_TEST(json_writer, outer_levels_have_lines_of_their_own) {
  JsonWriter json(2);
  json.object().field("tool", "x").array("rows").object().field("a", 1, "b", 2).end().item(3);
  json.end().array("none").end().end();
  CHECK_EQ(json.text(),
           "{\n  \"tool\": \"x\",\n  \"rows\": [\n    {\"a\": 1, \"b\": 2},\n    3\n  ],\n"
           "  \"none\": []\n}\n");
}

}  // namespace ringside
