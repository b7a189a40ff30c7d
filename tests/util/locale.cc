// A program may live in a locale with a decimal comma. What ringside reads and writes does not.
#include <locale.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "comm/cost/machine_text.h"
#include "comm/options.h"
#include "comm/util/json.h"
#include "comm/util/number.h"
#include "tests/support/environment.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

using namespace ringside;
using namespace ringside::test;

namespace {

// This thread's, for the length of a scope. Machines rarely have such a locale ready, but can often
// make one.
class DecimalComma {
 public:
  DecimalComma() : path_("LOCPATH", folder_.path()) {
    if (kSanitized) SKIP("the C library leaks what LOCPATH says");
    const std::string words =
        "LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \".\"\n"
        "grouping 3;3\nEND LC_NUMERIC\n";
    std::ofstream(folder_.file("words")) << words;
    // It complains of what is missing, and makes it all the same.
    shell("localedef -c --no-archive -f UTF-8 -i " + folder_.file("words") + " " +
          folder_.file("comma"));
    comma_ = ::newlocale(LC_NUMERIC_MASK, "comma", nullptr);
    if (comma_ == nullptr) SKIP("no locale with a decimal comma can be made here (localedef)");
    before_ = ::uselocale(comma_);
  }
  ~DecimalComma() {
    ::uselocale(before_);
    ::freelocale(comma_);
  }
  DecimalComma(const DecimalComma&) = delete;
  DecimalComma& operator=(const DecimalComma&) = delete;

 private:
  const Folder folder_;
  const Environment path_;
  locale_t comma_ = nullptr, before_ = nullptr;
};

}  // namespace

RINGSIDE_TEST(locale, numbers_have_a_decimal_point_everywhere) {
  const DecimalComma here;
  char control[8] = {};
  std::snprintf(control, sizeof control, "%g", 0.5);
  CHECK_EQ(std::string(control), "0,5");
  CHECK_EQ(text("%g %.2f", 0.5, 1.25), "0.5 1.25");
  CHECK_EQ(JsonWriter().object().field("a", 0.5).end().text(), "{\"a\": 0.5000}");
  std::snprintf(control, sizeof control, "%g", 0.5);
  CHECK_EQ(std::string(control), "0,5");  // the program's own locale is as it was
  const Environment timeout("RINGSIDE_TIMEOUT", "2.5"), warn("RINGSIDE_WARN", "0.25");
  const Options options = Options::from_environment();
  CHECK_EQ(options.refused, "");
  CHECK(options.timeout_s == 2.5 && options.warn_s == 0.25);
  const Machine machine = parse_machine(
      "name x\nranks-per-host 2\nlink same-host latency 0.6us bandwidth 12.5GB/s\n", "here");
  check_has(t, write_machine(machine), {"600ns", "12.5GB/s"});
}

RINGSIDE_TEST(locale, what_is_no_number_is_refused) {
  for (const char* words : {"2,5", "", "x", "1e999", " 1", "1 "}) {
    const Environment variable("RINGSIDE_TIMEOUT", words);
    CHECK_MSG(contains(Options::from_environment().refused, "RINGSIDE_TIMEOUT"), "'%s'", words);
  }
  CHECK(leading_number("12.5GB/s")->rest == "GB/s");
  CHECK(!leading_number("GB"));
  for (const char* words : {"64 ", "64\xc4", "64x", "64KB"}) {
    std::size_t bytes = 0;
    CHECK_MSG(!parse_bytes(words, bytes), "'%s'", words);
  }
}
