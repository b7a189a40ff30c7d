// The writer of JSON (comm/util/json.h): what it writes is what a strict reader reads, and each
// value of the outer levels stands on a line of its own.
#include <cmath>
#include <cstdint>
#include <string>

#include "comm/util/json.h"
#include "tests/support/json.h"
#include "tests/support/test.h"

namespace ringside {

RINGSIDE_TEST(json_writer, the_reader_gets_what_was_written) {
  const std::string words = "a \"quoted\" \\ line\nand µs";
  JsonWriter json;
  json.object().field("words", words).field("least", INT64_MIN).field("most", UINT64_MAX);
  json.field("true", true).field("none", nullptr).field("time", 1.25).field("exact", 2.0 / 3, 6);
  json.field("infinite", HUGE_VAL).object("empty").end().array("list").item("x").item(-3);
  json.object().field("deep", 1).end().end().add("written", "[1, 2]").end();
  CHECK_MSG(json.text().find('\n') == std::string::npos, "%s", json.text().c_str());
  const test::Json it = test::parse_json(json.text());
  CHECK_EQ(it.at("words").words, words);
  CHECK(it.at("least").number == -0x1p63 && it.at("most").number == 0x1p64);
  CHECK(it.at("true").boolean && it.at("none").is(test::Json::Kind::null));
  CHECK(it.at("time").number == 1.25 && it.at("exact").number == 0.666667);
  CHECK(it.at("infinite").is(test::Json::Kind::null) &&
        it.at("empty").is(test::Json::Kind::object));
  REQUIRE(it.at("list").items.size() == 3 && it.at("written").items.size() == 2);
  CHECK_EQ(it.at("list").items[1].number, -3.0);
  CHECK_EQ(it.at("list").items[2].at("deep").number, 1.0);
}

RINGSIDE_TEST(json_writer, outer_levels_have_lines_of_their_own) {
  JsonWriter json(2);
  json.object().field("tool", "x").array("rows").object().field("a", 1).field("b", 2).end().item(3);
  json.end().array("none").end().end();
  CHECK_EQ(json.text(),
           "{\n  \"tool\": \"x\",\n  \"rows\": [\n    {\"a\": 1, \"b\": 2},\n    3\n  ],\n"
           "  \"none\": []\n}\n");
}

}  // namespace ringside
