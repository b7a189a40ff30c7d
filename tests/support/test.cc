// The part of the test words that does not depend on how the tests are run: collecting failures,
// and turning whatever happens in a body into one of three outcomes.
#include "tests/support/test.h"

#include <unistd.h>

#include <exception>

namespace ringside::test {

std::vector<Test>& registry() {
  // Inside a function, so that it exists before the first static Registered of any file needs it.
  static std::vector<Test> tests;
  return tests;
}

void Context::fail(const char* file, int line, const std::string& what) {
  std::lock_guard lock(mutex_);
  if (failure_count_++ >= kFailuresKept) return;
  first_failures_ += text("  %s:%d: %s\n", file, line, what.c_str());
}

void Context::require_failed(const char* file, int line, const std::string& what) {
  fail(file, line, what);
  throw Abandoned{};
}

int Context::failure_count() const {
  std::lock_guard lock(mutex_);
  return failure_count_;
}

std::string Context::summary() const {
  std::lock_guard lock(mutex_);
  if (failure_count_ <= kFailuresKept) return first_failures_;
  return first_failures_ + text("  and %d more\n", failure_count_ - kFailuresKept);
}

Outcome run_test(const Test& test) {
  Context context;
  try {
    test.body(context);
  } catch (const Skipped& skipped) {
    // What failed before the skip still failed.
    if (context.failure_count() == 0) return {Outcome::skipped, skipped.reason};
  } catch (const Abandoned&) {
  } catch (const std::exception& error) {
    context.fail(test.file, test.line, std::string("an exception left the body: ") + error.what());
  } catch (...) {
    context.fail(test.file, test.line, "something that is no std::exception left the body");
  }
  if (context.failure_count() == 0) return {Outcome::passed, ""};
  return {Outcome::failed, context.summary()};
}

void check_has(Context& t, const std::string& words, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    CHECK_MSG(contains(words, part), "no '%s' in: %s", part.c_str(), words.c_str());
}

#ifdef RINGSIDE_HAVE_CRITERION
void run_under_criterion(const char* suite, const char* name, Body body) {
  const Outcome outcome = run_test({suite, name, suite, 0, body});
  if (outcome.kind == Outcome::skipped) {
    // Criterion's count has no place for a skipped test, so it is said here, in one write, because
    // several tests run at once.
    const std::string line = text("SKIPPED %s.%s: %s\n", suite, name, outcome.text.c_str());
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  }
  cr_assert(outcome.kind != Outcome::failed, "%s.%s\n%s", suite, name, outcome.text.c_str());
}
#endif

}  // namespace ringside::test
