// The words in which tests are written, and the registry that holds them.
//
//   RINGSIDE_TEST(ring, sums_in_rotated_order) {
//     if (!have_mpi()) SKIP("there is no mpirun here");
//     CHECK(sum > 0);
//     CHECK_EQ(received, expected);
//     CHECK_MSG(latency_us < 50, "rank %d took %.1f us", rank, latency_us);
//   }
//
// A body knows nothing of the runner.  The same bodies run under Criterion (each test in its own
// process) and from a plain main (all in one process, one after another), because Criterion cannot
// start under the thread sanitizer and CUDA does not survive Criterion's fork().
//
// A failed CHECK is noted and the body goes on; REQUIRE is for what the rest of the body stands on,
// and ends it.  CHECKs may be made on any thread, rank threads above all: a helper that checks
// takes the Context as a parameter named `t`.  REQUIRE and SKIP throw, so outside the body's own
// thread they are only for code whose spawner carries exceptions across.
#pragma once

#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#ifdef RINGSIDE_HAVE_CRITERION
#include <criterion/criterion.h>
#endif

#include "comm/error.h"

namespace ringside::test {

// Thrown by SKIP and by REQUIRE to leave the body; the runner alone catches them.
struct Skipped {
  std::string reason;
};
struct Abandoned {};

// What one run of one test has found.  Safe to use from every thread of the test.
class Context {
 public:
  void fail(const char* file, int line, const std::string& what);
  [[noreturn]] void require_failed(const char* file, int line, const std::string& what);

  int failure_count() const;
  std::string summary() const;  // the first failures, one per line; empty when there are none

 private:
  static constexpr int kFailuresKept = 10;  // a wrong array fails everywhere; ten lines show it
  mutable std::mutex mutex_;
  int failure_count_ = 0;
  std::string first_failures_;
};

using Body = void (*)(Context&);

struct Test {
  const char* suite;
  const char* name;
  const char* file;
  int line;
  Body body;
  std::string full_name() const { return std::string(suite) + "." + name; }
};

std::vector<Test>& registry();

// A static Registered adds one test before main() begins.
struct Registered {
  explicit Registered(const Test& test) { registry().push_back(test); }
};

struct Outcome {
  enum Kind { passed, failed, skipped } kind;
  std::string text;  // the failures, or the reason for skipping
};

// Runs one body.  No exception comes out: one that leaves the body is a failure.
Outcome run_test(const Test& test);

#ifdef RINGSIDE_HAVE_CRITERION
// One test in Criterion's child process: hands the outcome to Criterion.
void run_under_criterion(const char* suite, const char* name, Body body);
#endif

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
// These words have all of these parts.
void check_has(Context& t, const std::string& words, const std::vector<std::string>& parts);
inline std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

template <typename A, typename B>
std::string describe_pair(const char* text, const A& a, const B& b) {
  std::ostringstream out;
  out << text;
  // Types without a printer still compare; they only cannot be shown.
  if constexpr (requires { out << a << b; }) out << " (" << a << " and " << b << ")";
  return out.str();
}

// Sanitizers see what is wrong in a small world as well as in a large one, and in one of 64 ranks
// each proof takes them half a minute. Loops over whole families of cases stop earlier there.
#ifdef RINGSIDE_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kUnderTsan = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kUnderTsan = true;
#else
inline constexpr bool kUnderTsan = false;
#endif
#else
inline constexpr bool kUnderTsan = false;
#endif

// Clang's looks at an object's type through a pipe, and calls it none if it may open no descriptor.
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
#define RINGSIDE_UNDER_UBSAN 1
#endif
#endif

// What is to come at once comes some times later there. Bounds that only a hang or a wait to the
// deadline's end should break are multiplied by it.
inline constexpr double kSlack = kSanitized ? 4 : 1;

}  // namespace ringside::test

// Long enough for the slowest test on a busy two-core machine; a hang costs this much once.
#define RINGSIDE_TEST_TIMEOUT_S 120

#ifdef RINGSIDE_HAVE_CRITERION
#define RINGSIDE_CRITERION_TEST(suite, name, body)              \
  Test(suite, name, .timeout = RINGSIDE_TEST_TIMEOUT_S) {       \
    ::ringside::test::run_under_criterion(#suite, #name, body); \
  }
#else
#define RINGSIDE_CRITERION_TEST(suite, name, body)
#endif

#define RINGSIDE_TEST(suite, name)                                                  \
  static void ringside_##suite##_##name##_body(::ringside::test::Context&);         \
  static const ::ringside::test::Registered ringside_##suite##_##name##_registered( \
      {#suite, #name, __FILE__, __LINE__, ringside_##suite##_##name##_body});       \
  RINGSIDE_CRITERION_TEST(suite, name, ringside_##suite##_##name##_body)            \
  static void ringside_##suite##_##name##_body([[maybe_unused]] ::ringside::test::Context& t)

#define CHECK(condition) \
  ((condition) ? void() : t.fail(__FILE__, __LINE__, "CHECK(" #condition ")"))

#define CHECK_MSG(condition, ...) \
  ((condition) ? void() : t.fail(__FILE__, __LINE__, ::ringside::text(__VA_ARGS__)))

#define CHECK_EQ(a, b)                                                                           \
  [&](const auto& ringside_a, const auto& ringside_b) {                                          \
    if (ringside_a == ringside_b) return;                                                        \
    t.fail(__FILE__, __LINE__,                                                                   \
           ::ringside::test::describe_pair("CHECK_EQ(" #a ", " #b ")", ringside_a, ringside_b)); \
  }((a), (b))

#define REQUIRE(condition) \
  ((condition) ? void() : t.require_failed(__FILE__, __LINE__, "REQUIRE(" #condition ")"))

#define SKIP(reason) \
  throw ::ringside::test::Skipped { reason }
