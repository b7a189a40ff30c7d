// Variables of the environment for the length of a scope; what was there before comes back, as the
// plain main runs all tests in one process.
#pragma once

#include <stdlib.h>

#include <map>
#include <optional>
#include <string>
#include <utility>

namespace ringside::test {

class Environment {
 public:
  using Variables = std::map<std::string, std::optional<std::string>>;  // without a value: not set

  Environment(const std::string& name, const std::string& value)
      : Environment(Variables{{name, value}}) {}
  explicit Environment(const Variables& variables) {
    for (const auto& [name, value] : variables) {
      const char* const before = ::getenv(name.c_str());
      before_[name] = before == nullptr ? std::nullopt : std::optional<std::string>(before);
      set(name, value);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : before_) set(name, value);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  static void set(const std::string& name, const std::optional<std::string>& value) {
    value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }
  Variables before_;
};

}  // namespace ringside::test
